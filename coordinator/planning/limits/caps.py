"""What a task and a day may cost: sessions, tokens, money. A cap that is reached is a person's affair, never a failure
of the provider. What agents used so far is in the snapshot, so that a cap holds while they run."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Usage
from coordinator.domain.reasons import PARKING
from coordinator.domain.task import Task
from coordinator.planning.snapshot import Snapshot

OUTAGE = frozenset({"network", "overloaded"})
"""Nobody's affair but the provider's, and over by itself."""


def sessions(s: Snapshot, task: Task) -> int:
    """Sessions spent on the task."""
    return sum(spent(attempt) for attempt in s.attempts.get(task.id, ()))


def spent(attempt: Attempt) -> bool:
    """Whether a session counts. One that met a limit or an outage before its model had answered once does not: of
    hours, tried again and again, either would use up the cap by itself. Nor does one that was given up before it began:
    its issue was edited or paused meanwhile."""
    if attempt.launched_at is None and attempt.ending is None:
        return False
    return attempt.answered or (attempt.reason not in PARKING and attempt.reason not in OUTAGE)


def over(s: Snapshot, task: Task) -> str:
    """The cap that this task has used up, with its name, in words for people; "" while none is."""
    cap = s.policy.tokens_per_task
    spent = sum((one.tokens_in or 0) + (one.tokens_out or 0) for one in _uses(s, task))
    if cap and spent >= cap:
        return f"caps.tokens_per_task: {spent:,} tokens were used on it, {cap:,} are allowed"
    dollars, most = sum(one.cost_usd or 0.0 for one in _uses(s, task)), s.policy.money_per_task
    if most and dollars >= most:
        return f"caps.money_per_task: ${dollars:.2f} were spent on it, ${most:.2f} are allowed"
    return ""


def day(s: Snapshot) -> str:
    """The same of all tasks together today."""
    most = s.policy.money_per_day
    if most and s.money_today >= most:
        return f"caps.money_per_day: ${s.money_today:.2f} were spent today, ${most:.2f} are allowed"
    return ""


def _uses(s: Snapshot, task: Task) -> Iterator[Usage]:
    """Of each attempt; of the running one so far, of which nothing is settled yet."""
    yield from (attempt.usage for attempt in s.attempts.get(task.id, ()))
    if task.id in s.usage:
        yield s.usage[task.id]
