"""The fence of a job: the number of its youngest attempt, in a file of its own that outlives meta."""

from __future__ import annotations

from coordinator.runfiles import atomic, names

_DIGITS = 15


def standing(folder: str, job: str) -> int:
    """0 where there is none, or what lies there is no such number. Raises OSError."""
    text = (atomic.read(names.path(folder, job, "fence"), 64) or b"").decode("ascii", "replace").strip()
    return int(text) if text.isdigit() and len(text) <= _DIGITS else 0
