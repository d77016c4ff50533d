"""Writes that readers see whole or not at all, and reads that no link or pipe in the place can trick."""

from __future__ import annotations

import itertools
import os

from coordinator.runfiles import codec

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, Optional

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LIMIT = 4 << 20
_numbers = itertools.count(1)   # two threads may write the same file at once


def write(target: str, data: bytes, mode: int = 0o600, *, lasting: bool = True) -> None:
    """Temporary name in the same folder, fsync, replace, fsync of the folder. Raises OSError. What is not `lasting`
    need not outlive a power cut: it is not forced onto the disk."""
    with Reserved(target, 0, mode) as place:
        place.fill(data, lasting=lasting)


class Reserved:
    """A file under a temporary name whose room on the disk is taken in advance, to be filled and put in place
    later: an outcome must find its place on a disk that filled up while the agent ran."""

    def __init__(self, target: str, room: int, mode: int = 0o600) -> None:
        folder, name = os.path.split(target)
        self._target, self._folder = target, folder or "."
        self._temporary = "%s/.%s.%d-%d.tmp" % (self._folder, name, os.getpid(), next(_numbers))
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._temporary, flags, 0o600)
        os.fchmod(self._fd, mode)
        if room:
            try:
                os.posix_fallocate(self._fd, 0, room)
            except (OSError, AttributeError):
                pass   # a file system, or a host (macOS), without it: the write itself will tell

    def __enter__(self) -> Reserved:  # noqa: PYI034 - Self is not in the typing of 3.9
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()

    def fill(self, data: bytes, *, lasting: bool = True) -> None:
        """Puts the file in place with this content. Raises OSError; it may then be tried again."""
        os.lseek(self._fd, 0, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest):]
        os.ftruncate(self._fd, len(data))
        if lasting:
            os.fsync(self._fd)
        os.replace(self._temporary, self._target)
        self._temporary = ""
        try:
            if lasting:
                sync_folder(self._folder)
        except OSError:
            pass   # in place and synced itself; some file systems cannot sync a folder

    def drop(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._temporary:
            os.unlink(self._temporary)
            self._temporary = ""


def sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read(target: str, limit: int = _LIMIT) -> Optional[bytes]:
    """At most `limit` bytes of a plain file; None when there is none. Raises OSError for a link in its place
    or one that may not be read."""
    try:
        fd = os.open(target, _READ)
    except FileNotFoundError:
        return None
    try:
        chunks = []
        while limit > 0:
            chunk = os.read(fd, min(limit, 65536))
            if not chunk:
                break
            chunks.append(chunk)
            limit -= len(chunk)
        return b"".join(chunks)
    finally:
        os.close(fd)


def read_pairs(target: str) -> Optional[Dict[str, str]]:
    """The decoded pairs, None when there is no such file. Raises OSError as `read` does."""
    data = read(target)
    return None if data is None else codec.decode(data)
