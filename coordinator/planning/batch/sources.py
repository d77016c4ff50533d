"""Members of a batch from what is known of them: the run files of a job, or a task's row of the board."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from coordinator.domain.job import Job
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import TaskState
from coordinator.domain.worker import Health
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.health.jobs import JobHealth, reason_of

_JOBS: Mapping[Health, Stand] = {
    Health.WAITING: Stand.WAITING,
    Health.STARTING: Stand.RUNNING,
    Health.HEALTHY: Stand.RUNNING,
    Health.STALLED: Stand.RUNNING,
    Health.UNKNOWN: Stand.RUNNING,
    Health.EXITED_OK: Stand.GOOD,
    Health.EXITED_ERR: Stand.BAD,
    Health.BLOCKED: Stand.BAD,
    Health.LEAKED: Stand.BAD,
    Health.MISSING: Stand.BAD,
    Health.STOPPED: Stand.STOPPED,
}
TASKS: Mapping[TaskState, Stand] = {
    TaskState.QUEUED: Stand.WAITING,
    TaskState.BACKOFF: Stand.WAITING,
    TaskState.PREPARING: Stand.RUNNING,
    TaskState.RUNNING: Stand.RUNNING,
    TaskState.PUBLISHING: Stand.RUNNING,
    TaskState.IN_REVIEW: Stand.GOOD,
    TaskState.DONE: Stand.GOOD,
    TaskState.BLOCKED: Stand.BAD,
    TaskState.FAILED: Stand.BAD,
    TaskState.CANCELLED: Stand.STOPPED,
}


def of_job(job: Job, word: JobHealth) -> Member:
    """Without the last line of its error, which stands in another file."""
    stand = _stand(job, word)
    bad = stand is Stand.BAD
    reason = (reason_of(job.outcome) if job.outcome else word.reason) if bad or stand is Stand.STOPPED else ""
    return Member(
        id=job.id,
        stand=stand,
        state=str(word.health),
        reason=reason,
        words=job.outcome.get("words", "") if bad else "",
        excluded=bad and _excluded(reason),
        since=word.since,
        started_at=_moment(job.meta.get("restarted_at")) or _moment(job.meta.get("started_at")),
        ended_at=_moment(job.outcome.get("completed_at")),
        duration_sec=_number(job.outcome.get("duration_sec")),
        attempts=job.retries + 1,
        provider=job.provider,
        artefact=_artefact_of_job(job) if stand is Stand.GOOD else "",
    )


def _stand(job: Job, word: JobHealth) -> Stand:
    """A run that does nothing is bad once it ended, and goes on before."""
    if word.health is Health.NO_OP:
        return Stand.BAD if job.outcome else Stand.RUNNING
    return _JOBS[word.health]


def _artefact_of_job(job: Job) -> str:
    """What it printed and changed is all that is known to be its result."""
    if job.faults:
        return "unreadable"
    return "ok" if job.log_bytes or job.outcome.get("mutations", "0") not in ("", "0") else "empty"


def of_row(row: Mapping[str, Any]) -> Member:
    """Of a row of board.json that has an id and a state."""
    stand = TASKS[TaskState(row["state"])]
    attempts = row.get("attempts") or []
    last: Mapping[str, Any] = attempts[-1] if attempts else {}
    reason, bad = str(row.get("reason") or last.get("reason") or ""), stand is Stand.BAD
    seen: Mapping[str, Any] = row.get("batch") or {}   # as the gate of its batch sees it
    wave = seen.get("wave")
    return Member(
        id=str(row["id"]),
        stand=stand,
        state=str(row["state"]),
        wave=wave if isinstance(wave, int) and wave > 0 else 1,
        reason=str(seen.get("reason") or "") or (reason if bad or stand is Stand.STOPPED else ""),
        words=str(seen.get("words") or "") or (str(row.get("detail") or last.get("detail") or "") if bad else ""),
        excluded=bool(seen.get("excluded")) or (bad and _excluded(reason)),
        since=_moment(row.get("since")),
        started_at=_moment(last.get("started")),
        ended_at=_moment(last.get("ended")),
        duration_sec=_number(last.get("duration_sec")),
        attempts=len(attempts),
        provider=str(last.get("provider") or row.get("provider") or ""),
        title=str(row.get("title") or ""),
        artefact=_artefact_of_row(row, last) if stand is Stand.GOOD else "",
    )


def _artefact_of_row(row: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """A pull request, or commits. Of a task that is good without any its coordinator knows why."""
    return "ok" if row.get("pr_number") or _number(last.get("commits")) else ""


def _excluded(reason: str) -> bool:
    """A code that nobody knows is the task's own."""
    found = REASONS.get(reason)
    return found is not None and not found.counts


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return None if at is None else at.replace(tzinfo=at.tzinfo or UTC).astimezone(UTC)


def _number(value: object) -> float:
    """0 for anything that is no finite number."""
    try:
        found = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return found if 0 <= found < 1e12 else 0.0
