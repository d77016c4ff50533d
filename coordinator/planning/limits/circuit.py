"""When a provider is closed, and when it is tried again: a limit closes it at once, failures of its own only when they
come in a row. Closed, it is tried by one task when its time has come, and open again once it answers that one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending, Outcome
from coordinator.domain.reasons import PARKING, PROVIDER_NAMES
from coordinator.domain.task import HOLDS_SLOT
from coordinator.planning.actions import Settlement
from coordinator.planning.snapshot import Parked, Snapshot

OWN_FAULT = frozenset({"overloaded", "network", "no_credit", *(f"{name}_auth_blocked" for name in PROVIDER_NAMES)})
"""Failures that any other task would meet as well."""

IN_A_ROW = 3
"""Such failures without a session between them that met none. Each is what was left after the CLI's own retries, so one
may be an hour's weather for one task; three, of whatever tasks, are the provider's."""

LONGEST = timedelta(hours=1)
"""A provider that told no time is tried again so often at least."""

FARTHEST = timedelta(days=8)
"""Limits run over a week at most: a reset beyond is a misread one."""

_ANSWERED = frozenset({Ending.SUCCEEDED, Ending.NO_CHANGE, Ending.NEEDS_HUMAN, Ending.FAILED})


@dataclass(frozen=True)
class Trial:
    """The task that tries a parked provider; at `until` its silence is taken for an answer."""

    task_id: str
    until: datetime
    answered: bool = False


def after(s: Snapshot, attempt: Attempt, outcome: Outcome, settlement: Settlement) -> Settlement:
    """The settlement of an ended attempt, with what it means for its provider."""
    parked = s.parked.get(attempt.provider)
    trial = parked is not None and tries(attempt, parked)
    until = settlement.park_until
    if until is None and outcome.reason in OWN_FAULT and (trial or _row(s.attempts, attempt.provider) + 1 >= IN_A_ROW):
        until = s.now + s.policy.park
    if until is None:
        return replace(settlement, unparks=trial and _answers(outcome))
    times = parked.times + 1 if parked is not None and trial else 1
    if outcome.reset_at is None or outcome.reset_at <= s.now.timestamp():   # one that is over says nothing
        until = s.now + min(s.policy.park * (1 << min(times - 1, 20)), LONGEST)
    until = min(until, s.now + FARTHEST)
    if parked is not None and not trial and parked.until >= until:   # another session knew of a longer one
        until, times = parked.until, parked.times
    return replace(settlement, park_until=until, park_times=times)


def tries(attempt: Attempt, parked: Parked) -> bool:
    """Whether this attempt was begun to see if the provider answers again."""
    return attempt.created_at >= parked.until


def on_trial(s: Snapshot, provider: str) -> Trial | None:
    """How the trial of a parked provider stands; None when no task tries it. One that is answered speaks for all."""
    trials = list(_trials(s, provider))
    return next((one for one in trials if one.answered), trials[0] if trials else None)


def _trials(s: Snapshot, provider: str) -> Iterator[Trial]:
    for task in s.tasks.values():
        attempt = s.attempt(task.id)
        if task.state not in HOLDS_SLOT or attempt is None or attempt.provider != provider:
            continue
        if not tries(attempt, s.parked[provider]):
            continue
        until = (attempt.launched_at or s.now) + s.policy.park
        usage = s.usage.get(task.id)
        yield Trial(task.id, until, until <= s.now or (usage is not None and bool(usage.tokens_out)))


def _answers(outcome: Outcome) -> bool:
    if outcome.reason in PARKING or outcome.reason in OWN_FAULT:
        return False
    return outcome.ending in _ANSWERED or bool(outcome.usage.tokens_out)


def _row(attempts: Mapping[str, Sequence[Attempt]], provider: str) -> int:
    """How many of the provider's last sessions ended by its own fault, one after the other."""
    ended = sorted(
        (one for history in attempts.values() for one in history
         if one.provider == provider and one.launched_at is not None and one.ended_at is not None
         and one.ending is not Ending.CANCELLED),
        key=lambda one: one.ended_at or one.created_at,
    )
    count = 0
    for attempt in reversed(ended):
        if attempt.reason not in OWN_FAULT:
            break
        count += 1
    return count
