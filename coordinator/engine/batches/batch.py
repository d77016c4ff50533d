"""One batch as the verbs have it: how its members are found, what is remembered of it, the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from coordinator.planning.batch import cadence, cohort, journal
from coordinator.planning.batch.cadence import Pace
from coordinator.planning.batch.cohort import Bands, Health
from coordinator.planning.batch.journal import Act, Journal, News, Sight
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.scope import Scope

Find = Callable[[Mapping[str, Sight]], Sequence[Member]]
"""The members as they are now. What was seen before is given, so that a log is read again only where one moved."""


class Memory(Protocol):
    """Where the journal of one batch is kept."""

    def read(self) -> Journal:
        """A blank one where there is none."""

    def change(self, how: Callable[[Journal], Journal]) -> Journal:
        """Read, changed and written while nobody else does so. Raises OSError."""


@dataclass(frozen=True)
class Look:
    """What one look saw. `pace` says when to look again."""

    members: tuple[Member, ...]
    health: Health
    journal: Journal
    news: News
    pace: Pace

    @property
    def over(self) -> bool:
        """Whether every member ended."""
        return self.pace.mode is cadence.Mode.OVER

    @property
    def failed(self) -> bool:
        return bool(self.health.counts.bad or any(one.stand is Stand.BAD for one in self.members))


@dataclass(frozen=True)
class Files:
    """Where a member works, and what tells of its last run; "" where there is none."""

    worktree: str = ""
    log: str = ""


@dataclass(frozen=True)
class Batch:
    """`gate` says in words how its coordinator lets it start, "" where nobody does; `files` by the member's id."""

    scope: Scope
    find: Find
    memory: Memory
    bands: Bands
    now: Callable[[], datetime]
    gate: Callable[[], str] = str
    files: Callable[[], Mapping[str, Files]] = dict

    def members(self) -> tuple[Member, ...]:
        """As they are now."""
        return tuple(self.find(self.memory.read().sights))

    def peek(self) -> Look:
        """As a look, with nothing written."""
        return self._seen(self.memory.read(), self.members())[0]

    def look(self) -> Look:
        """Looks, and writes down what was seen."""
        members = self.members()
        found: list[Look] = []

        def how(before: Journal) -> Journal:
            one, after = self._seen(before, members)
            found.append(one)
            return after

        self.memory.change(how)
        return found[-1]

    def note(self, what: str, words: str = "", ids: Sequence[str] = (), made: Mapping[str, str] | None = None) -> None:
        """Writes down what was done about the batch."""
        act = Act(self.now(), what, words, tuple(ids), dict(made or {}))
        self.memory.change(lambda before: journal.acted(before, act))

    def _seen(self, before: Journal, members: tuple[Member, ...]) -> tuple[Look, Journal]:
        now = self.now()
        health = cohort.judge(members, self.bands)
        after, news = journal.look(before, members, health, now)
        step = cadence.pace(members, health.word, after.quiet)
        after = journal.paced(after, step, now)
        return Look(members, health, after, news, step), after
