"""Learns within milliseconds that a process has ended, our child or not, and waits with a limit."""

from __future__ import annotations

import os
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import psutil

from coordinator.runfiles import identity

Key = tuple[int, int]
"""(pid, start time in clock ticks)"""


def wait_until(met: Callable[[], bool], patience: float) -> bool:
    """Asks every 5 ms whether `met`, for at most `patience` seconds; its last answer."""
    until = time.monotonic() + patience
    while not met():
        if time.monotonic() >= until:
            return False
        time.sleep(0.005)
    return True


def carriers(variable: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(pid, environment) of every living process that was started with this variable and lets us look."""
    for pid in psutil.pids():
        try:
            pairs = os.fsdecode(identity.environ(pid)).split("\0")
        except OSError:
            continue   # another user's, or gone
        env = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if variable in env:
            yield pid, env


class Children:
    """The processes we started and have to reap, by a key of the caller's: these and no others."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def add(self, key: str, child: subprocess.Popen[bytes]) -> None:
        self._running[key] = child

    def living(self, key: str) -> int | None:
        """The pid of a child that has not ended."""
        child = self._running.get(key)
        return child.pid if child is not None and child.poll() is None else None

    def reap(self) -> tuple[tuple[int, int], ...]:
        """(pid, exit code or minus the signal) of those that ended since the last call; never waits."""
        known = list(self._running.items())   # a copy: other threads start workers meanwhile
        over = {key: child for key, child in known if child.poll() is not None}
        for key in over:
            del self._running[key]
        return tuple((child.pid, child.returncode) for child in over.values())

    def let_go(self) -> None:
        """They outlive us by design; without an exit code their handles would complain when forgotten."""
        for child in list(self._running.values()):
            child.returncode = 0
        self._running.clear()


class Exits:
    """One selector over the pidfds of all watched processes; its thread calls `ended` for each that ends."""

    def __init__(self, ended: Callable[[], None]) -> None:
        self._ended = ended
        self._watched: set[Key] = set()
        self._guard = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._told, self._tell = os.pipe()
        self._selector.register(self._told, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="exits", daemon=True)
        self._thread.start()

    def watch(self, pid: int, start: int) -> None:
        """Repeating it is harmless. A process that has ended or has another start time is passed over:
        whoever asks has looked at it."""
        with self._guard:
            if (pid, start) in self._watched:
                return
            try:
                fd = os.pidfd_open(pid)
            except OSError:
                return
            proc = identity.look(pid)
            if proc is None or proc.start != start:
                os.close(fd)
                return
            self._watched.add((pid, start))
            self._selector.register(fd, selectors.EVENT_READ, (pid, start))

    def close(self) -> None:
        """Repeating it is harmless."""
        if not self._thread.is_alive():
            return
        os.write(self._tell, b"x")
        self._thread.join()
        with self._guard:
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._selector.close()
            os.close(self._tell)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                with self._guard:
                    self._selector.unregister(key.fd)
                    self._watched.discard(key.data)
                    os.close(key.fd)
                self._ended()
