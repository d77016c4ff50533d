"""What the engine remembers between ticks and may forget in a crash: each item is found again by looking."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator.domain.worker import WorkerView
from coordinator.engine.facts import Examined
from coordinator.planning.snapshot import Gate
from coordinator.ports import Signs

FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(minutes=5)


@dataclass
class Memory:
    """`failures` counts an effect's failures in a row, by lane, `bugs` those among them that are faults of ours;
    `checked` is when a provider was asked last."""

    busy: set[str] = field(default_factory=set)
    holdoff: dict[str, datetime] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    bugs: dict[str, int] = field(default_factory=dict)
    examined: dict[str, Examined] = field(default_factory=dict)
    survivors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    signs: dict[str, Signs] = field(default_factory=dict)
    views: dict[str, WorkerView] = field(default_factory=dict)
    unready: dict[str, Gate] = field(default_factory=dict)
    checked: dict[str, datetime] = field(default_factory=dict)
    github_until: datetime | None = None
    github_words: str = ""
    poll_due: bool = True
    polled_at: datetime | None = None
    listed_at: datetime | None = None
    draining: str = ""
    stop_workers: bool = False
    confirmed: bool = False
    counted: tuple[int, int] = (0, 0)

    def rest(self, lane: str, now: datetime) -> datetime:
        """Lets a lane rest after a failure, longer with each in a row; until when."""
        count = self.failures.get(lane, 0)
        self.failures[lane] = count + 1
        pause: timedelta = min(FIRST_REST * (2 ** min(count, 12)), LONGEST_REST)
        until = now + pause
        self.holdoff[lane] = until
        return until

    def recovered(self, lane: str) -> None:
        self.failures.pop(lane, None)
        self.bugs.pop(lane, None)
        self.holdoff.pop(lane, None)
