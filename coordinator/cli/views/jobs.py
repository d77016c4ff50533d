"""Jobs as tables of text: one row an instance, the columns that people's scripts know. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.cli.views.fitting import Line, age, clean, columns, cut, width_of
from coordinator.domain.job import Job
from coordinator.domain.worker import Health, Running
from coordinator.planning.health.jobs import JobHealth, dx_state, old_state, over

ABSENT = "-"
A_DAY = timedelta(days=1)
NARROWEST_ID = 12
OLD_NAME, DX_NAME = "cc-glm-job", "dx-runner"
"""The spellings whose words are printed (app/faces.py)."""

_STATUS = ("bead", "pid", "state", "elapsed", "bytes", "last_update", "retry", "override", "outcome")
_HEALTH = ("bead", "pid", "health", "last_update", "retry", "override", "outcome")
_KINDS = {
    Health.HEALTHY: "RUNNING", Health.STARTING: "RUNNING", Health.WAITING: "", Health.EXITED_OK: "DONE",
    Health.STOPPED: "DONE", Health.STALLED: "HELD", Health.NO_OP: "HELD", Health.UNKNOWN: "HELD",
    Health.EXITED_ERR: "FAILED", Health.BLOCKED: "BLOCKED", Health.LEAKED: "FAILED", Health.MISSING: "HELD",
}  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """A job and what was judged of it at `now`. `job` is None for an id of which there is no record."""

    id: str
    job: Job | None
    word: JobHealth
    now: datetime

    @property
    def ended(self) -> bool:
        return self.job is None or over(self.job)

    @property
    def pid(self) -> int | None:
        """Of a living worker; none of one that ended or is blocked."""
        if self.job is None or self.ended or self.word.health is Health.BLOCKED:
            return None
        return self.job.pid or None

    @property
    def started_at(self) -> datetime | None:
        """When the present run began."""
        if self.job is None:
            return None
        if isinstance(self.job.view, Running) and self.job.view.started_at:
            return datetime.fromtimestamp(self.job.view.started_at, UTC)
        return moment(self.job.meta.get("restarted_at", "")) or moment(self.job.meta.get("started_at", ""))

    @property
    def ended_at(self) -> datetime | None:
        """By its outcome, else when its log was written last; None while it runs, or where nothing tells."""
        if self.job is None or not self.ended:
            return None
        told = moment(self.job.outcome.get("completed_at", ""))
        if told is None and self.job.log_at is not None:
            return datetime.fromtimestamp(self.job.log_at, UTC)
        return told

    @property
    def elapsed(self) -> float | None:
        """Seconds of the present run; it stands still at the end."""
        if self.job is None:
            return None
        if self.job.outcome.get("duration_sec"):
            return number(self.job.outcome["duration_sec"])
        until = self.ended_at if self.ended else self.now if isinstance(self.job.view, Running) else None
        if until is None or self.started_at is None:
            return None
        return max(0.0, (until - self.started_at).total_seconds())

    @property
    def override(self) -> str:
        if self.job is None:
            return ""
        return "blocked" if self.job.blocked else "no-restart" if self.job.no_auto_restart else ""

    @property
    def outcome(self) -> str:
        """`success:0 (180s)`, "" without an outcome."""
        found = self.job.outcome if self.job is not None else {}
        if not found:
            return ""
        took = number(found.get("duration_sec", ""))
        span = f" ({int(took)}s)" if took is not None else ""
        return f"{clean(found.get('state') or 'failed')}:{clean(found.get('exit_code') or ABSENT)}{span}"

    @property
    def last_update(self) -> float | None:
        """Seconds since the log was written."""
        if self.job is None or self.job.log_at is None:
            return None
        return max(0.0, self.now.timestamp() - self.job.log_at)

    @property
    def silent(self) -> bool:
        """Alive beyond its start, with an empty log: output may be held back for want of a terminal."""
        if self.job is None or self.ended or not isinstance(self.job.view, Running) or self.job.log_bytes:
            return False
        return self.word.health not in (Health.STARTING, Health.WAITING)

    def state(self, spelling: str) -> str:
        """The health as the name `spelling` says it."""
        if spelling == DX_NAME:
            return dx_state(self.word, ended=self.ended)
        return str(self.word.health)


def moment(text: str) -> datetime | None:
    """An ISO time of a run file, aware; None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def number(text: str) -> float | None:
    """A number out of a file that anybody may have written; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e15 else None


# --- which ----------------------------------------------------------------------------------------------


def listed(jobs: Sequence[Seen], *, recent: int = 0, everything: bool = False) -> list[Seen]:
    """What runs, what wants a person, and what ended within a day; or the `recent` that ended last; or everything."""
    if recent:
        ended = [one for one in jobs if one.ended]
        return sorted(ended, key=_end, reverse=True)[:recent]
    shown = [one for one in jobs if everything or _current(one)]
    return sorted(shown, key=lambda one: (one.ended, one.id))


def _current(one: Seen) -> bool:
    if not one.ended or one.word.health in (Health.BLOCKED, Health.LEAKED):
        return True
    return one.ended_at is None or one.now - one.ended_at < A_DAY


def _end(one: Seen) -> tuple[float, str]:
    return one.ended_at.timestamp() if one.ended_at is not None else 0.0, one.id


# --- tables ---------------------------------------------------------------------------------------------


def status_table(jobs: Sequence[Seen], spelling: str, *, overrides: bool = False, width: int = 0) -> list[Line]:
    """`width` is that of the terminal, 0 where lines may be as long as they are."""
    return _table(_STATUS, jobs, spelling, overrides=overrides, width=width)


def health_table(jobs: Sequence[Seen], spelling: str, *, overrides: bool = False, width: int = 0) -> list[Line]:
    return _table(_HEALTH, jobs, spelling, overrides=overrides, width=width)


def _table(wanted: Sequence[str], jobs: Sequence[Seen], spelling: str, *, overrides: bool, width: int) -> list[Line]:
    names = [name for name in wanted if overrides or name != "override"]
    if spelling != OLD_NAME:
        names.insert(1, "provider")
    cells = [[_CELLS[name](one, spelling) for name in names] for one in jobs]
    widths = [max(width_of(name), *(width_of(row[at]) for row in cells), 0) for at, name in enumerate(names)]
    if width:
        spare = sum(widths) + 2 * (len(widths) - 1) - width
        widths[0] = min(widths[0], max(NARROWEST_ID, widths[0] - max(0, spare)))
    kinds = ["title", *(_KINDS[one.word.health] for one in jobs)]
    lines = columns([names, *cells], widths)
    return [Line(kind, cut(text, width) if width else text) for kind, text in zip(kinds, lines, strict=True)]


def _state(one: Seen, spelling: str) -> str:
    return old_state(one.word.health) if spelling == OLD_NAME else one.state(spelling)


def _bytes(one: Seen) -> str:
    return str(one.job.log_bytes) if one.job is not None and one.job.log_at is not None else ABSENT


_CELLS: Mapping[str, Callable[[Seen, str], str]] = {
    "bead": lambda one, _: one.id,
    "provider": lambda one, _: clean(one.job.provider) if one.job is not None else ABSENT,
    "pid": lambda one, _: str(one.pid or ABSENT),
    "state": _state,
    "health": lambda one, spelling: one.state(spelling),
    "elapsed": lambda one, _: age(one.elapsed) if one.elapsed is not None else ABSENT,
    "bytes": lambda one, _: _bytes(one),
    "last_update": lambda one, _: f"{age(one.last_update)} ago" if one.last_update is not None else ABSENT,
    "retry": lambda one, _: str(one.job.retries) if one.job is not None else ABSENT,
    "override": lambda one, _: one.override,
    "outcome": lambda one, _: one.outcome or ABSENT,
}
