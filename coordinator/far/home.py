"""Where everything of one coordinator lies on this host, and the files that come and go in pieces."""

from __future__ import annotations

import hashlib
import os

from coordinator.runfiles import names

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Tuple

PIECE = 4 << 20
"""Bytes of a file that travel in one message."""


class Refused(Exception):
    """What was asked for is not done; `reason` is a reason code."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason, self.words = reason, words


class Home:
    """`<folder>/.coordinator/{jobs,repos,parcels}` and `<folder>/trees`. `shared` worktrees lie elsewhere."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(os.path.expanduser(folder))
        self.jobs = self.folder + "/.coordinator/jobs"
        self.repos = self.folder + "/.coordinator/repos"
        self.trees = self.folder + "/trees"
        self.parcels = self.folder + "/.coordinator/parcels"

    def make(self) -> None:
        """Raises names.ForeignFolder, OSError."""
        for each in (self.folder, self.jobs, self.repos, self.trees, self.parcels):
            names.make_folder(each)

    def of(self, provider: str) -> str:
        """The folder of a provider's jobs. Raises as `make`."""
        names.check_name(provider, "provider")
        folder = "%s/%s" % (self.jobs, provider)
        names.make_folder(folder)
        return folder

    def parcel(self, name: str) -> str:
        """`name` is a job's, which may be as long as a name can be, with `.in` or `.out` behind it."""
        job, _, way = name.rpartition(".")
        if way not in ("in", "out"):
            raise ValueError("%r is no parcel" % name[:80])
        return "%s/%s.%s" % (self.parcels, names.check_name(job), way)

    def put(self, name: str, offset: int, data: bytes) -> int:
        """Writes a piece at its place; the size so far. A piece that does not join is not written."""
        fd = os.open(self.parcel(name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(fd).st_size
            if offset <= size:
                os.ftruncate(fd, offset)
                os.lseek(fd, offset, os.SEEK_SET)
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(fd, rest):]
                os.fsync(fd)
                size = offset + len(data)
            return size
        finally:
            os.close(fd)

    def get(self, name: str, offset: int) -> bytes:
        """A piece from there on; empty at the end."""
        with open(self.parcel(name), "rb") as stream:
            stream.seek(offset)
            return stream.read(PIECE)

    def weigh(self, name: str) -> Tuple[int, str]:
        """(bytes, sha256)."""
        seen = hashlib.sha256()
        with open(self.parcel(name), "rb") as stream:
            while True:
                piece = stream.read(1 << 20)
                if not piece:
                    return stream.tell(), seen.hexdigest()
                seen.update(piece)

    def drop(self, name: str) -> None:
        try:
            os.unlink(self.parcel(name))
        except FileNotFoundError:
            return
