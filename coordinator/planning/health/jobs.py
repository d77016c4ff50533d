"""The health of a job: what its run files say of the present run, the marks people and the watchdog left, the time.

What older tools print is a projection of this one word, never a judgement of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from coordinator.domain.job import Job
from coordinator.domain.worker import Beat, Exited, Health, Missing, Running
from coordinator.planning.health import HealthWord, Settings, judge_health, last_sign

BY_PEOPLE = frozenset({"manual_stop", "label_removed", "issue_closed", "paused", "shutdown"})
"""Ends that somebody wanted: neither a success nor an error of the agent."""

OTHER_SPELLINGS = {
    "no_mutation_timeout": "no_mutation",
    "max_runtime_exceeded": "max_runtime",
    "extended_stall": "stalled",
    "process_exit_with_rc": "process_exit",
    "late_finalize_from_rc_file": "process_exit",
    "late_finalize_no_rc": "process_exit",
    "monitor_no_rc_file": "process_exit",
}
"""Reason codes of older tools and what each is read as."""

SPELT: Mapping[str, Mapping[str, str]] = {
    "dx-runner": {"no_mutation": "no_mutation_timeout", "max_runtime": "max_runtime_exceeded",
                  "stalled": "extended_stall"},
}  # fmt: skip
"""Reason codes of ended runs as the name asked for prints them."""

FOREIGN_HEARTBEAT = timedelta(seconds=300)
"""Another tool's heartbeat so old, beside an empty log and an untouched worktree: nobody works there."""

CHECK_EXIT: Mapping[Health, int] = {
    Health.WAITING: 0, Health.STARTING: 0, Health.HEALTHY: 0, Health.EXITED_OK: 0, Health.STOPPED: 0,
    Health.STALLED: 2, Health.EXITED_ERR: 3, Health.BLOCKED: 3, Health.LEAKED: 3,
    Health.NO_OP: 23, Health.UNKNOWN: 26, Health.MISSING: 1,
}  # fmt: skip
"""The exit code of `check`."""

_LIVE = {
    Health.STARTING: "no_output_within_grace",
    Health.STALLED: "stale_log_and_no_cpu_progress",
    Health.NO_OP: "no_heartbeat_no_mutation",
    Health.WAITING: "waiting",
    Health.UNKNOWN: "unknown",
    Health.LEAKED: "leaked",
}
_SIGNS = {"CPU": "cpu_progress", "output": "recent_log_activity", "event": "recent_log_activity",
          "change in the worktree": "worktree_changed_no_output"}  # fmt: skip


@dataclass(frozen=True)
class JobHealth:
    """`reason` is the code that scripts read; the rest as in HealthWord."""

    health: Health
    since: datetime | None
    words: str
    reason: str

    @property
    def ended(self) -> bool:
        return self.health in (Health.EXITED_OK, Health.EXITED_ERR, Health.STOPPED)


def judge_job(job: Job | None, now: datetime, settings: Settings) -> JobHealth:
    """The health of a job's present run at `now`; `missing` for None. A block stands until a person lifts it, whatever
    became of the run."""
    if job is None or (not job.meta and isinstance(job.view, Missing)):
        return JobHealth(Health.MISSING, None, "no record of it", "no_meta")
    if job.blocked:
        return JobHealth(Health.BLOCKED, _when(job.meta.get("blocked_at", "")), _blocked_words(job),
                         job.blocked_reason or "blocked_flag_set")
    if job.outcome:
        return _ended(job)
    if isinstance(job.view, Missing):
        return _vanished(job, job.view)
    word = _given_up(job, now) or judge_health(job.view, now, settings)
    if isinstance(job.view, Exited):
        return JobHealth(word.health, word.since, word.words, job.view.reason)
    return JobHealth(word.health, word.since, word.words, _live_reason(job, word, settings))


def over(job: Job) -> bool:
    """Whether its present run has ended, with a word or without."""
    return bool(job.outcome) or isinstance(job.view, Exited | Missing)


def spelt(reason: str, spelling: str) -> str:
    """A reason code as the name `spelling` prints it ("" = ours)."""
    return SPELT.get(spelling, {}).get(reason, reason)


def reason_of(outcome: Mapping[str, str]) -> str:
    """An outcome's reason code in our spelling."""
    code = outcome.get("reason_code") or "process_exit"
    return OTHER_SPELLINGS.get(code, code)


def old_state(health: Health) -> str:
    """The four words of the older runners' `status`: running, stalled, exited, missing."""
    if health in (Health.EXITED_OK, Health.EXITED_ERR, Health.BLOCKED, Health.STOPPED):
        return "exited"
    return str(health) if health in (Health.STALLED, Health.MISSING) else "running"


def dx_state(word: JobHealth, *, ended: bool) -> str:
    """The word under the name dx-runner: ended jobs read exited_ok or exited_err, `starting` is called launching."""
    if word.health is Health.STARTING:
        return "launching"
    if ended and word.health in (Health.STOPPED, Health.NO_OP, Health.LEAKED):
        return "exited_err"
    return str(word.health)


def _ended(job: Job) -> JobHealth:
    outcome, reason = job.outcome, reason_of(job.outcome)
    since = _when(outcome.get("completed_at", ""))
    code = outcome.get("exit_code") or "-"
    if outcome.get("survivors"):
        return JobHealth(Health.LEAKED, since, f"killed, yet alive: {outcome['survivors']}", "leaked")
    if outcome.get("state") == "success":
        return JobHealth(Health.EXITED_OK, since, f"exit {code}", reason)
    words = outcome.get("words") or f"{reason}, exit {code}"
    if reason in BY_PEOPLE:
        return JobHealth(Health.STOPPED, since, words, reason)
    if reason == "no_mutation" or outcome.get("state") == "no_op":
        return JobHealth(Health.NO_OP, since, words, reason)
    return JobHealth(Health.EXITED_ERR, since, words, reason)


def _vanished(job: Job, view: Missing) -> JobHealth:
    since = datetime.fromtimestamp(job.log_at, UTC) if job.log_at is not None else None
    if view.started:
        return JobHealth(Health.EXITED_ERR, since, "it is gone and left no outcome", "lost")
    if job.foreign:
        return JobHealth(Health.EXITED_ERR, since, "no file names its process", "pid_file_missing")
    return JobHealth(Health.EXITED_ERR, since, "no wrapper ever took it up", "lost")


def _given_up(job: Job, now: datetime) -> HealthWord | None:
    """No-op by another tool's own sign of life."""
    beat = _beat(job)
    if not job.foreign or beat is None or not beat.event.value or job.log_bytes:
        return None
    last = datetime.fromtimestamp(beat.event.moved_at, UTC)
    changed = beat.tree is not None and beat.tree.moved_at > beat.since
    if changed or now - last <= FOREIGN_HEARTBEAT:
        return None
    return HealthWord(Health.NO_OP, last, "its tool's heartbeat stopped, nothing printed, nothing changed")


def _live_reason(job: Job, word: HealthWord, settings: Settings) -> str:
    if word.health is not Health.HEALTHY:
        return _LIVE.get(word.health, str(word.health))
    beat = _beat(job)
    sign = last_sign(beat, settings.idle_cpu)[1] if beat is not None else ""
    if sign == "change in the worktree" and job.log_bytes:
        return "recent_log_activity"
    return _SIGNS.get(sign, "no_output_within_grace")


def _beat(job: Job) -> Beat | None:
    return job.view.beat if isinstance(job.view, Running) else None


def _blocked_words(job: Job) -> str:
    return f"blocked: {job.blocked_reason or 'by hand'}"


def _when(text: str) -> datetime | None:
    """An ISO time of a run file; None for anything else."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
