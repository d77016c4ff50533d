"""What a look at thousands of workers costs: each one's own files, and nothing that grows with the square."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.remote.recall import Recall
from coordinator.domain.worker import Exited
from coordinator.far import running
from coordinator.far.home import Home
from coordinator.ports import Handle
from coordinator.runfiles import atomic, codec, names, rotation


def laid(home: Home, count: int) -> list[dict[str, Any]]:
    """Runs as they lie there while they work, and the question that a look asks of them."""
    asked = []
    for number in range(count):
        job, token = f"gh-{number}", f"{number:032x}"
        for kind in ("meta", "spec", "heartbeat"):
            put(home, job, kind, token=token, fence="1")
        asked.append({"provider": "command", "job": job, "token": token, "log": 0, "err": 0})
    return asked


def put(home: Home, job: str, kind: str, **pairs: str) -> None:
    atomic.write(names.path(home.of("command"), job, kind), codec.encode(pairs), lasting=False)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every folder that is read from now on."""
    seen: list[Any] = []
    real = os.listdir

    def noted(folder: Any) -> Any:
        seen.append(folder)
        return real(folder)

    monkeypatch.setattr(os, "listdir", noted)
    return seen


def test_a_look_reads_no_folder_for_a_run_that_works_however_many_there_are(tmp_path: Path, listed: list[Any]) -> None:
    home = Home(str(tmp_path))
    asked = laid(home, 40)
    listed.clear()

    told, _ = running.look(home, asked)
    assert [one["beat"]["token"] for one in told] == [one["token"] for one in asked]
    assert listed == []

    assert len(running.live(home, begun=True)) == 40
    assert len(listed) == 2   # the folder of the providers, and that of the one there is


def test_an_outcome_that_stepped_aside_for_the_next_run_is_still_found(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    (asked,) = laid(home, 1)
    folder = home.of("command")
    put(home, "gh-0", "outcome", token=asked["token"], reason_code="process_exit")
    put(home, "gh-0", "meta", token="f" * 32)
    assert running.outcome(folder, "gh-0", asked["token"])["reason_code"] == "process_exit"
    assert rotation.rotate(folder, "gh-0") == 1

    assert running.outcome(folder, "gh-0", asked["token"])["reason_code"] == "process_exit"
    assert running.outcome(folder, "gh-0", "f" * 32) == {}


def test_a_heartbeat_that_comes_home_is_not_forced_onto_the_disk_and_an_outcome_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[int] = []
    monkeypatch.setattr(os, "fsync", forced.append)
    handle = Handle("command", "gh-1", "a" * 32, "epyc12")
    mirror = Mirror(tmp_path, handle)
    names.make_folder(mirror.folder)

    mirror.put("heartbeat", {"token": handle.token, "at": "1790000000.000"})
    assert mirror.pairs("heartbeat")["at"] == "1790000000.000"
    assert forced == []
    mirror.put("outcome", {"token": handle.token, "reason_code": "process_exit"})
    assert forced


def test_a_heartbeat_that_has_not_changed_is_not_written_anew_though_the_host_s_clock_is_off(tmp_path: Path) -> None:
    handle = Handle("command", "gh-1", "a" * 32, "epyc12")
    mirror = Mirror(tmp_path, handle)
    names.make_folder(mirror.folder)
    beat = {"token": handle.token, "at": "1790000100.250"}

    mirror.put("heartbeat", beat, skew=100.012)
    first = mirror.path("heartbeat").stat().st_ino
    assert mirror.pairs("heartbeat")["at"] == "1790000000.250"
    mirror.put("heartbeat", beat, skew=99.983)
    assert mirror.path("heartbeat").stat().st_ino == first


def test_workers_that_are_looked_for_are_not_compared_with_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(*_: object) -> None:
        raise AssertionError("none of them was given up")

    handles = tuple(Handle("command", f"gh-{number}", f"{number:032x}", "slurm") for number in range(200))
    compared: list[object] = []
    same = Handle.__eq__

    def counted(one: Handle, other: object) -> bool:
        compared.append(other)
        return same(one, other)

    monkeypatch.setattr(Handle, "__eq__", counted)
    recall = Recall(lambda handle: Mirror(tmp_path, handle), nobody, None, owing=False)
    recall.look(recall.begin(), dict.fromkeys(handles, 1), handles, handles)
    assert not recall.ending()
    assert len(compared) <= 2 * len(handles)


def test_a_look_at_workers_of_this_machine_reads_no_folder_for_one_that_works(
    tmp_path: Path, listed: list[Any]
) -> None:
    handle, jobs = Handle("command", "gh-1", "a" * 32), tmp_path / "command"
    names.make_folder(str(jobs))

    def put_here(kind: str, **pairs: str) -> None:
        atomic.write(names.path(str(jobs), "gh-1", kind), codec.encode(pairs), lasting=False)

    for kind in ("meta", "heartbeat"):
        put_here(kind, token=handle.token)
    executor = LocalExecutor(tmp_path, lambda _: None)
    try:
        listed.clear()
        executor.look([handle])
        assert jobs not in listed

        put_here("outcome", token=handle.token, exit_code="0")
        put_here("meta", token="b" * 32)
        rotation.rotate(str(jobs), "gh-1")
        assert isinstance(executor.look([handle])[handle], Exited)
    finally:
        executor.close()
