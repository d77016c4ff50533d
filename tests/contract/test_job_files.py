"""What a folder of jobs promises, told to the one on disk and to the one in memory that tests of decisions stand on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.domain.job import Job
from coordinator.domain.worker import Exited, Missing
from coordinator.ports import JobFiles, WatchdogRuns
from coordinator.runfiles import atomic, codec, identity
from tests.support.job_place import Entry, JobPlace, Worker

ENDED = {"state": "failed", "exit_code": "1", "reason_code": "process_exit"}


@dataclass
class Folder:
    """`vanished` puts a job there whose run left no outcome."""

    files: JobFiles
    vanished: Callable[[str, str], None]

    def job(self, job_id: str = "bd-1") -> Job:
        (found,) = self.files.of(job_id)
        return found


def on_disk(root: Path) -> Folder:
    shelf = Shelf(root / "jobs", flat=False)

    def vanished(job_id: str, token: str) -> None:
        place = root / "jobs" / "command"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        gone = subprocess.Popen(["true"])
        gone.wait()
        beat = {"token": token, "wrapper_pid": str(gone.pid), "wrapper_start": "1", "boot_id": identity.boot_id()}
        atomic.write(f"{place}/{job_id}.meta", codec.encode({"beads": job_id, "token": token, "people": "mine"}))
        atomic.write(f"{place}/{job_id}.heartbeat", codec.encode(beat))

    return Folder(shelf, vanished)


def in_memory(root: Path) -> Folder:
    place = JobPlace()

    def vanished(job_id: str, token: str) -> None:
        worker = Worker(token, 4000, 0.0, lives=False)
        known = place.entries.get(("command", job_id), Entry())
        outcome = known.outcome
        place.entries["command", job_id] = Entry({"beads": job_id, "token": token, "people": "mine"}, outcome,
                                                 worker=worker)  # fmt: skip

    return Folder(place, vanished)


@pytest.fixture(params=[on_disk, in_memory], ids=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    made: Folder = request.param(tmp_path)
    return made


def test_an_empty_folder_has_no_jobs(folder: Folder) -> None:
    assert folder.files.all() == ()
    assert folder.files.of("bd-1") == ()


def test_a_refused_start_leaves_a_failed_outcome_under_a_token_of_its_own(folder: Folder) -> None:
    folder.files.refuse("command", "bd-1", ENDED)
    job = folder.job()
    assert (job.id, job.provider, job.outcome["state"]) == ("bd-1", "command", "failed")
    assert job.token == job.outcome["token"]
    assert isinstance(job.view, Exited)
    first = job.token
    folder.files.refuse("command", "bd-1", {**ENDED, "exit_code": "21"})
    assert folder.job().outcome["exit_code"] == "21"
    assert folder.job().token != first


def test_a_run_that_vanished_gets_one_outcome_and_no_second(folder: Folder) -> None:
    folder.vanished("bd-1", "token-1")
    job = folder.job()
    assert (job.view, dict(job.outcome)) == (Missing(started=True), {})
    assert folder.files.record_end(job, ENDED)
    assert not folder.files.record_end(job, {**ENDED, "exit_code": "2"})
    assert folder.job().outcome["exit_code"] == "1"


def test_the_outcome_of_an_earlier_run_is_not_this_one_s_and_its_word_comes_too_late(folder: Folder) -> None:
    folder.vanished("bd-1", "token-1")
    first = folder.job()
    folder.files.record_end(first, ENDED)
    folder.vanished("bd-1", "token-2")
    assert dict(folder.job().outcome) == {}
    assert not folder.files.record_end(first, ENDED)
    assert dict(folder.job().outcome) == {}
    assert folder.files.record_end(folder.job(), {**ENDED, "exit_code": "3"})
    assert folder.job().outcome["exit_code"] == "3"


def test_a_note_sets_its_keys_and_leaves_the_others(folder: Folder) -> None:
    folder.vanished("bd-1", "token-1")
    folder.files.note(folder.job(), {"blocked": "true", "blocked_reason": "max_retries"})
    assert folder.job().blocked_reason == "max_retries"
    folder.files.note(folder.job(), {"blocked": "false"})
    assert (folder.job().blocked, folder.job().meta["people"]) == (False, "mine")


def test_jobs_come_one_by_one_and_all_together(folder: Folder) -> None:
    for name in ("bd-2", "bd-1"):
        folder.files.refuse("command", name, ENDED)
    folder.files.refuse("other", "bd-1", ENDED)
    assert sorted((job.provider, job.id) for job in folder.files.all()) == [
        ("command", "bd-1"), ("command", "bd-2"), ("other", "bd-1")]  # fmt: skip
    assert sorted(job.provider for job in folder.files.of("bd-1")) == ["command", "other"]


def test_one_watchdog_and_the_next_when_it_has_gone(folder: Folder) -> None:
    with folder.files.one_watchdog(), pytest.raises(WatchdogRuns), folder.files.one_watchdog():
        raise AssertionError("two watchdogs")
    with folder.files.one_watchdog():
        pass
