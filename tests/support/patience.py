"""How long tests wait for what must come. They say what a machine of their own needs; one that has other work besides,
such as the tests of other processes, is given more. What must come soon is judged by a clock, not by patience."""

from __future__ import annotations

BUSY = 4.0


def end_of(now: float, seconds: float) -> float:
    """When waiting is over that began at `now`."""
    return now + BUSY * seconds
