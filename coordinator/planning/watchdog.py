"""What the watchdog does about each job that a person started: a pure answer to what may be known of it.

It carries nothing out. A healthy worker, another's job and what could not be asked are never acted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.job import MANUAL, Job
from coordinator.domain.worker import Beat, Exited, Health, Missing, Running
from coordinator.planning.health import Settings, last_sign, leapt
from coordinator.planning.health.jobs import JobHealth, judge_job, reason_of
from coordinator.planning.restart import blocked_by

INTERRUPTED = timedelta(hours=1)
"""So long after it a restart in whose midst the watchdog died is gone on with; older ones are history."""


@dataclass(frozen=True)
class Orders:
    """`max_retries` is how often a job may be started again before it is blocked; `no_auto_restart` blocks at the first
    stall. `observe_only`: whatever would be done is said and not done."""

    max_retries: int = 1
    observe_only: bool = False
    no_auto_restart: bool = False


@dataclass(frozen=True)
class Restart:
    """Its worker is ended and started again. `unbegun`: it was to be, and nothing began; that is made good."""

    job: Job
    words: str
    unbegun: bool = False

    @property
    def nth(self) -> int:
        """Which restart of the job it is, from 1."""
        return self.job.retries + (not self.unbegun)


@dataclass(frozen=True)
class Block:
    """It is left to a person; what runs, runs on up to its time limit. `reason` is the block's reason code."""

    job: Job
    reason: str
    words: str


@dataclass(frozen=True)
class End:
    """Its worker is ended with this reason code."""

    job: Job
    reason: str
    words: str


@dataclass(frozen=True)
class Record:
    """A run that vanished gets its outcome."""

    job: Job


@dataclass(frozen=True)
class Note:
    """Samples for people in meta; nothing is judged by them."""

    job: Job
    last_cpu_time: str
    last_progress_at: datetime


@dataclass(frozen=True)
class Await:
    """The clock leapt: its next heartbeat will tell."""

    job: Job
    words: str


@dataclass(frozen=True)
class Say:
    """Nothing is done. `cause` stays the same as long as there is nothing new to say."""

    job: Job
    cause: str
    words: str


Action = Restart | Block | End | Record | Note | Await | Say


def watch(
    jobs: Iterable[Job], now: datetime, settings: Settings, orders: Orders, woke_at: datetime | None = None
) -> tuple[Action, ...]:
    """In the order of the jobs. `woke_at` is when the clock was found set or the host back from sleep."""
    found = (action for job in jobs for action in _one(job, now, settings, orders, woke_at))
    return tuple(_observed(found, orders) if orders.observe_only else found)


def _one(job: Job, now: datetime, settings: Settings, orders: Orders, woke_at: datetime | None) -> Iterator[Action]:
    if job.owner != MANUAL:
        return
    if job.outcome:
        if interrupted(job, now):
            words = "it was ended as stalled, and the watchdog died before it began again"
            yield _once_more(job, words, orders, unbegun=_named_alone(job))
        return
    if unbegun(job, now):
        words = "it was to be started again, and whoever did that died before anything ran"
        yield _once_more(job, words, orders, unbegun=True)
        return
    if isinstance(job.view, Missing | Exited):
        if not job.foreign:
            yield Record(job)
        return
    if job.blocked or not isinstance(job.view, Running):
        return
    word = judge_job(job, now, settings)
    if job.foreign:
        yield from _reported(job, word)
        return
    yield from _noted(job, job.view.beat, settings)
    if word.health in (Health.STALLED, Health.NO_OP):
        yield _troubled(job, job.view, word, now, settings, orders, woke_at)


def _troubled(job: Job, view: Running, word: JobHealth, now: datetime, settings: Settings, orders: Orders,
              woke_at: datetime | None) -> Action:
    """What is done about a worker that lives and does not get on."""
    if leapt(view, now, woke_at):
        return Await(job, "the clock leapt or the host slept: its next heartbeat is waited for")
    if word.health is Health.NO_OP:
        if view.beat is not None and _flat(view.beat, now, settings):
            return End(job, "no_mutation", f"{word.words}, and no CPU time used")
        return Say(job, "no_op", f"no_op: {word.words}; it uses CPU time, so only its time limit ends it")
    return _once_more(job, word.words, orders)


def _once_more(job: Job, words: str, orders: Orders, *, unbegun: bool = False) -> Restart | Block:
    before = job.retries - unbegun   # the one that never began is counted already
    reason = blocked_by(before, orders.max_retries, never=orders.no_auto_restart or job.no_auto_restart)
    return Block(job, reason, words) if reason else Restart(job, words, unbegun)


def interrupted(job: Job, now: datetime) -> bool:
    """Whether a watchdog ended this run for a restart that never came: nobody else ends one of a person's as stalled.
    One that left survivors gets no successor, nor one that a person stopped since."""
    if job.meta.get("no_restart_of") == job.token:
        return False
    if job.foreign or job.blocked or reason_of(job.outcome) != "stalled" or job.outcome.get("survivors"):
        return False
    try:
        ended = float(job.outcome.get("ended_at", ""))
    except ValueError:
        return False
    return abs(now.timestamp() - ended) < INTERRUPTED.total_seconds()


def unbegun(job: Job, now: datetime) -> bool:
    """Whether a restart put the run before aside and named this one, and died before a wrapper took it up."""
    if job.outcome or job.foreign or job.blocked or job.view != Missing(started=False):
        return False
    try:
        since = datetime.fromisoformat(job.meta.get("restarted_at", ""))
        return _named_alone(job) and abs(now - since) < INTERRUPTED
    except (ValueError, TypeError):
        return False


def _named_alone(job: Job) -> bool:
    """Whether nobody ever took the run up, also where it has an outcome meanwhile."""
    return job.meta.get("launch_state") == "starting"


def _flat(beat: Beat, now: datetime, settings: Settings) -> bool:
    """Whether it used no CPU time worth the name for as long as nothing was printed or changed."""
    quiet = now - datetime.fromtimestamp(beat.cpu.moved_at, now.tzinfo)
    return quiet >= settings.no_mutation and beat.cpu_share < settings.idle_cpu


def _noted(job: Job, beat: Beat | None, settings: Settings) -> Iterator[Note]:
    if beat is None:
        return
    note = Note(job, f"{beat.cpu.value:.2f}", last_sign(beat, settings.idle_cpu)[0].replace(microsecond=0))
    known = job.meta.get("last_progress_at", "")
    if job.meta.get("last_cpu_time") != note.last_cpu_time or not _same_second(known, note.last_progress_at):
        yield note


def _same_second(text: str, at: datetime) -> bool:
    """Heartbeats write an unmoved witness's time anew, a rounding apart."""
    try:
        return abs(datetime.fromisoformat(text) - at) <= timedelta(seconds=1)
    except (ValueError, TypeError):
        return False


def _reported(job: Job, word: JobHealth) -> Iterator[Say]:
    if word.health in (Health.STALLED, Health.NO_OP):
        words = f"{word.health}: {word.words}; other hands started it, so it is left alone"
        yield Say(job, f"foreign {word.health}", words)


def _observed(found: Iterable[Action], orders: Orders) -> Iterator[Action]:
    """What an observer says of each action; it leaves no sample."""
    for action in found:
        match action:
            case Restart(job, words):
                nth = f"restart {action.nth} of {orders.max_retries}"
                yield Say(job, "restart", f"stalled: {words}; would be restarted ({nth})")
            case Block(job, reason, words):
                yield Say(job, f"block {reason}", f"stalled: {words}; would be blocked ({reason})")
            case End(job, reason, words):
                yield Say(job, f"end {reason}", f"no_op: {words}; would be ended ({reason})")
            case Record(job):
                yield Say(job, "record", "it is gone and left no outcome; would be recorded")
            case Await() | Say():
                yield action
            case Note():
                continue
