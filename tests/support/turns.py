"""Turns of tests that run in several processes: any number at a time, or one alone, which is judged by a clock.

One that wants to be alone shuts the gate behind itself and waits for those that are inside: who comes and goes cannot
keep it waiting for ever.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """`folder` is what the processes have in common."""
    with (folder / "gate").open("a") as gate, (folder / "room").open("a") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)   # said, not left to the end of the file: a forked child may hold it too
