"""What wakes a loop that waits: words from any thread, and signals. A handler sets flags and says nothing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType


class Wakes:
    """The queue of wakes. `put` may be called from any thread and from signal handlers."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[str] = SimpleQueue()

    def put(self, why: str) -> None:
        self._queue.put(why)

    def wait(self, seconds: float) -> set[str]:
        """The words that came in, all that are there; empty when the time passed first."""
        words = set()
        try:
            words.add(self._queue.get(timeout=max(0.0, seconds)))
            while True:
                words.add(self._queue.get_nowait())
        except Empty:
            return words


class Handlers:
    """Signal handlers for the time of a `with` block; those from before come back after it."""

    def __init__(self, handlers: dict[signal.Signals, Callable[[], None]]) -> None:
        self._handlers = handlers
        self._before: dict[signal.Signals, signal.Handlers | Callable[..., object] | int | None] = {}

    def __enter__(self) -> None:
        for number, handler in self._handlers.items():
            self._before[number] = signal.signal(number, _ignoring_frame(handler))

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _ignoring_frame(handler: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    return lambda _number, _frame: handler()
