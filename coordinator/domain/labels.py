"""Labels are the same to GitHub in small letters and large: what somebody wrote is read as it is written here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PREFIXES = ("priority:", "provider:", "model:", "workflow:")
"""What stands before a value in a label of the usual ones."""


@dataclass(frozen=True)
class Spelling:
    """The labels that mean something to us, and the beginnings of those that hold a value."""

    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = PREFIXES

    def of(self, label: str) -> str:
        """The label as we write it; another's as it is."""
        small = label.lower()
        for name in sorted(self.names):
            if name.lower() == small:
                return name
        for prefix in self.prefixes:
            if small.startswith(prefix.lower()):
                return prefix + label[len(prefix):]
        return label

    def all(self, labels: Iterable[str]) -> frozenset[str]:
        return frozenset(map(self.of, labels))
