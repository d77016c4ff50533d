"""Waits for signals, for so long and no longer, where the library has no sigtimedwait (macOS): each writes its number
into a pipe."""

from __future__ import annotations

import os
import select
import signal
import time

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Iterable, List


class Ears:
    """From now on these signals, blocked until now, are collected; what came meanwhile counts."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._told, tell = os.pipe()
        os.set_blocking(self._told, False)
        os.set_blocking(tell, False)
        self._came: List[int] = []
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)   # without a handler nothing is written
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def wait(self, numbers: Iterable[int], seconds: float) -> int:
        """The lowest of these that came, as sigtimedwait; 0 when none did within that time."""
        until = time.monotonic() + seconds
        while True:
            due = sorted(set(self._came).intersection(numbers))
            if due:
                self._came = [number for number in self._came if number != due[0]]
                return due[0]
            if not select.select([self._told], [], [], max(0.0, until - time.monotonic()))[0]:
                return 0
            self._came += os.read(self._told, 4096)
