"""Sessions of which nobody told what they used: no cap of tokens or of money counts them, and that must be said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.planning.snapshot import Gate, Snapshot

RECENT = timedelta(days=1)
_WELL = frozenset({Ending.SUCCEEDED, Ending.NO_CHANGE, Ending.NEEDS_HUMAN})


@dataclass(frozen=True)
class Unmetered:
    """Of the sessions that worked and ended within a day: providers that told no tokens of one."""

    untold: tuple[str, ...] = ()


def unmetered(s: Snapshot) -> Unmetered:
    return Unmetered(untold=tuple(sorted({one.provider for one in _worked(s) if one.usage.tokens_in is None})))


def blind(s: Snapshot, found: Unmetered) -> tuple[Gate, ...]:
    """The caps that are set and do not see what was found, each with the one to set instead."""
    policy = s.policy
    named = {"caps.tokens_per_task": policy.tokens_per_task, "caps.money_per_task": policy.money_per_task,
             "caps.money_per_day": policy.money_per_day}
    caps = " and ".join(name for name, most in named.items() if most)
    if not caps or not found.untold:
        return ()
    words = f"{', '.join(found.untold)} told no tokens of a session that worked: {caps} did not count it"
    return (Gate("untold", words, "set caps.sessions_per_task and caps.sessions_per_day"),)


def _worked(s: Snapshot) -> Iterator[Attempt]:
    return (one for history in s.attempts.values() for one in history
            if one.ended_at is not None and s.now - one.ended_at < RECENT and (one.answered or one.ending in _WELL))
