"""What several benches measure with."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.runfiles import identity

PATIENCE = 300.0


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone at the end."""
    root = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


def wait(met: Callable[[], bool], what: str, pause: float = 0.005) -> float:
    """Seconds until it is met."""
    began = time.monotonic()
    while not met():
        if time.monotonic() - began > PATIENCE:
            raise SystemExit(f"waited {PATIENCE:g} s in vain: {what}")
        time.sleep(pause)
    return time.monotonic() - began


def timed(act: Callable[[], object]) -> float:
    """Seconds by the clock."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def median_ms(act: Callable[[], object], rounds: int) -> float:
    return 1000 * statistics.median(timed(act) for _ in range(rounds))


def share(values: Sequence[float], part: float) -> float:
    """The value that this part of all does not exceed: 0.5 is the median."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(part * len(ranked)))]


def memory_mb(pid: int, key: str = "Pss") -> float:
    """`Pss` has a share of what several processes map, `Private_Dirty` what no other can have in common with it."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def cpu(pid: int) -> float:
    """Seconds of CPU so far."""
    proc = identity.look(pid)
    return proc.cpu if proc is not None else 0.0


def machine() -> str:
    return f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
