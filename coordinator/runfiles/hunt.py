"""Ends every process of a worker, however it tries to get away, and says who could not be ended.

Each is stopped before its children are looked up, so that one that forks in a loop has no time for the next.
"""

from __future__ import annotations

import os
import signal
import time

from coordinator.runfiles import identity

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Callable, Iterable, Iterator, List

    from coordinator.runfiles.identity import Proc


def members(roots: List[int], token: str) -> Iterator[Proc]:
    """These processes and whoever carries the token, each with its living descendants; we ourselves never."""
    seen = {os.getpid()}
    tops = [proc for proc in map(identity.look, roots) if proc is not None]
    for top in tops + identity.with_token(token):
        if top.pid not in seen:
            seen.add(top.pid)
            yield top
        for proc in identity.tree(top.pid):
            if proc.pid not in seen:
                seen.add(proc.pid)
                yield proc


def signal_all(roots: List[int], token: str, number: int, spared: Iterable[int] = ()) -> None:
    for proc in list(members(roots, token)):
        if proc.pid not in spared:
            identity.send(proc.pid, proc.start, number)


def end_all(roots: List[int], token: str, reap: Callable[[], bool], budget: float = 10.0) -> List[int]:
    """Kills until a walk finds nobody; the pids that still lived after `budget` seconds.

    `reap` collects the caller's own ended children and says whether it has any left: while there is one,
    there may be a process that moved between two looks.
    """
    until = time.monotonic() + budget
    while True:
        left = _strike(roots, token)
        if not reap() and not left:
            return []
        if time.monotonic() >= until:
            return sorted({proc.pid for proc in members(roots, token)})
        time.sleep(0.002 if left else 0.01)


def _strike(roots: List[int], token: str) -> int:
    found: List[Proc] = []
    for proc in members(roots, token):
        identity.send(proc.pid, proc.start, signal.SIGSTOP)
        found.append(proc)
    for proc in found:
        identity.send(proc.pid, proc.start, signal.SIGKILL)
    return len(found)


if not identity.PROC:
    from coordinator.runfiles import portable

    globals().update(portable.OF_HUNT)
