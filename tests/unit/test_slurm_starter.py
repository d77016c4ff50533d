"""What starts wrappers by way of Slurm: a controller that is away hides no worker, and starts none twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.reading import FIELD, RECORD
from coordinator.adapters.executors.slurm.script import Wishes
from coordinator.adapters.executors.slurm.starter import SlurmStarter
from coordinator.adapters.system.run import Ran
from coordinator.domain.worker import Beat, Exited, Missing, Running, Unknown, Waiting, Witness
from coordinator.ports import Away, Handle, StopOrder

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
HANDLE = Handle("claude", "gh-1", "tok-1", "slurm")


class Home:
    """A mirror of which only the noted id counts, and the one that the wrapper told."""

    def __init__(self, job: str = "", told: str = "") -> None:
        self.handle, self._meta, self._beat = HANDLE, {"slurm_job": job}, {"slurm_job": told}

    def pairs(self, kind: str) -> dict[str, str]:
        return {"meta": self._meta, "heartbeat": self._beat}.get(kind, {})

    def mark(self, pairs: dict[str, str]) -> None:
        self._meta.update(pairs)


class Slurm:
    def __init__(self, *rows: tuple[str, str, str]) -> None:
        self.rows, self.down, self.now = list(rows), False, NOW
        self.said: list[str] = []

    def run(self, argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        self.said.append(" ".join(argv))
        if self.down:
            return Ran(1, "", "Unable to contact slurm controller (connect failure)")
        if "squeue" not in argv:
            return Ran(0, "", "")
        shown = [(one, one, state, reason, "0", "0", "n1", "1", "2", "tok-1", "rpi-gh-1")
                 for one, state, reason in self.rows]
        return Ran(0, "".join(FIELD.join(each) + RECORD for each in shown), "")


def starter(slurm: Slurm) -> SlurmStarter:
    return SlurmStarter(Queue(slurm.run, lambda: slurm.now, timedelta(seconds=15)), Wishes())


def test_a_job_whose_number_was_never_heard_is_found_by_its_token_and_noted() -> None:
    home, started = Home(), starter(Slurm(("7", "PENDING", "Priority")))
    started.ask([home])
    assert home.pairs("meta") == {"slurm_job": "7"}
    assert isinstance(started.judged(home, Missing(started=False), NOW), Waiting)


def test_a_controller_that_is_away_hides_no_worker_and_does_not_say_that_none_was_started() -> None:
    slurm, home = Slurm(), Home()
    slurm.down = True
    started = starter(slurm)
    started.ask([home])
    running = Running(7, 1.0)
    assert started.judged(home, running, NOW) == running
    words = "squeue: Unable to contact slurm controller (connect failure)"
    assert started.judged(home, Missing(started=False), NOW) == Unknown(words, NOW)
    started.ask([home])
    later = NOW + timedelta(minutes=5)
    assert started.judged(home, Missing(started=False), later) == Unknown(words, NOW)   # since it is away
    assert started.live([HANDLE]) == (HANDLE,)
    slurm.down, slurm.now = False, later
    started.ask([home])
    assert started.judged(home, Missing(started=False), later) == Missing(started=False)
    assert started.live([HANDLE]) == ()


def test_what_will_never_run_is_taken_out_of_the_queue_when_it_is_given_up() -> None:
    slurm, home = Slurm(("7", "PENDING", "PartitionTimeLimit")), Home("7")
    started = starter(slurm)
    started.ask([home])
    assert isinstance(started.judged(home, Missing(started=False), NOW), Waiting)
    assert not any("scancel" in line for line in slurm.said)
    over = started.judged(home, Missing(started=False), NOW + timedelta(minutes=1))
    assert isinstance(over, Exited)
    assert over.reason == "slurm_never_runs"
    assert slurm.said[-2].endswith("scancel --me --state=PENDING 7")


def test_a_job_that_could_not_be_taken_out_of_the_queue_is_not_over_yet() -> None:
    slurm, home = Slurm(("7", "PENDING", "PartitionTimeLimit")), Home("7")
    started = starter(slurm)
    started.ask([home])
    slurm.down = True
    with pytest.raises(Away):
        started.judged(home, Missing(started=False), NOW + timedelta(minutes=1))


def test_of_two_jobs_with_one_token_the_one_counts_that_the_worker_runs_in() -> None:
    slurm, home = Slurm(("7", "COMPLETED", "None"), ("9", "RUNNING", "None")), Home("7", told="9")
    started, moment = starter(slurm), NOW + timedelta(minutes=1)
    silent = Witness(0.0, moment.timestamp())
    beat = Beat(moment.timestamp(), NOW.timestamp(), silent, silent, silent, None)
    running = Running(41, NOW.timestamp(), beat)
    for slurm.now in (NOW, moment):
        started.ask([home])
        assert started.judged(home, running, slurm.now) == running
    assert started.order(home) is None, "it lives, and its job has not ended"
    started.stop(home, StopOrder("manual_stop", "enough", hard=True))
    assert slurm.said[-1].endswith("scancel --me 9")
