"""A whole coordinator whose workers are jobs of a real Slurm: a death in their midst, and each end by its name."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.runfiles import atomic, identity
from tests.support.running import Running, a_daemon
from tests.support.slurmd import Cluster
from tests.support.stories import go, waiting
from tests.support.yard import Yard, a_yard

MANY = 8
SLURM = """
[slurm]
poll = "1s"
mem = "100"
{more}
"""


@contextmanager
def elsewhere(folder: Path, slurm: Cluster, more: str = "", **settings: str) -> Iterator[Yard]:
    """A yard of which every task goes to this cluster."""
    with a_yard(folder, more=SLURM.format(more=more), settings=settings) as yard:
        yard.environ.update({"COORDINATOR_WORKERS_MAX": str(MANY),
                             "COORDINATOR_WORKERS_EXECUTOR": "slurm", **slurm.env})
        yield yard


def submissions(slurm: Cluster) -> int:
    return sum(line.startswith("sbatch ") for line in slurm.commands())


def job_of(yard: Yard, number: int) -> str:
    """Slurm's id of the newest worker, by what stands here."""
    meta = yard.clone / ".coordinator" / "jobs" / "command" / f"gh-{number}.meta"
    return (atomic.read_pairs(str(meta)) or {}).get("slurm_job", "")


def begun(yard: Yard, number: int) -> bool:
    return (yard.worktree(number) / f"gh-{number}.txt").exists()


@pytest.mark.req("N1")
def test_eight_jobs_outlive_their_coordinator_and_are_found_again_by_id_with_none_submitted_twice(
        tmp_path: Path, slurm: Cluster) -> None:
    with elsewhere(tmp_path, slurm) as yard:
        numbers = [yard.issue(f"Turn {number}", waiting(yard)) for number in range(MANY)]
        with a_daemon(yard) as first:
            first.until(lambda: submissions(slurm) >= MANY // 2)
            first.end(signal.SIGKILL)   # while it submits
        with a_daemon(yard) as daemon:
            daemon.until(lambda: all(begun(yard, number) for number in numbers), 60)
            jobs = {number: job_of(yard, number) for number in numbers}
            daemon.end(signal.SIGKILL)
        assert len(set(jobs.values())) == MANY
        assert submissions(slurm) == MANY
        with a_daemon(yard) as again:
            again.until(lambda: all(again.row(number).get("state") == "RUNNING" for number in numbers))
            assert {number: job_of(yard, number) for number in numbers} == jobs
            go(yard)
            again.until(lambda: all(again.row(number).get("state") == "IN_REVIEW" for number in numbers), 60)
            assert {len(again.attempts(number)) for number in numbers} == {1}
            assert again.end() == 0
        assert submissions(slurm) == MANY
        assert {slurm.accounted(job, "State")[0] for job in jobs.values()} == {"COMPLETED"}
        assert len(yard.repository.pulls()) == MANY


HUNGRY = "x = bytearray(400 << 20); time.sleep(60)"
AT_FIRST_ENDLESS = "if attempt < 2: commit(); time.sleep(600)\ncommit(text='all'); result()"
ENDLESS = "commit(); write('half.txt', 'half'); time.sleep(600)"


def end_of_attempt(daemon: Running, number: int) -> str:
    """The reason code that the first attempt of an issue ended with; "" while it runs."""
    history = daemon.attempts(number)
    return history[0].reason if history and history[0].ended_at else ""


@pytest.mark.timeout(400)
@pytest.mark.req("N1")
def test_each_end_that_slurm_brought_has_its_own_name_and_the_work_of_a_timed_out_job_is_on_the_remote(
        tmp_path: Path, slurm: Cluster) -> None:
    with elsewhere(tmp_path, slurm, 'partition = "low"', retries="0") as yard, a_daemon(yard) as daemon:
        hungry, late = yard.issue("Eat", HUNGRY), yard.issue("Tarry", ENDLESS)
        daemon.until(lambda: begun(yard, late))
        slurm.expire(job_of(yard, late))
        daemon.until(lambda: end_of_attempt(daemon, hungry), 60)
        daemon.until(lambda: end_of_attempt(daemon, late), 90)
        ends = {number: end_of_attempt(daemon, number) for number in (hungry, late)}
        assert ends == {hungry: "slurm_oom", late: "slurm_timeout"}
        daemon.until(lambda: yard.repository.branch(f"rpi/gh-{late}"))
        assert "half.txt" in yard.repository.files(f"rpi/gh-{late}")
        assert daemon.end() == 0


@pytest.mark.timeout(400)
@pytest.mark.req("N1")
def test_a_place_that_was_taken_and_a_node_that_failed_are_told_apart_and_tried_again(
        tmp_path: Path, slurm: Cluster) -> None:
    with elsewhere(tmp_path, slurm, 'partition = "low"', retries="0", stall="24s") as yard, a_daemon(yard) as daemon:
        yielding = yard.issue("Yield", AT_FIRST_ENDLESS)
        daemon.until(lambda: begun(yard, yielding))
        slurm.submit("sleep 2", "--cpus-per-task=32", "--mem=100")
        daemon.until(lambda: end_of_attempt(daemon, yielding), 60)
        assert end_of_attempt(daemon, yielding) == "slurm_preempted"
        daemon.until_state(yielding, "IN_REVIEW", seconds=60)
        failing = yard.issue("Fail", AT_FIRST_ENDLESS)
        daemon.until(lambda: begun(yard, failing))
        slurm.kill_node()
        daemon.until(lambda: end_of_attempt(daemon, failing), 60)
        assert end_of_attempt(daemon, failing) == "slurm_node_fail"
        first, *_ = daemon.attempts(failing)
        assert identity.with_token(first.token) == [], "its node lost its daemon alone: the worker is told to end"
        slurm.start_node()
        daemon.until_state(failing, "IN_REVIEW", seconds=60)
        assert daemon.end() == 0
