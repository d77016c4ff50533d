"""What `wait` waits for besides a poller's check: a line in a file, a command's success, jobs, a batch.

A look is cheap, reads only what is new, and never takes longer than it is given.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from coordinator.cli.jobs.usage import MISUSED, misused
from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from coordinator.app.batches import Batch
    from coordinator.app.faces import Face

BLOCK = 1 << 20
LONGEST = 1 << 20
"""Bytes of one line that are looked at."""
COMMAND_EVERY = 15.0
LAST_LOOK = 1.0
"""Seconds that the look at the very end may take."""


class Condition(Protocol):
    what: str
    every: float
    """Seconds between two looks."""

    def look(self, seconds: float) -> str:
        """Words when it is met, "" when not yet; takes at most so many seconds."""


def hold_out(condition: Condition, timeout: float) -> tuple[bool, str, float]:
    """(met, words, seconds it took)."""
    began = time.monotonic()
    while True:
        left = timeout - (time.monotonic() - began)
        words = condition.look(max(left, min(LAST_LOOK, timeout)))
        took = time.monotonic() - began
        if words:
            return True, words, took
        if took >= timeout:
            return False, condition.what, took
        time.sleep(min(condition.every, timeout - took))


class LineInFile:
    """A line that the pattern is found in, of those that stand in the file or come to it. The file may appear later,
    be rotated away or cut; a line is looked at before its end too."""

    every = 0.5

    def __init__(self, path: str, pattern: re.Pattern[str]) -> None:
        self._path, self._pattern = path, pattern
        self._fd, self._at, self._rest = -1, 0, b""
        self.what = f"no line of {path} has {pattern.pattern!r}"

    def look(self, seconds: float) -> str:
        until = time.monotonic() + seconds
        found = self._more(until) if self._fd >= 0 else ""
        if not found and self._turned():
            self._open()
            found = self._more(until) if self._fd >= 0 else ""
        return found

    def _turned(self) -> bool:
        """Whether another file than the one that is read stands there, or it was cut."""
        if self._fd < 0:
            return True
        mine = os.fstat(self._fd)
        try:
            there = Path(self._path).stat()
        except OSError:
            return False   # gone, and no other came yet: what is open may still grow
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or there.st_size < self._at

    def _open(self) -> None:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as error:
            raise misused(f"{self._path} cannot be read: {error.strerror}", "wait") from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise misused(f"{self._path} is no plain file", "wait")
        self.close()
        self._fd, self._at, self._rest = fd, 0, b""

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _more(self, until: float) -> str:
        while block := os.pread(self._fd, BLOCK, self._at):
            self._at += len(block)
            *whole, rest = (self._rest + block).split(b"\n")
            self._rest = rest[-LONGEST:]
            lines = [*whole, self._rest] if self._rest else whole
            found = next((text for line in lines if (text := self._fits(line))), "")
            if found or time.monotonic() >= until:
                return found
        return ""

    def _fits(self, line: bytes) -> str:
        text = line[-LONGEST:].decode("utf-8", "replace").rstrip("\r")
        return (text.strip() or repr(self._pattern.pattern)) if self._pattern.search(text) else ""


class CommandEndsWell:
    """A command that ends with 0, and with a pattern also prints what it finds. A run that takes longer than there is
    time left is ended."""

    def __init__(self, command: str, pattern: re.Pattern[str] | None, every: float) -> None:
        self._command, self._pattern, self.every = command, pattern, every
        self.what = f"{command!r} did not end well"

    def look(self, seconds: float) -> str:
        from coordinator.app import foreground

        code, text = foreground.check(self._command, os.environ, seconds)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        self.what = (f"{self._command!r} gave no answer" if code == foreground.NO_ANSWER
                     else f"{self._command!r} ended with {code}" + (f": {lines[-1][:200]}" if lines else ""))
        if code != 0:
            return ""
        if self._pattern is None:
            return f"{self._command!r} ended well"
        return next((line[:200] for line in lines if self._pattern.search(line)), "")


class JobsEnded:
    """Jobs that all have ended, well or not."""

    every = 1.0

    def __init__(self, face: Face, log_dir: str, ids: Sequence[str]) -> None:
        self._face, self._log_dir, self._ids = face, log_dir, tuple(dict.fromkeys(ids))
        self.what = ""

    def look(self, _: float) -> str:
        from coordinator.cli.jobs.reading import latest_seen
        from coordinator.domain.worker import Health

        found = [latest_seen(self._face, self._log_dir, name) for name in self._ids]
        missing = [one.id for one in found if one.job is None]
        if missing:
            raise Trouble(f"job {', '.join(missing)} is missing: there is no record of it",
                          "`coordinator job status --all` lists them; --log-dir names another folder.", code=MISUSED)
        going = [one for one in found if not (one.ended or one.word.health is Health.BLOCKED)]
        self.what = ", ".join(f"{one.id} is {one.word.health}" for one in going)
        return "" if going else ", ".join(f"{one.id} {one.word.health} ({one.word.reason})" for one in found)


class BatchEnded:
    """A batch of which nothing runs or waits any more."""

    every = 5.0

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._seen = batch.memory.read().sights
        self.what = ""

    def look(self, _: float) -> str:
        from coordinator.app.batches import Stand, sights_of

        members = self._batch.find(self._seen)
        self._seen = sights_of(members)
        going = sum(one.stand in (Stand.RUNNING, Stand.WAITING) for one in members)
        self.what = f"{going} of {len(members)} of {self._batch.scope.key} run or wait"
        bad, good = (sum(one.stand is stand for one in members) for stand in (Stand.BAD, Stand.GOOD))
        return "" if going else f"{self._batch.scope.key} is over: {good} good, {bad} failed of {len(members)}"


def batch_ended(key: str, log_dir: str) -> BatchEnded:
    """Raises Trouble for a key that is none, or a batch that has no members."""
    from coordinator.app.batches import parse_key
    from coordinator.cli.batches.scope import opened

    try:
        kind, name = parse_key(key)
    except ValueError as wrong:
        raise misused(f"--batch {wrong}", "wait") from wrong
    return BatchEnded(opened(kind, name, log_dir))
