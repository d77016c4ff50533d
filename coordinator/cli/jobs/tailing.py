"""The end of a job's log, and what comes after it: masked, harmless to a terminal, in memory that does not grow.

The raw files are read as they lie there; nothing of them is shown before secrets were taken out.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TextIO

from coordinator.cli.views.harmless import harmless
from coordinator.domain.worker import Exited, Missing
from coordinator.runfiles import names
from coordinator.runfiles.masking import MASK

if TYPE_CHECKING:
    from coordinator.domain.job import Job

LOOK_EVERY = 0.4
BLOCK = 65536
FARTHEST = 64 << 20
"""How far back from a log's end its last lines are looked for."""
LONGEST = 1 << 20
"""Bytes of one line that are shown."""
_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,60}m)")
_KEY = re.compile(r"-----(BEGIN|END) [A-Z ]{0,40}PRIVATE KEY-----")
_KEY_BYTES = re.compile(rb"-----(BEGIN|END) [A-Z ]{0,40}PRIVATE KEY-----")


class Shower:
    """Lines as people may see them. `colours`: SGR sequences stay where the line holds no secret."""

    def __init__(self, masker: Any, *, colours: bool) -> None:
        self._masker = masker
        self._colours = colours
        self.painted = False

    def line(self, raw: bytes, *, in_key: bool = False) -> tuple[str, bool]:
        """(text, whether a private key goes on after it)."""
        text = raw.removesuffix(b"\r").decode("utf-8", "replace")
        plain = harmless(text)
        marks = [found.group(1) for found in _KEY.finditer(plain)]
        after = marks[-1] == "BEGIN" if marks else in_key
        if in_key:
            return MASK, after
        masked = self._masker.text(plain)
        if self._colours and masked == plain and "\x1b" in text:
            self.painted = True
            return "".join(self._part(part) for part in _COLOUR.split(text)), after
        return masked, after

    @staticmethod
    def _part(part: str) -> str:
        return part if _COLOUR.fullmatch(part) else harmless(part)


class Stream:
    """One output file of a job, followed through its rotations. `out` is where its lines are shown."""

    def __init__(self, kind: str, shower: Shower, out: TextIO) -> None:
        self._kind, self._shower, self._out = kind, shower, out
        self._fd = -1
        self._rest = b""
        self._skipping = self._in_key = False
        self.shown = 0

    def open(self, job: Job, lines: int) -> None:
        """The current file, from its last `lines` lines on; nothing where there is no plain file."""
        self._fd = _opened(names.path(job.folder, job.id, self._kind))
        if self._fd >= 0:
            start = start_of_last(self._fd, lines)
            self._in_key = _within_key(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)

    def more(self) -> None:
        """Shows every line that is complete by now."""
        if self._fd < 0:
            return
        for line in self._lines():
            self._show(line)
        self._out.flush()

    def turn(self, job: Job) -> None:
        """Where another file stands in its place by now, that one from its beginning."""
        fresh = _opened(names.path(job.folder, job.id, self._kind))
        if fresh < 0:
            return
        if self._fd >= 0 and os.path.sameopenfile(fresh, self._fd):
            os.close(fresh)
            return
        self.end()
        self._fd = fresh
        self.more()

    def end(self) -> None:
        """Shows what is left, a line without its end too, and lets go of the file."""
        if self._fd < 0:
            return
        self.more()
        if self._rest:
            self._show(self._rest)
        self._rest, self._skipping, self._in_key = b"", False, False
        os.close(self._fd)
        self._fd = -1
        self._out.flush()

    def _lines(self) -> Iterator[bytes]:
        while block := _read(self._fd):
            *whole, rest = (self._rest + block).split(b"\n")
            for line in whole:
                if not self._skipping:
                    yield line
                self._skipping = False
            self._rest = b"" if self._skipping else rest
            if len(self._rest) > LONGEST:
                yield self._rest[:LONGEST] + " … (the rest of this line is not shown)".encode()
                self._rest, self._skipping = b"", True

    def _show(self, raw: bytes) -> None:
        text, self._in_key = self._shower.line(raw, in_key=self._in_key)
        self._out.write(text + "\n")
        self.shown += 1


def show(job: Job, lines: int, again: Callable[[], Job | None] | None, shower: Shower) -> None:
    """The last lines of log and err, and with `again` (the job anew) what is written until it ends."""
    streams = [Stream("log", shower, sys.stdout), Stream("err", shower, sys.stderr)]
    try:
        for stream in streams:
            stream.open(job, lines)
            stream.more()
        if again is not None:
            _follow(streams, again)
    finally:
        for stream in streams:
            stream.end()
        if shower.painted:
            sys.stdout.write("\x1b[0m")
    if again is None and lines and not any(stream.shown for stream in streams):
        print("hint: nothing was printed yet", file=sys.stderr)


def _follow(streams: list[Stream], again: Callable[[], Job | None]) -> None:
    """Until the job has ended, and stays so for another look: a restart ends it for a moment."""
    ended = 0
    while ended < 3:
        time.sleep(LOOK_EVERY)
        job = again()
        if job is None:
            return
        ended = ended + 1 if job.outcome or isinstance(job.view, Exited | Missing) else 0
        for stream in streams:
            stream.more()
            stream.turn(job)


def start_of_last(fd: int, lines: int) -> int:
    """Where the last `lines` lines of a file begin. Looks back a block at a time and keeps none."""
    size = os.fstat(fd).st_size
    if lines <= 0:
        return size
    position, wanted = size, lines + _ends_with_newline(fd, size)
    floor = max(0, size - FARTHEST)
    while position > floor:
        begin = max(floor, position - BLOCK)
        block = os.pread(fd, position - begin, begin)
        found = block.count(b"\n")
        if found >= wanted:
            return begin + _nth_from_end(block, wanted) + 1
        wanted -= found
        position = begin
    return floor


def _ends_with_newline(fd: int, size: int) -> bool:
    return size > 0 and os.pread(fd, 1, size - 1) == b"\n"


def _nth_from_end(block: bytes, number: int) -> int:
    at = len(block)
    for _ in range(number):
        at = block.rindex(b"\n", 0, at)
    return at


def _within_key(fd: int, start: int) -> bool:
    """Whether the bytes before `start` opened a private key and did not close it."""
    before = os.pread(fd, min(start, BLOCK), max(0, start - BLOCK)) if start else b""
    marks = _KEY_BYTES.findall(before)
    return bool(marks) and marks[-1] == b"BEGIN"


def _opened(path: str) -> int:
    """A descriptor of a plain file; -1 where there is none."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, BLOCK)
    except OSError:
        return b""   # a folder, or a pipe that holds nothing
