"""kill -9 at every external write of a whole life: a fresh coordinator finds what was done, and does nothing twice.

The list of writes is that of a recorded life, the points are its writes, before and after. By default it dies both
ways at the first write of each name, once at each later one that goes to the store, to GitHub or to git, and at the
first two of those that come as often as ticks do. COORDINATOR_SOAK=1 dies everywhere.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import pytest

from coordinator.rehearsal.standin import StandIn
from tests.support.crash import KILLED, Lives, Point, Write, a_field, a_plot, faults, report_of, torn
from tests.support.description import check_all

KINDS = ("github", "git", "store", "file", "process")
EACH_TICK = ("keep document api_counts", "metrics.json", "board.json", "transcript gh-1.jsonl")
LANES = 4
"""A life waits more than it works, so that two cores carry four."""
SOAK = os.environ.get("COORDINATOR_SOAK") == "1"


@dataclass
class Field:
    """The stand-in with a lane of lives for each core, and what a life that nobody ended wrote."""

    folder: Path
    github: StandIn
    lanes: SimpleQueue[Lives] = field(default_factory=SimpleQueue)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    writes: list[Write] = field(default_factory=list)

    def record(self) -> None:
        plot = a_plot(self.github, self.folder / f"p{next(self.numbers):04}")
        lives = self.lanes.get()
        code = lives.live(plot)
        self.lanes.put(lives)
        assert code == 0, (plot.folder / "log").read_text()
        assert faults(plot) == []
        self.writes = report_of(plot).writes
        check_all(self.github.requests)
        self.github.forget_requests()

    def points(self, kind: str, when: str) -> list[Point]:
        return [Point(when, write) for write in self.writes if write.kind == kind and (SOAK or _chosen(write, when))]

    def die_at(self, points: Sequence[Point]) -> tuple[list[str], list[Point]]:
        """(what did not hold, point by point; the points that no life came to)."""
        with ThreadPoolExecutor(LANES) as pool:
            results = list(pool.map(self._die_at, points))
        self.github.forget_requests()
        missed = [point for point, (reached, _) in zip(points, results, strict=True) if not reached]
        return [line for _, lines in results for line in lines], missed

    def _die_at(self, point: Point) -> tuple[bool, list[str]]:
        plot = a_plot(self.github, self.folder / f"p{next(self.numbers):04}")
        lives = self.lanes.get()
        try:
            code = lives.live(plot, point)
            wrong = torn(plot)
            if code == KILLED:
                again = lives.live(plot)
                wrong += faults(plot) if again == 0 else [f"the next coordinator ends with {again}"]
            elif code != 0:
                wrong.append(f"ended with {code}")
        finally:
            self.lanes.put(lives)
        log = (plot.folder / "log").read_text() if wrong else ""
        shutil.rmtree(plot.folder)
        return code == KILLED, [f"{point}: {line}\n{log}" for line in wrong]


def _chosen(write: Write, when: str) -> bool:
    """Before a write is the intent without its effect, after it the effect without its fact; the state after one
    write is the state before the next, so that a later one of a name needs one of the two."""
    if write.what in EACH_TICK:
        return write.nth == 1 or (write.nth == 2 and when == "after")
    later = {"github": "after", "git": "after", "store": "before"}
    return write.nth == 1 or when == later.get(write.kind)


@pytest.fixture(scope="module")
def field_of_plots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("crash")
    with a_field(folder) as github:
        made = Field(folder, github)
        lanes = [Lives() for _ in range(LANES)]
        for lives in lanes:
            made.lanes.put(lives)
        try:
            made.record()
            yield made
        finally:
            for lives in lanes:
                lives.close()


def test_the_recorded_life_crosses_the_seam_for_every_kind_of_write(
    field_of_plots: Field, capsys: pytest.CaptureFixture[str], record_property
):
    writes = field_of_plots.writes
    points = [point for kind in KINDS for when in ("before", "after") for point in field_of_plots.points(kind, when)]
    record_property("writes", len(writes))
    with capsys.disabled():
        print(f"\n{len(writes)} external writes in a life, {len({(one.kind, one.what) for one in writes})} of names of "
              f"their own; dying at {len(points)} points")
        for one in writes if SOAK else ():
            print(f"  {one}")
    assert {write.kind for write in writes} == set(KINDS)
    wanted = ("POST pulls", "POST issues/1/comments", "POST issues/1/labels", "push", "worktree", "migrate",
              "start command gh-1", "jobs/command/gh-1.spec", "tasks.md", "metrics.json", "board.json")
    assert [what for what in wanted if what not in {write.what for write in writes}] == []


@pytest.mark.timeout(3600 if SOAK else 900)
@pytest.mark.req("W11", "W12", "W23", "F9", "N11")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", KINDS)
def test_death_at_a_write_loses_nothing_and_doubles_nothing(field_of_plots: Field, kind: str, when: str):
    points = field_of_plots.points(kind, when)
    assert points

    wrong, missed = field_of_plots.die_at(points)

    assert wrong == [], "\n".join(wrong)
    # a sweep is a write only where the wrapper happened to be gone before its run was looked at
    must = [point for point in missed if point.write.nth == 1 and not point.write.what.startswith("sweep ")]
    assert [str(point) for point in must] == []
