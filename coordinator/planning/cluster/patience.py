"""How often and how long what failed for a moment is tried again: a network, a login host, a busy controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

FIRST, LONGEST = 2.0, 60.0
"""Seconds before the second try; each pause is twice the one before, up to the longest."""


@dataclass(frozen=True)
class Setback:
    """One try that failed: in words, and the seconds that were waited after it."""

    words: str
    waited: float


def pauses(limit: timedelta) -> Iterator[float]:
    """Seconds between tries; their sum is no more than `limit`, the last is what is left of it."""
    left, pause = limit.total_seconds(), FIRST
    while left > 0:
        yield min(pause, left)
        left -= pause
        pause = min(pause * 2, LONGEST)


def summary(setbacks: list[Setback]) -> str:
    """One line of evidence: how often, over how long, and the different things that were said."""
    waited = sum(one.waited for one in setbacks)
    said = list(dict.fromkeys(one.words for one in setbacks))
    more = f" (and {len(said) - 3} other errors)" if len(said) > 3 else ""
    times = f"{len(setbacks)} times" if len(setbacks) > 1 else "once"
    return f"could not be asked {times} in {waited:.0f} s: {'; '.join(said[:3])}{more}"
