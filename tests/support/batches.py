"""Batches without a world: members by one line each, a journal in memory, a clock that moves when somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from coordinator.engine.batches.batch import Batch
from coordinator.planning.batch.cohort import Bands
from coordinator.planning.batch.journal import Journal
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.scope import Scope

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
GOOD = {"stand": Stand.GOOD, "state": "exited_ok", "artefact": "ok"}
BAD = {"stand": Stand.BAD, "state": "exited_err", "reason": "process_exit", "words": "ValueError: no such table"}
RUNNING = {"stand": Stand.RUNNING, "state": "healthy"}
WAITING = {"stand": Stand.WAITING, "state": "waiting"}
STOPPED = {"stand": Stand.STOPPED, "state": "stopped", "reason": "manual_stop"}


def a_member(name: str, kind: dict[str, Any], **changes: Any) -> Member:
    return Member(**{"id": name, "started_at": NOON, "attempts": 1, "provider": "claude", **kind, **changes})


def members(**kinds: int) -> list[Member]:
    """`members(good=3, bad=1)`: bd-0 to bd-3, in the order of the words."""
    known = {"good": GOOD, "bad": BAD, "running": RUNNING, "waiting": WAITING, "stopped": STOPPED}
    every = [known[word] for word, number in kinds.items() for _ in range(number)]
    return [a_member(f"bd-{number}", kind) for number, kind in enumerate(every)]


class InMemory:
    def __init__(self) -> None:
        self.journal = Journal("prefix", "bd-")
        self.writes = 0

    def read(self) -> Journal:
        return self.journal

    def change(self, how: Callable[[Journal], Journal]) -> Journal:
        self.journal = how(self.journal)
        self.writes += 1
        return self.journal


class World:
    """`story` is what the batch looks like, one list a look; the last one stays. `pauses` are those that were made."""

    def __init__(self, *story: list[Member]) -> None:
        self.story, self.looks = list(story), 0
        self.now, self.pauses = NOON, list[float]()
        self.memory = InMemory()

    def find(self, _: object) -> list[Member]:
        self.looks += 1
        return self.story[min(self.looks, len(self.story)) - 1]

    def pause(self, span: timedelta) -> None:
        self.pauses.append(span.total_seconds())
        self.now += span

    @property
    def batch(self) -> Batch:
        return Batch(Scope("prefix", "bd-", "/jobs"), self.find, self.memory, Bands(), lambda: self.now)
