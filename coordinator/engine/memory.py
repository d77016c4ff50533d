"""What the engine remembers between ticks and may forget in a crash: each item is found again by looking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import WorkerView
from coordinator.engine.facts import Examined
from coordinator.engine.speech import Speeches
from coordinator.planning.actions import mute_lane, work_lane
from coordinator.planning.rules.tell import LABELS_AGAIN, LABELS_IN_ALL
from coordinator.planning.snapshot import Gate, Refused, Untidied
from coordinator.ports import Signs

FIRST_REST = timedelta(seconds=1)
LONGEST_REST = timedelta(minutes=5)
GAP = timedelta(seconds=90)
"""The engine looks every 30 s at least: after longer the clock was set, or nothing ran here."""
LONGEST_WORDS = 300
"""Of a trouble: it stands in the board, and git may say pages."""


@dataclass(frozen=True)
class Trouble:
    """What failed `count` times in a row for a task that came to its state at `since`, and the words of the last."""

    since: datetime
    count: int
    words: str


@dataclass
class Labelled:
    """How often a task's labels were set since its last attempt began: `sets` in all, `again` in `state` just as the
    time before, `last`: what was put there and what was taken off."""

    attempts: int
    state: TaskState
    sets: int = 0
    again: int = 0
    last: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())

    def is_over(self, task: Task) -> bool:
        """Whether they are somebody else's affair until the task is worked on again."""
        often = self.state is task.state and self.again >= LABELS_AGAIN
        return self.attempts == task.attempts and (often or self.sets >= LABELS_IN_ALL)


@dataclass
class Memory:
    """`failures` counts an effect's failures in a row, by lane, `bugs` those among them that are faults of ours;
    `troubles` tells, by lane, of those that are one task's affair and not GitHub's;
    `looked` is until when the files of a running task need no other look, by lane; `checked` is when a provider was
    asked last, `seen_at` when the engine looked last, `woke_at` when it found the clock set or the host back from
    sleep. `short` are the codes of the floors that held work when it looked last, by host, `claim_words` what was said
    last of a claim that is another's, `labelled` how a task's labels were set since an attempt of it began, `muted`
    since when GitHub forbids comments on its issue."""

    busy: set[str] = field(default_factory=set)
    holdoff: dict[str, datetime] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    bugs: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    examined: dict[str, Examined] = field(default_factory=dict)
    survivors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    looked: dict[str, datetime] = field(default_factory=dict)
    touched: dict[str, frozenset[str]] = field(default_factory=dict)
    signs: dict[str, Signs] = field(default_factory=dict)
    views: dict[str, WorkerView] = field(default_factory=dict)
    unready: dict[str, Gate] = field(default_factory=dict)
    checked: dict[str, datetime] = field(default_factory=dict)
    refused: dict[str, Refused] = field(default_factory=dict)
    short: dict[str, frozenset[str]] = field(default_factory=dict)
    speeches: Speeches = field(default_factory=Speeches)
    github_until: datetime | None = None
    github_words: str = ""
    poll_due: bool = True
    polled_at: datetime | None = None
    listed_at: datetime | None = None
    seen_at: datetime | None = None
    woke_at: datetime | None = None
    draining: str = ""
    stop_workers: bool = False
    confirmed: bool = False
    claim_words: str = ""
    labelled: dict[str, Labelled] = field(default_factory=dict)
    counted: tuple[int, int] = (0, 0)
    untidied: dict[str, Untidied] = field(default_factory=dict)
    muted: dict[str, datetime] = field(default_factory=dict)

    def look(self, now: datetime) -> None:
        """Notices that the clock was set or that the host slept. Rests that were measured by a clock set back since
        would last as long as it was wrong: they are forgotten, and all is listed anew."""
        before, self.seen_at = self.seen_at or now, now
        if not before <= now <= before + GAP:
            self.woke_at = now
        if now < before:
            self.holdoff.clear()
            self.looked.clear()
            self.checked.clear()
            self.untidied.clear()
            self.muted.clear()
            self.github_until = self.listed_at = None
            self.poll_due = True

    def rest(self, lane: str, now: datetime) -> datetime:
        """Lets a lane rest after a failure, longer with each in a row; until when."""
        count = self.failures.get(lane, 0)
        self.failures[lane] = count + 1
        pause: timedelta = min(FIRST_REST * (2 ** min(count, 12)), LONGEST_REST)
        until = now + pause
        self.holdoff[lane] = until
        return until

    def troubled(self, lane: str, task: Task | None, words: str) -> None:
        """An effect failed; `task` is whom it was for, None where it was nobody's work or GitHub's affair."""
        before = self.troubles.pop(lane, None)
        if task is None or lane != work_lane(task.id):
            return
        count = before.count if before is not None and before.since == task.state_since else 0
        plain = " ".join(words.split())
        shown = plain if len(plain) <= LONGEST_WORDS else plain[:LONGEST_WORDS - 1] + "…"
        self.troubles[lane] = Trouble(task.state_since, count + 1, shown)

    def lasting(self, tasks: Mapping[str, Task]) -> dict[str, tuple[int, str]]:
        """(how often, the last words) of each trouble by lane; those of tasks that moved on or are gone are dropped."""
        since = {work_lane(task.id): task.state_since for task in tasks.values()}
        self.troubles = {lane: one for lane, one in self.troubles.items() if since.get(lane) == one.since}
        return {lane: (one.count, one.words) for lane, one in self.troubles.items()}

    def leave_labels(self, task: Task) -> None:
        """They are not ours to change, as far as GitHub is concerned, until the task is worked on again."""
        self.labelled[task.id] = Labelled(task.attempts, task.state, LABELS_IN_ALL)

    def mute(self, task_id: str, now: datetime, most: timedelta) -> bool:
        """Comments on its issue were forbidden: none for a quarter of how long they have been, as it may last for ever,
        and `most` at most. Whether that is news."""
        since = self.muted.setdefault(task_id, now)
        self.holdoff[mute_lane(task_id)] = now + min(max((now - since) / 4, LONGEST_REST), most)
        return since == now

    def unmute(self, task_id: str) -> None:
        """It was told, be it by labels alone: whatever is forbidden from now on is news."""
        self.muted.pop(task_id, None)

    def recovered(self, lane: str) -> None:
        self.failures.pop(lane, None)
        self.bugs.pop(lane, None)
        self.troubles.pop(lane, None)
        self.holdoff.pop(lane, None)
