"""Whose signal it was that ended a worker: Slurm's word is heard before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.runfiles import atomic
from tests.support.running import Running, a_daemon
from tests.support.slurmd import Cluster
from tests.support.stories import go, waiting
from tests.support.yard import Yard, a_yard

SLURM = """
[slurm]
poll = "3s"
mem = "100"
warning = "1s"
"""
WORKS = "commit(); write('half.txt', 'half'); time.sleep(600)"


@contextmanager
def working(
    folder: Path, slurm: Cluster, script: Callable[[Yard], str] = lambda yard: WORKS, retries: int = 0
) -> Iterator[tuple[Yard, Running, int, str]]:
    """A worker in the middle of its work: (yard, coordinator, issue, id of its job)."""
    with a_yard(folder, more=SLURM, settings={"retries": str(retries)}) as yard:
        yard.environ.update({"COORDINATOR_WORKERS_EXECUTOR": "slurm", **slurm.env})
        number = yard.issue("Tarry", script(yard))
        with a_daemon(yard) as daemon:
            daemon.until((yard.worktree(number) / f"gh-{number}.txt").exists, 60)
            meta = yard.clone / ".coordinator" / "jobs" / "command" / f"gh-{number}.meta"
            yield yard, daemon, number, (atomic.read_pairs(str(meta)) or {})["slurm_job"]
            assert daemon.end() == 0


def first_end(daemon: Running, number: int) -> str:
    history = daemon.attempts(number)
    return history[0].reason if history and history[0].ended_at else ""


def test_a_job_that_a_person_cancelled_is_not_taken_for_one_that_gave_way(tmp_path: Path, slurm: Cluster) -> None:
    """Both get TERM; only what gave way is begun again by itself."""
    with working(tmp_path, slurm, retries=1) as (yard, daemon, number, job):
        slurm.run("scancel", job)
        daemon.until(lambda: first_end(daemon, number), 60)
        assert first_end(daemon, number) == "slurm_cancelled"
        daemon.until_state(number, "CANCELLED")
        assert len(daemon.attempts(number)) == 1
        outcome = yard.clone / ".coordinator" / "jobs" / "command" / f"gh-{number}.outcome"
        told = atomic.read_pairs(str(outcome)) or {}
        assert told["ended_by"] == "slurm_cancelled"
        assert "by the user with the number 0" in told["words"]


@pytest.mark.timeout(400)
def test_a_limit_that_came_without_a_warning_is_a_limit(tmp_path: Path, slurm: Cluster) -> None:
    with working(tmp_path, slurm) as (_yard, daemon, number, job):
        slurm.expire(job)
        daemon.until(lambda: first_end(daemon, number), 90)
        assert first_end(daemon, number) == "slurm_timeout"


def test_a_worker_that_ends_well_while_the_controller_is_away_ended_well(tmp_path: Path, slurm: Cluster) -> None:
    """Its own outcome needs nobody's word, and its heartbeat shows it at work before."""
    with working(tmp_path, slurm, waiting) as (yard, daemon, number, _job):
        slurm.stop_controller()
        go(yard)
        daemon.until_state(number, "IN_REVIEW", seconds=60)
        assert [attempt.reason for attempt in daemon.attempts(number)] == ["process_exit"]
        slurm.start_controller()
