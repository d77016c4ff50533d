"""What a watch remembers of a batch between two looks, so that the second tells only what is new.

Plain data in, plain data out: where it is kept is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from coordinator.planning.batch.cadence import Pace
from coordinator.planning.batch.cohort import Counts, Health
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.scope import SLURM
from coordinator.planning.batch.signature import signature

MOST = 500
"""Transitions and samples that are kept; of more the oldest go."""


@dataclass(frozen=True)
class Sight:
    """A member as it was seen last. `run` tells one run of it from the next."""

    stand: Stand
    state: str
    run: str = ""
    reason: str = ""
    words: str = ""


@dataclass(frozen=True)
class Change:
    """A member that moved. `before` is "" for one that was not there, `after` "gone" for one that is no more. `failed`:
    this is a failure nobody was told of. `name` is what people call it beside its id; of jobs of a cluster alone, as
    titles of issues are long."""

    at: datetime
    id: str
    before: str
    after: str
    reason: str = ""
    words: str = ""
    failed: bool = False
    name: str = ""


@dataclass(frozen=True)
class Signal:
    """A line of trouble in a member's log that nobody saw the like of before, in this member or another."""

    id: str
    line: str


@dataclass(frozen=True)
class Sample:
    """How many stood where at one time."""

    at: datetime
    waiting: int
    running: int
    good: int
    bad: int
    stopped: int
    word: str


@dataclass(frozen=True)
class Step:
    """From this time on the batch was looked at so often."""

    at: datetime
    mode: str
    seconds: float


@dataclass(frozen=True)
class Act:
    """What a person did about the batch: cancel, clean, resubmit, resume, hold, smoke or fix; or what befell the watch
    itself: trouble, sync. `made` pairs each id with that of the run that took its place."""

    at: datetime
    what: str
    words: str = ""
    ids: tuple[str, ...] = ()
    made: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Journal:
    """`quiet` counts the looks in a row without news, `looks` all of them; `dropped` transitions are kept no more.
    `word`, `decision` and `counts` are those of the last look. `signals` names for each kind of trouble that a log told
    of the member that told of it first; `synced` are those whose outputs were brought here. `facts` say what was
    confirmed about the batch when it was looked at last."""

    kind: str
    name: str
    place: str = ""
    begun_at: datetime | None = None
    looked_at: datetime | None = None
    looks: int = 0
    quiet: int = 0
    word: str = ""
    decision: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    sights: Mapping[str, Sight] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    samples: tuple[Sample, ...] = ()
    steps: tuple[Step, ...] = ()
    acts: tuple[Act, ...] = ()
    dropped: int = 0
    signals: Mapping[str, str] = field(default_factory=dict)
    synced: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class News:
    """What one look saw that the one before, at `since`, had not. `turned` is the batch's word before, "" where it
    stayed; `first`: nobody looked before."""

    changes: tuple[Change, ...] = ()
    turned: str = ""
    since: datetime | None = None
    signals: tuple[Signal, ...] = ()

    @property
    def first(self) -> bool:
        return self.since is None

    @property
    def any(self) -> bool:
        return bool(self.changes or self.turned or self.signals)


def run_of(member: Member) -> str:
    """What is another for each of its runs."""
    began = member.started_at.isoformat(timespec="seconds") if member.started_at is not None else ""
    return f"{member.attempts}@{began}"


def sight(member: Member) -> Sight:
    return Sight(member.stand, member.state, run_of(member), member.reason, member.words)


def look(journal: Journal, members: Sequence[Member], health: Health, now: datetime) -> tuple[Journal, News]:
    """The journal after this look and what is new. A word that the batch has from the first look on is no news."""
    changes = tuple(_changes(journal, members, now))
    turned = journal.word if journal.word and journal.word != str(health.word) else ""
    told = _new_signals(journal.signals, members)
    news = News(changes, turned, journal.looked_at, tuple(told.values()))
    kept = (*journal.changes, *changes)
    after = replace(
        journal,
        begun_at=journal.begun_at or now,
        looked_at=now,
        looks=journal.looks + 1,
        quiet=0 if news.any else journal.quiet + 1,
        word=str(health.word),
        decision=health.decision,
        counts=_numbers(health.counts),
        sights={one.id: sight(one) for one in members},
        changes=kept[-MOST:],
        samples=_sampled(journal.samples, health, now),
        dropped=journal.dropped + max(0, len(kept) - MOST),
        signals=dict([*journal.signals.items(), *((mark, one.id) for mark, one in told.items())][-MOST:]),
    )
    return after, news


def paced(journal: Journal, step: Pace, now: datetime) -> Journal:
    """The journal with this cadence in it, where it is another than before."""
    seconds = step.pause.total_seconds()
    last = journal.steps[-1] if journal.steps else None
    if last is not None and (last.mode, last.seconds) == (str(step.mode), seconds):
        return journal
    return replace(journal, steps=(*journal.steps, Step(now, str(step.mode), seconds))[-MOST:])


def acted(journal: Journal, act: Act) -> Journal:
    return replace(journal, begun_at=journal.begun_at or act.at, acts=(*journal.acts, act)[-MOST:])


def _new_signals(known: Mapping[str, str], members: Sequence[Member]) -> dict[str, Signal]:
    """By what they have in common with others of their kind."""
    found: dict[str, Signal] = {}
    for one in members:
        mark = signature(one.signal) if one.signal else ""
        if mark and mark not in known:
            found.setdefault(mark, Signal(one.id, one.signal))
    return found


def _changes(journal: Journal, members: Sequence[Member], now: datetime) -> Iterable[Change]:
    """A member whose place another took was told of when that was done."""
    before = journal.sights
    replaced = {old for act in journal.acts for old in act.made}
    for member in members:
        was, now_is = before.get(member.id), sight(member)
        if was is not None and (was.state, was.run) == (now_is.state, now_is.run):
            continue
        bad = member.stand is Stand.BAD
        yield Change(now, member.id, was.state if was is not None else "", member.state, member.reason, member.words,
                     failed=bad, name=member.title if journal.kind == SLURM else "")
    here = {member.id for member in members}
    for name in sorted(set(before) - here - replaced):
        yield Change(now, name, before[name].state, "gone")


def _sampled(samples: tuple[Sample, ...], health: Health, now: datetime) -> tuple[Sample, ...]:
    counts = health.counts
    one = Sample(now, counts.waiting, counts.running, counts.good, counts.bad + counts.excluded, counts.stopped,
                 str(health.word))
    last = samples[-1] if samples else None
    if last is not None and replace(last, at=now) == one:
        return samples
    return (*samples, one)[-MOST:]


def _numbers(counts: Counts) -> dict[str, int]:
    return {"total": counts.total, "waiting": counts.waiting, "running": counts.running, "good": counts.good,
            "bad": counts.bad, "stopped": counts.stopped, "excluded": counts.excluded}
