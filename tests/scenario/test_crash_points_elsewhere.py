"""kill -9 at the writes that work on another host adds to a life: the worktree sent, the run asked for, its output
mirrored, its work taken in. A fresh coordinator finds what was done there and here, and does nothing twice.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import pytest

from coordinator.rehearsal.standin import StandIn
from tests.support.crash import KILLED, Lives, Plot, Point, Write, a_field, a_plot, faults, report_of, torn
from tests.support.fake_ssh import FakeSsh

LANES = 4
SOAK = os.environ.get("COORDINATOR_SOAK") == "1"
HOST = """
[hosts.epyc12]
address = "epyc12"
ssh = ["{ssh}"]
python = "{python}"
slots = 1
"""


@dataclass
class Field:
    folder: Path
    github: StandIn
    lanes: SimpleQueue[Lives] = field(default_factory=SimpleQueue)
    made: int = 0
    writes: list[Write] = field(default_factory=list)

    def plot(self) -> Plot:
        """One whose tasks run on a host that is another folder of this machine."""
        self.made += 1
        folder = self.folder / f"q{self.made:04}"
        hosts = FakeSsh(self.folder / f"hosts{self.made:04}")
        hosts.host("epyc12")
        config = HOST.format(ssh=hosts.bin / "ssh", python=sys.executable)
        plot = a_plot(self.github, folder, config=config)
        plot.environ.update(COORDINATOR_WORKERS_EXECUTOR="ssh", COORDINATOR_WORKERS_STALL="5s")
        return plot


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with a_field(folder) as github:
        made = Field(folder, github)
        for _ in range(LANES):
            made.lanes.put(Lives())
        yield made
        while not made.lanes.empty():
            made.lanes.get().close()


def die_at(place: Field, point: Point) -> list[str]:
    plot = place.plot()
    lives = place.lanes.get()
    try:
        code = lives.live(plot, point)
        wrong = torn(plot)
        if code == KILLED:
            again = lives.live(plot)
            wrong += faults(plot) if again == 0 else [f"the next coordinator ends with {again}"]
        else:
            wrong.append(f"not reached, ended with {code}")
    finally:
        place.lanes.put(lives)
    log = (plot.folder / "log").read_text() if wrong else ""
    shutil.rmtree(plot.folder)
    return [f"{point}: {line}\n{log}" for line in wrong]


def of_hosts(write: Write) -> bool:
    """What a life on this machine does not write, or writes otherwise."""
    places = ("jobs/", "coordinator-gh", "rotate jobs/", "remove jobs/")
    return (write.kind == "process" or write.what.startswith(places)
            or (write.kind == "git" and write.what in ("bundle", "restore", "reset", "clean", "symbolic-ref")))


def chosen(writes: list[Write]) -> list[Point]:
    """Each at its first time, before and after; by default every other one, so that both deaths of each kind occur."""
    first = [write for write in writes if of_hosts(write) and write.nth == 1]
    points = [Point(when, write) for write in first for when in ("before", "after")]
    return points if SOAK else points[::3]


def test_a_life_on_another_host_survives_a_death_at_each_of_its_writes(place: Field) -> None:
    plot = place.plot()
    lives = place.lanes.get()
    code = lives.live(plot)
    place.lanes.put(lives)
    assert code == 0, (plot.folder / "log").read_text()
    assert faults(plot) == []
    writes = report_of(plot).writes
    points = chosen(writes)
    assert len(points) >= 10, [str(write) for write in writes]
    with ThreadPoolExecutor(LANES) as pool:
        wrong = [line for lines in pool.map(lambda point: die_at(place, point), points) for line in lines]
    assert not wrong, "\n".join(wrong)
    assert {point.write.kind for point in points} == {"file", "git", "process"}
