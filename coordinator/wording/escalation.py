"""What a person who is called reads: one line with the cure, and below it how all else stands. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_NAMED = 5
"""Tasks named beside each pattern; the rest are counted."""


def headline(words: str, cure: str) -> str:
    """One line that can be searched for in a log."""
    return f"ESCALATE: {words} → {cure}"


def bundle(active: int, slots: int, waiting: int, failing: Mapping[str, Sequence[str]], noun: str) -> tuple[str, ...]:
    """How many are active, and what fails alike: by pattern those it stopped, the most frequent first. `slots` 0 =
    without a limit."""
    of = f" of {slots}" if slots else ""
    lines = [f"active {noun}: {active}{of}" + (f", waiting: {waiting}" if waiting else "")]
    ordered = sorted(failing.items(), key=lambda one: (-len(one[1]), one[0]))
    patterns = [f"{len(those)} × {pattern} ({named(those)})" for pattern, those in ordered]
    lines.append("error patterns: " + ("; ".join(patterns) or "none"))
    return tuple(lines)


def named(those: Sequence[str]) -> str:
    """The first few by name, the rest by number."""
    more = f" and {len(those) - _NAMED} more" if len(those) > _NAMED else ""
    return ", ".join(those[:_NAMED]) + more
