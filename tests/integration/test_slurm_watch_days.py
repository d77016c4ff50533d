"""Jobs of a cluster that run for days, on an invented clock: how often one looks, and how little is said."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.reach import Reach, Said
from coordinator.app.batches import news_of
from coordinator.app.slurm_watch_asking import Patience
from coordinator.app.slurm_watch_poll import Poll
from coordinator.domain.slurmjob import Cluster
from coordinator.engine.batches.batch import Batch, Look
from coordinator.engine.batches.watching import End, Watch, watch
from coordinator.planning.batch.cohort import Bands
from coordinator.planning.batch.scope import slurm_scope
from coordinator.wording.batch_lines import news_lines
from tests.support import fake_slurm
from tests.support.batches import InMemory
from tests.support.fake_slurm import ME, PROGRAMS, FakeSlurm

CYCLE = timedelta(hours=8)


@dataclass(frozen=True)
class AtOnce(Reach):
    """The small Slurm without processes of its own."""

    state: Path = Path()

    def slurm(self, argv: object, timeout: float = 60.0) -> Said:
        assert isinstance(argv, list)
        at = next(number for number, word in enumerate(argv) if word in PROGRAMS)
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            code = fake_slurm.main(argv[at], str(self.state), argv[at + 1 :])
        return Said(code, out.getvalue().encode(), err.getvalue())


@dataclass
class Days:
    """`story` is what befalls the cluster, by the hours since the beginning."""

    slurm: FakeSlurm
    story: dict[float, object]
    now: datetime = datetime(2026, 3, 1, tzinfo=UTC)
    lines: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        cluster = Cluster(ME, prefix="sweep-", root="/r")
        self.began, memory = self.now, InMemory()
        patience = Patience(timedelta(minutes=15), self.wait, self.lines.append)
        poll = Poll(AtOnce({}, state=self.slurm.state), cluster, patience, memory.read, lambda: self.now,
                    timedelta(hours=24), str, self.lines.append)  # fmt: skip
        self.batch = Batch(slurm_scope(cluster), poll.find, memory, Bands(), lambda: self.now)

    def wait(self, span: timedelta) -> None:
        self.pauses.append(span.total_seconds())
        self.now += span
        for hour in [one for one in self.story if self.now >= self.began + timedelta(hours=one)]:
            befalls = self.story.pop(hour)
            assert callable(befalls)
            befalls()

    def tell(self, look: Look) -> None:
        self.lines += news_lines(news_of(look), quiet=False)

    def cycles(self) -> Iterator[End]:
        while True:
            end = watch(self.batch, Watch(self.tell, self.tell, CYCLE), self.wait)
            yield end
            if end is not End.NOT_YET:
                return


@pytest.mark.req("D1", "D58")
def test_a_day_and_more_of_a_sweep_is_a_few_hundred_looks_of_two_commands_and_a_line_for_each_that_moved(
    tmp_path: Path,
) -> None:
    slurm = FakeSlurm(tmp_path / "slurm")
    jobs = [slurm.add(f"sweep-{number}") for number in range(40)]
    story: dict[float, object] = {
        6: lambda: [slurm.set(name, "RUNNING") for name in jobs],
        10: lambda: slurm.down("squeue", 4),
        14: lambda: slurm.set(jobs[0], "FAILED"),
        25: lambda: [slurm.set(name, "COMPLETED") for name in jobs[1:]],
    }
    days = Days(slurm, story)
    ends = list(days.cycles())
    assert (len(ends), ends[-1]) == (4, End.BAD)
    queue = [one for one in days.pauses if one >= 60]
    assert 200 <= len(queue) <= 400
    assert max(days.pauses) <= 900
    looks = days.batch.memory.read().looks
    assert len(slurm.calls("squeue")) - 4 == len(slurm.calls("sacct")) == looks
    moved = [line for line in days.lines if " -> " in line]
    assert len(moved) == 20 + 1 + 20, "of one look the first twenty, the rest is counted"
    assert sum("Unable to contact" in line for line in days.lines) == 4
    assert len(days.lines) < 60
    waiting = days.pauses[: days.pauses.index(next(one for one in days.pauses if one < 600))]
    assert sum(waiting) >= 5.5 * 3600, "what only waits in the queue is looked at each 600 to 900 s"
