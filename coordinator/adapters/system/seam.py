"""The crossing: every external write passes here, so that a test can count the writes and die at each.

A write is whatever another process could see: a request to GitHub that changes something, a git command that
writes, a commit to the store, a file put in place, a process started or signalled. In production a crossing
costs one function call; it must never swallow or delay an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import local

Watcher = Callable[[str, str, str], None]
"""Called with ("before" | "after", kind, what)."""

_watchers: list[Watcher] = []
_depth = local()


@contextmanager
def crossing(kind: str, what: str) -> Iterator[None]:
    """Marks one external write. `kind` is github, git, store, file, process; `what` says which, for people."""
    for watcher in _watchers:
        watcher("before", kind, what)
    _depth.value = inside() + 1
    try:
        yield
    finally:
        _depth.value -= 1
    for watcher in _watchers:
        watcher("after", kind, what)


def inside() -> int:
    """How many crossings this thread is in: a write seen at depth 0 has bypassed the seam."""
    return int(getattr(_depth, "value", 0))


def watch(watcher: Watcher) -> Callable[[], None]:
    """Adds a watcher and returns the function that takes it away."""
    _watchers.append(watcher)
    return lambda: _watchers.remove(watcher)
