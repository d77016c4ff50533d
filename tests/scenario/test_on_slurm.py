"""A whole coordinator whose workers are given to a Slurm that does as a test says: ends by their names, silence that is
no end, a death in the midst of eight jobs. The same on a real Slurm: tests/real/test_slurm_coordinator.py."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_slurm import FakeSlurm
from tests.support.running import a_daemon
from tests.support.stories import Later, later, restart
from tests.support.yard import Yard, a_yard

MANY = 8
__all__ = ["later"]


@pytest.fixture
def slurm(tmp_path: Path) -> FakeSlurm:
    made = FakeSlurm(tmp_path / "slurm")
    made.born(state="RUNNING")
    return made


@pytest.fixture
def yard(tmp_path: Path, slurm: FakeSlurm) -> Iterator[Yard]:
    """One of which every task goes to Slurm."""
    more = '\n[slurm]\npoll = "1s"\n'
    with a_yard(tmp_path / "yard", more=more, settings={"retries": "0", "backoff": "5m"}) as made:
        made.environ.update({"PATH": f"{slurm.bin}:{made.environ['PATH']}", "COORDINATOR_WORKERS_MAX": str(MANY),
                             "COORDINATOR_WORKERS_EXECUTOR": "slurm"})
        restart(made)
        yield made


def running(yard: Yard, slurm: FakeSlurm, many: int = 1) -> dict[int, str]:
    """Issues with the ids of their jobs."""
    numbers = [yard.issue(f"Turn {number}") for number in range(many)]
    yard.until(lambda: len(slurm.jobs()) == many)
    named = {job["name"]: job_id for job_id, job in slurm.jobs().items()}
    return {number: named[f"rpi-gh-{number}"] for number in numbers}


def first_end(yard: Yard, number: int) -> str:
    history = yard.engine.world.store.attempts()[f"gh-{number}"]
    return history[0].reason if history[0].ended_at else ""


@pytest.mark.req("N1")
def test_each_state_of_a_job_that_left_no_outcome_has_a_name_of_its_own(
        yard: Yard, slurm: FakeSlurm, later: Later) -> None:
    names = {"PREEMPTED": "slurm_preempted", "TIMEOUT": "slurm_timeout", "NODE_FAIL": "slurm_node_fail",
             "OUT_OF_MEMORY": "slurm_oom", "CANCELLED": "slurm_cancelled"}
    jobs = running(yard, slurm, len(names))
    wanted = dict(zip(jobs, names.values(), strict=True))
    for job_id, state in zip(jobs.values(), names, strict=True):
        slurm.set(job_id, state)
    yard.until(lambda: (later(5) or True) and all(first_end(yard, number) for number in jobs))
    assert {number: first_end(yard, number) for number in jobs} == wanted


@pytest.mark.req("N1")
def test_accounting_that_is_out_of_reach_is_unknown_and_ends_nothing(
        yard: Yard, slurm: FakeSlurm, later: Later) -> None:
    [(number, job_id)] = running(yard, slurm).items()
    yard.until(lambda: yard.state(number) == "RUNNING")
    slurm.down("sacct", -1, "sacct: error: Problem talking to the database: Connection refused")
    slurm.forget(job_id)
    asked = len(slurm.calls("sacct"))
    yard.until(lambda: len(slurm.calls("sacct")) > asked + 3)
    for _ in range(3):
        later(60)
        yard.tick()
    assert (yard.state(number), first_end(yard, number)) == ("RUNNING", "")
    assert len(slurm.calls("sbatch")) == 1
    slurm.set(job_id, "TIMEOUT")
    slurm.down("sacct", 0, "")
    yard.until(lambda: (later(5) or True) and first_end(yard, number))
    assert first_end(yard, number) == "slurm_timeout"


@pytest.mark.req("N1")
def test_a_coordinator_that_is_killed_finds_its_eight_jobs_by_id_and_submits_none_again(
        yard: Yard, slurm: FakeSlurm) -> None:
    numbers = [yard.issue(f"Turn {number}") for number in range(MANY)]
    with a_daemon(yard) as first:
        first.until(lambda: len(slurm.calls("sbatch")) >= MANY // 2)
        first.end(signal.SIGKILL)
    with a_daemon(yard) as daemon:
        daemon.until(lambda: all(daemon.row(number).get("state") == "RUNNING" for number in numbers))
        daemon.end(signal.SIGKILL)
    jobs = slurm.jobs()
    asked = len(slurm.calls("squeue"))
    with a_daemon(yard) as again:
        again.until(lambda: len(slurm.calls("squeue")) > asked + 2)
        assert [again.row(number)["state"] for number in numbers] == ["RUNNING"] * MANY
        assert {len(again.attempts(number)) for number in numbers} == {1}
        again.end()
    assert (len(slurm.calls("sbatch")), slurm.jobs()) == (MANY, jobs)
    assert {job["name"] for job in jobs.values()} == {f"rpi-gh-{number}" for number in numbers}
