"""Jobs as data for scripts: the JSON of `status`, `check` and `report`, key for key as scripts read it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coordinator.cli.views.jobs import Seen, number
from coordinator.domain.worker import Beat, Running, Unknown
from coordinator.planning.health.jobs import reason_of, spelt
from coordinator.wording.jobs import next_action

Facts = dict[str, Any]


def listing(jobs: Sequence[Seen], spelling: str, now: datetime) -> Facts:
    return {"generated_at": _stamp(now), "jobs": [_row(one, spelling) for one in jobs]}


def _row(one: Seen, spelling: str) -> Facts:
    return {
        "beads": one.id, "provider": _provider(one), "pid": one.pid, "state": one.state(spelling),
        "reason_code": _reason(one, spelling), "elapsed": _whole(one.elapsed), "log_bytes": _bytes(one),
        "mutation_count": _mutations(one), "retry_count": one.job.retries if one.job is not None else 0,
        "outcome": one.outcome or None, **_place(one),
    }  # fmt: skip


def check(one: Seen, spelling: str) -> Facts:
    """Of an id without a record too: its state is then `missing`."""
    return {
        "beads": one.id, "provider": _provider(one), "state": one.state(spelling),
        "reason_code": _reason(one, spelling), "words": one.word.words, **_place(one), "exit_code": _exit_code(one),
        "faults": list(one.job.faults) if one.job is not None else [],
    }  # fmt: skip


def report(one: Seen, spelling: str) -> Facts:
    """Everything that is known of the present run."""
    meta, outcome = _meta(one), _outcome(one)
    beat = _beat(one)
    cpu = number(outcome.get("cpu_sec", "")) if outcome else beat.cpu.value if beat is not None else None
    return {
        **check(one, spelling),
        "pid": one.pid,
        "run_id": _text(one, "run_id"),
        "started_at": _stamp(one.started_at),
        "completed_at": outcome.get("completed_at") or None,
        "duration_sec": _whole(one.elapsed),
        "retries": one.job.retries if one.job is not None else 0,
        "outcome_state": outcome.get("state") or None,
        "outcome_reason_code": spelt(reason_of(outcome), spelling) if outcome else None,
        "judged_by": outcome.get("judged_by") or None,
        "selected_model": outcome.get("selected_model") or meta.get("model") or None,
        "fallback_reason": outcome.get("fallback_reason") or meta.get("fallback_reason") or None,
        "next_action": _next(one),
        "mutations": _mutations(one),
        "log_bytes": _bytes(one),
        "cpu_time_sec": cpu,
        "pid_age_sec": _whole(one.elapsed) if one.pid is not None else None,
        "provider_switch_from": meta.get("provider_switch_from") or None,
        "blocked_reason": one.job.blocked_reason or None if one.job is not None else None,
        "owner": one.job.owner if one.job is not None else None,
    }


def _next(one: Seen) -> str:
    view = one.job.view if one.job is not None else None
    away = isinstance(view, Unknown) and bool(_text(one, "host")) and str(_text(one, "host")) in view.reason
    return next_action(one.word.health, one.word.reason, retries=one.job.retries if one.job is not None else 0,
                       silent=one.silent, away=away)


def _reason(one: Seen, spelling: str) -> str:
    return spelt(one.word.reason, spelling) if one.ended else one.word.reason


def _provider(one: Seen) -> str | None:
    return one.job.provider if one.job is not None else None


def _place(one: Seen) -> Facts:
    return {key: _text(one, key) for key in ("host", "cwd", "worktree", "run_instance")}


def _text(one: Seen, key: str) -> str | None:
    """As the outcome has it, which knows most; else as it was started."""
    return _outcome(one).get(key) or _meta(one).get(key) or None


def _exit_code(one: Seen) -> int | None:
    found = number(_outcome(one).get("exit_code", ""))
    return int(found) if found is not None else getattr(one.job.view, "code", None) if one.job is not None else None


def _mutations(one: Seen) -> int | None:
    """Changes of the worktree since the launch; None where there is none to look at."""
    if _outcome(one):
        return _whole(number(_outcome(one).get("mutations", "")))
    beat = _beat(one)
    return int(beat.tree.value) if beat is not None and beat.tree is not None else None


def _beat(one: Seen) -> Beat | None:
    return one.job.view.beat if one.job is not None and isinstance(one.job.view, Running) else None


def _bytes(one: Seen) -> int:
    return one.job.log_bytes if one.job is not None else 0


def _meta(one: Seen) -> Mapping[str, str]:
    return one.job.meta if one.job is not None else {}


def _outcome(one: Seen) -> Mapping[str, str]:
    return one.job.outcome if one.job is not None else {}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _stamp(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ") if at is not None else None

