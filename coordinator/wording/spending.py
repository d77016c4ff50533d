"""What each stage of a workflow cost, one line a stage; nothing where there was but one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.domain.attempt import Attempt


@dataclass(frozen=True)
class Spent:
    """What one session used, as far as its agent told."""

    stage: str
    seconds: float
    tokens: int | None
    dollars: float | None


def spent(attempt: Attempt) -> Spent:
    tokens = (attempt.usage.tokens_in or 0) + (attempt.usage.tokens_out or 0)
    return Spent(attempt.stage, attempt.duration_sec, tokens, attempt.usage.cost_usd)


def stage_lines(sessions: Sequence[Spent]) -> tuple[str, ...]:
    """In the order in which they were begun: `builder: 2 sessions, 3m 05s, 1,200 tokens, $0.04`."""
    names = tuple(dict.fromkeys(one.stage for one in sessions if one.stage))
    if len(names) < 2:
        return ()
    return tuple(_line(name, [one for one in sessions if one.stage == name]) for name in names)


def _line(name: str, sessions: Sequence[Spent]) -> str:
    minutes, seconds = divmod(int(sum(one.seconds for one in sessions)), 60)
    tokens, dollars = sum(one.tokens or 0 for one in sessions), sum(one.dollars or 0.0 for one in sessions)
    facts = [f"{len(sessions)} session{'s' if len(sessions) != 1 else ''}", f"{minutes}m {seconds:02d}s"]
    facts += [f"{tokens:,} tokens"] if tokens else []
    facts += [f"${dollars:.2f}"] if dollars else []
    return f"{name}: {', '.join(facts)}"
