"""Crash points of one kind of life: a life that nobody ended is recorded, its writes are where others die."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from tests.support.bypass import Seen
from tests.support.crash import Lives, Plot, torn
from tests.support.fate import KILLED, Point, Write
from tests.support.figures import note

LANES = 4
"""A life waits more than it works, so that two cores carry four."""
SOAK = os.environ.get("COORDINATOR_SOAK") == "1"
FAR = ("process", "github")
WHENS = ("before", "within", "after")
DIES = {"store": ("within", "after"), "file": ("within", "after"), "github": ("before", "within"),
        "git": ("before", "within"), "process": ("before", "within")}
"""What a sample tries of each kind: a cut transaction or a torn file shows more than none of it, and a request whose
answer nobody read, or a program that nobody waits for, more than one that has answered."""


class Life(Protocol):
    """One kind of life, from its first write to its end."""

    name: str

    def plot(self, folder: Path) -> Plot:
        """A place of its own for one life."""

    def live(self, lives: Lives, plot: Plot, die: Point | None) -> int:
        """From the beginning to the end, 0, or to the point, KILLED."""

    def again(self, lives: Lives, plot: Plot) -> int:
        """After a death, what people or a service do, to the end: 0."""

    def writes(self, plot: Plot) -> tuple[Sequence[Write], Sequence[Write]]:
        """(all of the life that was lived there, those with a middle)."""

    def faults(self, plot: Plot) -> list[str]:
        """What does not hold after the end."""


@dataclass
class Field:
    """Plots side by side, a lane of lives for each that goes on at a time, and the recorded writes."""

    life: Life
    folder: Path
    lanes: SimpleQueue[Lives] = field(default_factory=SimpleQueue)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    writes: Sequence[Write] = ()
    middles: Sequence[Write] = ()
    within: Sequence[Seen] = ()
    outside: Sequence[Seen] = ()

    def a_plot(self) -> Plot:
        return self.life.plot(self.folder / f"p{next(self.numbers):04}")

    def record(self) -> None:
        plot, lives = self.a_plot(), self.lanes.get()
        plot.watched = True
        code = self.life.live(lives, plot, None)
        self.lanes.put(lives)
        assert code == 0, log_of(plot)
        assert self.life.faults(plot) == [], log_of(plot)
        self.writes, self.middles = self.life.writes(plot)
        self.within, self.outside = plot.within, plot.outside

    def points(self) -> list[Point]:
        """By default the first write of each name, at the moments that show most; everywhere with COORDINATOR_SOAK."""
        found = []
        for write in self.writes:
            whens = [when for when in WHENS if when != "within" or write in self.middles]
            if not SOAK:
                some = [when for when in DIES[write.kind] if when in whens] or ["before", "after"]
                whens = some if write.nth == 1 else []
            found += [Point(when, write) for when in whens]
        return found

    def some(self, every: int) -> list[Point]:
        """For lives of which CI tries a part: each write another program or host makes for us, and of the rest those of
        every nth name; of each all its moments. Everywhere with COORDINATOR_SOAK."""
        points = self.points()
        names = list(dict.fromkeys(point.write for point in points if point.write.kind not in FAR))
        chosen = set(names[::1 if SOAK else every])
        return [point for point in points if point.write.kind in FAR or point.write in chosen]

    def die_at(self, points: Sequence[Point]) -> list[str]:
        """What did not hold, point by point. A first write that no life came to is a fault too; a sweep is a write only
        where the wrapper happened to be gone before its run was looked at."""
        with ThreadPoolExecutor(LANES) as pool:
            results = list(pool.map(self._die_at, points))
        for when, some in Counter(point.when for point in points).items():
            note("points", life=self.life.name, when=when, points=some)
        missed = [f"{point}: no life came to it" for point, (reached, _) in zip(points, results, strict=True)
                  if not reached and point.write.nth == 1 and not point.write.what.startswith("sweep ")]
        return [*(line for _, lines in results for line in lines), *missed]

    def _die_at(self, point: Point) -> tuple[bool, list[str]]:
        plot, lives = self.a_plot(), self.lanes.get()
        try:
            code = self.life.live(lives, plot, point)
            wrong = torn(plot)
            if code == KILLED:
                again = self.life.again(lives, plot)
                wrong += self.life.faults(plot) if again == 0 else [f"the next one ends with {again}"]
            elif code != 0:
                wrong.append(f"ended with {code}")
        finally:
            self.lanes.put(lives)
        log = log_of(plot) if wrong else ""
        shutil.rmtree(plot.folder, ignore_errors=True)
        return code == KILLED, [f"{point}: {line}\n{log}" for line in wrong]


def log_of(plot: Plot) -> str:
    return (plot.folder / "log").read_text("utf-8", "replace")


@contextmanager
def a_field_of(life: Life, folder: Path) -> Iterator[Field]:
    """A field whose life was recorded once."""
    made = Field(life, folder)
    lanes = [Lives() for _ in range(LANES)]
    for lives in lanes:
        made.lanes.put(lives)
    try:
        made.record()
        yield made
    finally:
        for lives in lanes:
            lives.close()


def told(field_of: Field, points: Sequence[Point]) -> str:
    """The number of points, for people."""
    names = {(one.kind, one.what) for one in field_of.writes}
    return (f"\n{field_of.life.name}: {len(field_of.writes)} external writes in a life, {len(names)} of names of their "
            f"own; dying at {len(points)} points")
