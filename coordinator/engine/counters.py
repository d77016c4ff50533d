"""The numbers of adws/metrics.json, counted from the store: deleted, the file comes back equal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.domain.workflow import BUILD
from coordinator.engine.gates import counted
from coordinator.engine.memory import Memory
from coordinator.engine.world import World
from coordinator.planning.snapshot import Snapshot

WELL = frozenset({Ending.SUCCEEDED, Ending.CANCELLED, None})
REQUESTS = "api_counts"
DAYS = 31
"""Days, of those in which a session began, whose sums are kept."""


def counters(world: World, memory: Memory, s: Snapshot) -> dict[str, Any]:
    """Every counter but last_update and health, which follow from them."""
    attempts = [attempt for history in s.attempts.values() for attempt in history]
    completed = world.store.count("completed")
    requests, unchanged = api_counts(world, memory)
    return {
        "workers_launched": sum(attempt.launched_at is not None for attempt in attempts),
        "workers_completed": completed + world.store.count("joined"),
        "workers_failed": sum(attempt.ending not in WELL for attempt in attempts),
        "worktree_errors": s.worktree_errors,
        "prs_created": completed + world.store.count("plan_pull"),
        "reasons": dict(sorted(Counter(one.reason for one in attempts if one.ending not in WELL).items())),
        "duration_seconds_total": round(sum(attempt.duration_sec for attempt in attempts), 3),
        "tokens_in": sum(attempt.usage.tokens_in or 0 for attempt in attempts),
        "tokens_out": sum(attempt.usage.tokens_out or 0 for attempt in attempts),
        "cost_usd": round(sum(attempt.usage.cost_usd or 0.0 for attempt in attempts), 6),
        "batches": counted(s),
        "by_provider": _sums(attempts, lambda one: one.provider),
        "by_day": dict(list(_sums(attempts, lambda one: _day(world, one)).items())[-DAYS:]),
        "by_stage": _by_stage(attempts),
        "api_requests": requests,
        "api_not_modified": unchanged,
        "label_to_start_seconds": _spread(_label_to_start(s)),
        "exit_to_settled_seconds": _spread(_exit_to_settled(attempts)),
    }


def _sums(attempts: Iterable[Attempt], key: Callable[[Attempt], str]) -> dict[str, dict[str, float]]:
    """Sessions, tokens and dollars by a name."""
    sums: dict[str, dict[str, float]] = {}
    for attempt in (one for one in attempts if one.launched_at is not None):
        one = sums.setdefault(key(attempt), {"sessions": 0, "tokens_in": 0, "tokens_out": 0, "cost_usd": 0.0})
        one["sessions"] += 1
        one["tokens_in"] += attempt.usage.tokens_in or 0
        one["tokens_out"] += attempt.usage.tokens_out or 0
        one["cost_usd"] = round(one["cost_usd"] + (attempt.usage.cost_usd or 0.0), 6)
    return dict(sorted(sums.items()))


def _by_stage(attempts: Sequence[Attempt]) -> dict[str, dict[str, float]]:
    """The same by the stage of a workflow, with the time that its sessions took."""
    sums = _sums(attempts, stage_name)
    for name, one in sums.items():
        one["duration_seconds"] = round(sum(each.duration_sec for each in attempts if stage_name(each) == name), 3)
    return sums


def stage_name(attempt: Attempt) -> str:
    """Of an attempt that was begun before there were stages, the one there was."""
    return attempt.stage or BUILD.name


def _day(world: World, attempt: Attempt) -> str:
    """The host's day in which its session began."""
    return world.clock.local(attempt.launched_at or attempt.created_at).date().isoformat()


def api_counts(world: World, memory: Memory) -> tuple[int, int]:
    """Requests and 304s ever, over restarts: what this process asked is added to what the store remembers."""
    budget = world.github.budget()
    now = (budget.requests, budget.not_modified)
    stored = json.loads(world.store.document(REQUESTS) or "[0, 0]")
    new = (now[0] - memory.counted[0], now[1] - memory.counted[1])
    total = (stored[0] + new[0], stored[1] + new[1])
    if new != (0, 0):
        world.store.keep_document(REQUESTS, json.dumps(total))
        memory.counted = now
    return total


def _label_to_start(s: Snapshot) -> Iterable[float]:
    """From the label's own time, as GitHub tells it, to the first launch."""
    for task in s.tasks.values():
        first = next((one for one in s.attempts.get(task.id, ()) if one.launched_at is not None), None)
        if first is not None and first.launched_at is not None:
            since = task.pin.labelled_at or task.created_at
            yield max(0.0, (first.launched_at - since).total_seconds())


def _exit_to_settled(attempts: Iterable[Attempt]) -> Iterable[float]:
    for attempt in attempts:
        if attempt.ended_at is not None and attempt.settled_at is not None and attempt.launched_at is not None:
            yield max(0.0, (attempt.settled_at - attempt.ended_at).total_seconds())


def _spread(values: Iterable[float]) -> dict[str, float]:
    """Count, median and largest, in seconds."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0, "median": 0.0, "max": 0.0}
    return {"count": len(ordered), "median": round(ordered[len(ordered) // 2], 3), "max": round(ordered[-1], 3)}
