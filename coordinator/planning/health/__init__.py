"""The health that operators read: a pure function of what the executor saw, the settings and the time.

Nothing here ends a worker; a rule may, on the word `stalled`. What could not be asked is `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.domain.worker import Beat, Exited, Health, Missing, Running, Unknown, Waiting, WorkerView

FROZEN_AFTER = timedelta(seconds=60)
"""Every process of the tree in state T for so long: stalled at once."""

NEXT_BEAT = timedelta(seconds=90)
"""Three heartbeats of the wrapper: one that runs has written one since."""


@dataclass(frozen=True)
class Settings:
    """How long a start may be silent, a worker without progress, and one without print or change; and the
    share of one core below which CPU time is no sign of progress."""

    grace: timedelta = timedelta(seconds=300)
    stall: timedelta = timedelta(minutes=20)
    no_mutation: timedelta = timedelta(minutes=30)
    idle_cpu: float = 0.02


@dataclass(frozen=True)
class HealthWord:
    """`since` is when this began, as far as it is known; `words` say what it was judged by."""

    health: Health
    since: datetime | None
    words: str


def judge_health(view: WorkerView, now: datetime, settings: Settings = Settings()) -> HealthWord:
    """The health of one worker at `now` (aware). `blocked` is a state of a task and not judged here."""
    match view:
        case Waiting(reason):
            return HealthWord(Health.WAITING, None, reason)
        case Unknown(reason, since):
            return HealthWord(Health.UNKNOWN, since, reason)
        case Missing(started):
            words = "it started and left no outcome" if started else "no record of it"
            return HealthWord(Health.MISSING, None, words)
        case Exited():
            return _ended(view)
        case Running():
            return _running(view, now, settings)


def _ended(view: Exited) -> HealthWord:
    since = _moment(view.ended_at) if view.ended_at else None
    if view.survivors:
        pids = ", ".join(str(pid) for pid in view.survivors)
        return HealthWord(Health.LEAKED, since, f"killed, yet alive: {pids}")
    if view.reason == "manual_stop":
        return HealthWord(Health.STOPPED, since, view.words or "stopped by a person")
    if view.reason == "no_mutation":
        return HealthWord(Health.NO_OP, since, view.words or "nothing printed, nothing changed")
    if view.code == 0 and view.reason == "process_exit":
        return HealthWord(Health.EXITED_OK, since, "exit 0")
    code = "-" if view.code is None else view.code
    how = f"exit {code}" if view.signal is None else f"signal {view.signal}"
    return HealthWord(Health.EXITED_ERR, since, f"{view.reason}, {how}")


def _running(view: Running, now: datetime, settings: Settings) -> HealthWord:
    beat = view.beat
    started = _moment(view.started_at)
    if beat is None:
        if now - started < settings.grace:
            return HealthWord(Health.STARTING, started, "nothing seen yet")
        if now - started < settings.stall:
            return HealthWord(Health.HEALTHY, started, "no heartbeat yet")
        return HealthWord(Health.STALLED, started, f"no heartbeat for {_age(now - started)}")
    frozen = _frozen(beat, now)
    if frozen is not None:
        return HealthWord(Health.STALLED, frozen, f"its processes are in state T for {_age(now - frozen)}")
    sign, what = last_sign(beat, settings.idle_cpu)
    quiet = now - sign
    launched = _moment(beat.since) if started > now else max(started, _moment(beat.since))   # it was set back since
    if not _seen(beat, settings.idle_cpu) and now - launched < settings.grace:
        return HealthWord(Health.STARTING, launched, "nothing seen yet")
    silent = now - _moment(beat.at)
    if silent >= settings.stall:
        return HealthWord(Health.STALLED, sign, f"no heartbeat of its wrapper for {_age(silent)}")
    if quiet >= settings.stall:
        return HealthWord(Health.STALLED, sign, f"no sign of progress for {_age(quiet)}; the last: {what}")
    if _idle_hands(beat, launched) and now - launched >= settings.no_mutation:
        words = f"nothing printed and nothing changed for {_age(now - launched)}"
        return HealthWord(Health.NO_OP, launched, words)
    return HealthWord(Health.HEALTHY, sign, f"{what} {_age(quiet)} ago")


def leapt(view: Running, now: datetime, woke_at: datetime | None) -> bool:
    """Whether the next heartbeat is to be waited for: after the clock was set or the host slept (it was found at
    `woke_at`), the last one seems as old as the leap was long."""
    if woke_at is None or view.beat is None or now - woke_at >= NEXT_BEAT:
        return False
    return now.timestamp() - view.beat.at >= NEXT_BEAT.total_seconds()


def last_sign(beat: Beat, idle_cpu: float) -> tuple[datetime, str]:
    """The newest sign of progress inside the window, and its name; the window's start when there is none.

    The wrapper moves the CPU witness only above its own idle share; a busy last beat counts at its time too.
    """
    signs = [(beat.since, "start of observation")]
    signs += [(witness.moved_at, name) for witness, name in (
        (beat.log, "output"), (beat.event, "event"), (beat.tree, "change in the worktree")) if witness is not None]
    busy = beat.cpu_share >= idle_cpu
    signs.append((beat.at if busy else beat.cpu.moved_at, "CPU"))
    at, name = max(signs, key=lambda sign: sign[0])
    return _moment(at), name


def _frozen(beat: Beat, now: datetime) -> datetime | None:
    if beat.stopped_since is None:
        return None
    since = _moment(beat.stopped_since)
    return since if now - since >= FROZEN_AFTER else None


def _seen(beat: Beat, idle_cpu: float) -> bool:
    """Whether any witness moved inside the window."""
    return max(_printed_or_changed(beat), beat.cpu.moved_at) > beat.since or beat.cpu_share >= idle_cpu


def _printed_or_changed(beat: Beat) -> float:
    """When output, events or the worktree moved last."""
    seen = [beat.log, beat.event] + ([beat.tree] if beat.tree is not None else [])
    return max([witness.moved_at for witness in seen])


def _idle_hands(beat: Beat, launched: datetime) -> bool:
    """Nothing printed, no event, no change in the worktree since the launch. Without one that cannot be known."""
    return beat.tree is not None and _moment(_printed_or_changed(beat)) <= launched


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _age(span: timedelta) -> str:
    seconds = max(0, int(span.total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    return f"{seconds // 60}m" if seconds < 7200 else f"{seconds // 3600}h {seconds % 3600 // 60:02d}m"
