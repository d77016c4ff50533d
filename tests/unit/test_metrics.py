"""adws/metrics.json: its keys, its health, and the Metrics class as operators' scripts use it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adws.metrics import Metrics, NewerMetrics
from coordinator.wording import metrics

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "adws" / "metrics.json"


@pytest.mark.req("E39", "E38")
def test_the_file_is_indented_json_with_every_key() -> None:
    text = metrics.render({"workers_launched": 3}, NOW)
    data = json.loads(text)
    assert text == json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    assert set(data) == {
        "schema", "workers_launched", "workers_completed", "workers_failed", "worktree_errors", "prs_created",
        "batches", "by_provider", "by_day", "by_stage", "last_update", "health", "reasons",
        "duration_seconds_total", "tokens_in", "tokens_out", "cost_usd",
        "api_requests", "api_not_modified", "label_to_start_seconds", "exit_to_settled_seconds",
    }
    assert data["workers_launched"] == 3
    assert data["last_update"] == "2026-03-04T14:05:00+00:00"


@pytest.mark.req("E42", "E43", "E44")
@pytest.mark.parametrize(("errors", "failed", "completed", "health"), [
    (11, 0, 0, "degraded"), (11, 5, 1, "degraded"), (10, 0, 0, "ok"), (0, 2, 1, "warning"), (0, 1, 1, "ok"),
    (10, 2, 1, "warning"),
])
def test_health_follows_from_the_counters(errors: int, failed: int, completed: int, health: str) -> None:
    counted = {"worktree_errors": errors, "workers_failed": failed, "workers_completed": completed}
    assert json.loads(metrics.render(counted, NOW))["health"] == health


@pytest.mark.req("E38", "E45", "E41")
def test_increment_adds_one_and_saves_with_time_and_health(path: Path) -> None:
    kept = Metrics(path)
    kept.increment("workers_failed")
    kept.increment("workers_failed")
    data = json.loads(path.read_text())
    assert data["workers_failed"] == 2
    assert data["health"] == "warning"
    assert datetime.fromisoformat(data["last_update"]).tzinfo is not None
    assert Metrics(path).data == data


@pytest.mark.req("P60")
def test_a_key_nobody_knows_begins_at_nothing_and_is_kept(path: Path) -> None:
    Metrics(path).increment("coffee_cups")
    Metrics(path).increment("workers_launched")
    assert json.loads(path.read_text())["coffee_cups"] == 1


@pytest.mark.req("E40")
def test_loading_fills_what_an_old_file_lacks_and_keeps_what_it_has(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"workers_launched": 7, "mine": "x"}')
    data = Metrics(path).data
    assert (data["workers_launched"], data["mine"], data["prs_created"]) == (7, "x", 0)


@pytest.mark.req("E40")
@pytest.mark.parametrize("garbage", [b"", b"{", b"[1]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_a_garbage_file_is_kept_aside_and_said(path: Path, garbage: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    path.write_bytes(garbage)
    assert Metrics(path).data == metrics.DEFAULTS
    assert path.with_name("metrics.json.bad").read_bytes() == garbage
    assert "metrics.json.bad" in capsys.readouterr().err


def test_a_file_of_a_newer_coordinator_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"schema": 99}')
    with pytest.raises(NewerMetrics, match="schema 99"):
        Metrics(path)
    with pytest.raises(NewerMetrics):
        metrics.check(path.read_text())
    assert path.read_text() == '{"schema": 99}'
    metrics.check("garbage")
    metrics.check(None)


@pytest.mark.req("E46")
def test_resetting_sets_worktree_errors_to_nothing_and_saves(path: Path) -> None:
    kept = Metrics(path)
    kept.data["worktree_errors"] = 12
    kept.save()
    assert json.loads(path.read_text())["health"] == "degraded"
    kept.reset_errors()
    assert json.loads(path.read_text())["worktree_errors"] == 0
    assert json.loads(path.read_text())["health"] == "ok"


@pytest.mark.req("E46")
@pytest.mark.parametrize("code", [0, 21])
def test_on_the_file_of_a_living_coordinator_resetting_is_a_request(
    path: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Metrics(path)
    kept.data["worktree_errors"] = 12
    kept.save()
    before = path.read_bytes()
    root = path.parent.parent
    (root / ".coordinator").mkdir()
    (root / ".coordinator" / "board.json").write_text("{}")
    stand_in = root / "python"
    stand_in.write_text(f'#!/bin/sh\necho "$PWD $@" > asked\necho no room >&2\nexit {code}\n')
    stand_in.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(stand_in))
    if code:
        with pytest.raises(RuntimeError, match="did not take the request: no room"):
            kept.reset_errors()
    else:
        kept.reset_errors()
        assert kept.data["worktree_errors"] == 0
    assert (root / "asked").read_text() == f"{root} -m coordinator request reset-errors\n"
    assert path.read_bytes() == before


@pytest.mark.req("P60")
def test_a_reader_beside_a_busy_writer_always_sees_a_whole_file(path: Path) -> None:
    kept = Metrics(path)
    kept.save()
    seen: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(json.loads(path.read_text())["schema"])

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        kept.increment("prs_created")
    over.set()
    reader.join()
    assert seen
    assert set(seen) == {metrics.SCHEMA}
    assert [item.name for item in path.parent.iterdir()] == ["metrics.json"]
