"""When a wrapper that was told to end counts as one that hears nothing any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.runfiles import atomic, orders

ORDER = {"token": "t1", "reason": "stalled", "words": "no sign of life", "hard": "0"}
BEAT = {"token": "t1", "at": "1790000000.000"}
LATER = {"token": "t1", "at": "1790000030.000"}


class Desk:
    """Lays orders at a moment of the clock that stands still while the host sleeps; remembers what was written."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._now, self.written = str(folder), 5000.0, 0
        monkeypatch.setattr(orders.time, "monotonic", lambda: self._now)

    def lay(self, at: float, beat: dict[str, str], **changes: str) -> bool:
        self._now = 5000.0 + at
        return orders.lay(self._folder, "gh-1", {**ORDER, **changes}, beat, self._put)

    def _put(self, target: str, data: bytes) -> None:
        self.written += 1
        atomic.write(target, data)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_orders_go_unheard_when_no_heartbeat_followed_them_for_ten_minutes(desk: Desk) -> None:
    assert [desk.lay(at, BEAT) for at in (0, 15, 599, 600, 615)] == [False, False, False, True, True]
    assert desk.written == 1, "it lies there already"


def test_a_harder_order_does_not_begin_the_count_anew(desk: Desk, tmp_path: Path) -> None:
    assert not desk.lay(0, BEAT)
    assert not desk.lay(15, BEAT, hard="1")
    assert desk.lay(600, BEAT, hard="1")
    assert (atomic.read_pairs(str(tmp_path / "gh-1.stop")) or {})["hard"] == "1"


@pytest.mark.parametrize(("beat", "changes"), [(LATER, {}), (BEAT, {"token": "t2"})])
def test_a_heartbeat_or_another_run_begins_it_anew(desk: Desk, beat: dict[str, str], changes: dict[str, str]) -> None:
    desk.lay(0, BEAT)
    assert not desk.lay(700, beat, **changes)
    assert not desk.lay(1200, beat, **changes)
    assert desk.lay(1300, beat, **changes)


def test_after_a_restart_of_the_host_it_begins_anew_too(desk: Desk) -> None:
    desk.lay(0, BEAT)
    assert not desk.lay(-4900, BEAT)


def test_whatever_lies_in_the_order_s_place_is_replaced(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "gh-1.stop").symlink_to("/etc/passwd")
    assert not desk.lay(0, BEAT)
    assert (atomic.read_pairs(str(tmp_path / "gh-1.stop")) or {})["reason"] == "stalled"
