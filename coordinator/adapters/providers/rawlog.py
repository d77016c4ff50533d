"""Reads an agent's raw output files as they grow: whole lines only, whatever their length, and little
memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from coordinator.runfiles.transcript import one_line

LONGEST_LINE = 16 << 20
"""Bytes; what judges a run reads no longer ones either."""
STDERR_TAIL = 64 * 1024
STDERR_LINES = 20

_MATTERS = re.compile(
    r"error|fatal|denied|refus|invalid|not found|no such|exception|traceback|fail|cannot|unable"
    r"|unknown option|killed|out of memory|no space",
    re.IGNORECASE,
)


def whole_lines(log: Path, offset: int, *, torn: bool) -> Iterator[tuple[bytes | None, int]]:
    """(line, offset after it) from `offset`; None for a line that is too long, as soon as it is, and b"" for each part
    of its rest; a torn last one if `torn`."""
    try:
        source = log.open("rb")
    except FileNotFoundError:
        return
    with source:
        source.seek(max(0, offset - 1))
        if offset and source.read(1) != b"\n":
            ended = _skip_line(source)
            yield b"", source.tell()
            if not ended:
                return
        while line := source.readline(LONGEST_LINE):
            if line.endswith(b"\n"):
                yield line, source.tell()
            elif len(line) < LONGEST_LINE:
                if torn:
                    yield line, source.tell()
                return
            else:
                ended = _skip_line(source)
                yield None, source.tell()
                if not ended:
                    return


def _skip_line(source: IO[bytes]) -> bool:
    """Goes behind the end of the present line; False when the file ends first."""
    while piece := source.readline(LONGEST_LINE):
        if piece.endswith(b"\n"):
            return True
    return False


def stderr_that_matters(err: Path) -> list[str]:
    """The last lines of stderr that tell of a failure; [] when there is no such file."""
    try:
        with err.open("rb") as source:
            source.seek(max(0, err.stat().st_size - STDERR_TAIL))
            tail = source.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    found = [one_line(line, 500) for line in tail.splitlines() if _MATTERS.search(line)]
    return found[-STDERR_LINES:]
