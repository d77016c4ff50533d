"""What the next tick would do, found without doing it: GitHub is asked, nobody is told.

The world given must stand on a copy of the store: what GitHub answers is written there.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from coordinator.engine.effects import perform
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.engine.record import Recorder
from coordinator.engine.world import World
from coordinator.planning.actions import Plan, Poll, VetIssue
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Snapshot
from coordinator.ports import Recording, Signs

ROUNDS = 5
"""A poll, then who set the labels, then what that brought up; more would be a loop of ours."""


class Unwritten:
    """ports.Transcript that writes none."""

    def follow(self, run: Recording, now: datetime) -> Signs:  # noqa: ARG002 - the seam's signature
        return Signs()

    def finish(self, run: Recording, now: datetime, ended: str) -> Signs:  # noqa: ARG002 - the seam's signature
        return Signs()


def look_ahead(world: World) -> tuple[Snapshot, Plan]:
    """The snapshot after asking GitHub, and the plan made of it. What could not be asked is in its waits."""
    world = replace(world, transcript=Unwritten())
    memory = Memory()
    recorder = Recorder(world, memory)
    snapshot = observe(world, memory)
    for _ in range(ROUNDS):
        asks = [action for action in plan(snapshot).actions if isinstance(action, Poll | VetIssue)]
        if not asks:
            break
        for action in asks:
            recorder.record(perform(action, world))
        memory.poll_due = False   # a poll that failed has set it again
        snapshot = observe(world, memory)
    return snapshot, plan(snapshot)
