"""The lock of one job: whoever writes meta, claims a run or records its end holds it. Never deleted."""

from __future__ import annotations

import fcntl
import os
import time


class Busy(Exception):
    """Another process held the lock the whole time."""


class Lock:
    """flock on `<job>.lock` as a context manager; waits at most `patience` seconds, then raises Busy. The
    kernel lets go of it when its holder dies."""

    def __init__(self, target: str, patience: float = 10.0) -> None:
        self._target = target
        self._patience = patience
        self._fd = -1

    def __enter__(self) -> Lock:  # noqa: PYI034 - Self is not in the typing of 3.9
        self._fd = os.open(self._target, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise Busy("%s is held by another process" % self._target) from None
                time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        self._fd = -1
