"""A file with our pid for as long as we live, for `kill $(cat FILE)`. Who holds its lock is alive: a file that a dead
process left is taken over."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.adapters.system.seam import crossing

_MOST = 32


class PidfileHeld(Exception):
    """The process named in it lives; `pid` is 0 when it left no name."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by a running process (pid {pid or 'unknown'})")
        self.pid = pid


class NoPidfile(Exception):
    """Something else stands there and stays as it is."""


@contextmanager
def pidfile(path: Path) -> Iterator[None]:
    """Raises PidfileHeld, NoPidfile, OSError."""
    fd = _held(path)
    try:
        with crossing("file", str(path)):
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        with crossing("file", f"remove {path}"):
            _remove(path, fd)
            os.close(fd)


def _held(path: Path) -> int:
    """The file, locked. Its last holder may have removed it just before we had the lock: then there is a new one."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
        try:
            _lock(path, fd)
            if _same(path, fd):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lock(path: Path, fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PidfileHeld(path, int(_text(path, fd) or 0)) from None
    _text(path, fd)


def _text(path: Path, fd: int) -> str:
    """The pid it holds, or "". Raises NoPidfile for the file of somebody who meant another."""
    text = os.pread(fd, _MOST + 1, 0).decode("ascii", "replace").strip()
    if len(text) > _MOST or (text and not text.isdigit()):
        raise NoPidfile(f"{path} holds something else than a pid: it was left as it is")
    return text


def _same(path: Path, fd: int) -> bool:
    """Whether the path still names the file that we hold."""
    try:
        there, ours = path.lstat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _remove(path: Path, fd: int) -> None:
    if _same(path, fd):
        path.unlink()
