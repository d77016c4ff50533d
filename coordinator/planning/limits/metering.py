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
    """Of the sessions that worked and ended within a day: providers that told no tokens of one, and models of which
    tokens are known and no price (the provider's name, where the model is not known either)."""

    untold: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()


def unmetered(s: Snapshot) -> Unmetered:
    free = [one for one in _worked(s) if one.usage.cost_usd is None]
    untold = {one.provider for one in free if one.usage.tokens_in is None}
    return Unmetered(tuple(sorted(untold)),
                     tuple(sorted({one.model or one.provider for one in free if one.usage.tokens_in})))


def blind(s: Snapshot, found: Unmetered) -> tuple[Gate, ...]:
    """The caps that are set and do not see what was found, each with those to set instead."""
    policy = s.policy
    tokens = ["caps.tokens_per_task"] if policy.tokens_per_task else []
    money = [name for name, most in (("caps.money_per_task", policy.money_per_task),
                                     ("caps.money_per_day", policy.money_per_day)) if most]
    gates = []
    if found.untold and (tokens or money):
        words = f"{', '.join(found.untold)} told no tokens of a session that worked: "
        gates.append(Gate("untold", f"{words}{' and '.join(tokens + money)} did not count it",
                          "set caps.sessions_per_task and caps.sessions_per_day"))
    if found.unpriced and money:
        words = f"no price is known for {', '.join(found.unpriced)}: {' and '.join(money)} did not count it"
        gates.append(Gate("unpriced", words, "set caps.tokens_per_task or caps.sessions_per_day"))
    return tuple(gates)


def _worked(s: Snapshot) -> Iterator[Attempt]:
    return (one for history in s.attempts.values() for one in history
            if one.ended_at is not None and s.now - one.ended_at < RECENT and (one.answered or one.ending in _WELL))
