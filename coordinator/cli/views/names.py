"""Counts by names that a stream gives: however many and however long they are, they take a page of memory."""

from __future__ import annotations

MOST_NAMES = 100
LONGEST_NAME = 80
OTHERS = "(others)"
NAMELESS = "?"


class Names:
    """Counts by name. The names are the agent's: they are cut, and when there are MOST_NAMES of them every further one
    counts as OTHERS."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, name: object) -> str:
        """The name under which it was counted."""
        key = name[:LONGEST_NAME] if isinstance(name, str) and name else NAMELESS
        if key not in self.counts and len(self.counts) >= MOST_NAMES:
            key = OTHERS
        self.counts[key] = self.counts.get(key, 0) + 1
        return key

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def ranked(self) -> list[tuple[str, int]]:
        """The most frequent first, those alike as they came."""
        return sorted(self.counts.items(), key=lambda one: -one[1])
