"""The run files of one job, read: its family `<folder>/<job>.<kind>`. Changes nothing and starts nothing.

Whatever lies there does no harm: a file that cannot be read, or holds no pairs, is a fault of this job alone.
"""

from __future__ import annotations

import os

from coordinator.runfiles import atomic, codec, names

LARGEST = 1 << 20
"""Bytes of a key=value file; ours have a few thousand."""
PAIRS = ("meta", "heartbeat", "outcome")
OTHERS = "rc"
"""The one kind of other tools that is none of ours: the exit code, written by their wrapper."""
TELLING = frozenset((*PAIRS, "pid", OTHERS))
"""The kinds that make a job; the others only belong to one."""


def kind_of(name: str) -> tuple[str, str] | None:
    """(job, kind) of a file's name; None where the kind tells nothing of a job, and for what stepped aside."""
    if name.endswith(".rc"):
        found: tuple[str, str] | None = (name[:-3], OTHERS)
    else:
        found = names.job_of(name)
    return found if found is not None and found[1] in TELLING and name == f"{found[0]}.{found[1]}" else None


def plain(job: str) -> bool:
    try:
        names.check_name(job)
    except ValueError:
        return False
    return True


class Family:
    """`kinds` are those that lie there. `faults` name what could not be read and why; `broken` is the first fault that
    leaves open how the job stands: the file is there, and nobody knows what it says."""

    __slots__ = ("broken", "faults", "folder", "job", "kinds")

    def __init__(self, folder: str, job: str, kinds: frozenset[str] | set[str]) -> None:
        self.folder, self.job, self.kinds = folder, job, kinds
        self.faults: list[str] = []
        self.broken = ""

    def pairs(self, kind: str) -> dict[str, str]:
        """{} for a file that is not there, cannot be read or holds none."""
        data = self.data(kind) if kind in self.kinds else b""
        if not data:
            return {}
        if b"\0" in data or len(data) >= LARGEST:
            self.faults.append(f"{kind}: no key=value text" if b"\0" in data else f"{kind}: too large")
            return {}
        found = codec.decode(data)
        if not found:
            self.faults.append(f"{kind}: no key=value text")
        return found

    def again(self, kind: str) -> dict[str, str]:
        """Whether or not it lay there a moment ago."""
        self.kinds = {*self.kinds, kind}
        return self.pairs(kind)

    def data(self, kind: str) -> bytes:
        """b"" for a file that is gone, empty or cannot be read; the latter two are faults."""
        try:
            data = atomic.read(self.path(kind), LARGEST)
        except OSError as error:
            words = f"{kind}: {error.strerror or error}"
            self.faults.append(words)
            self.broken = self.broken or words
            return b""
        if data is not None and not data.strip():
            self.faults.append(f"{kind}: empty")
        return data or b""

    def stat(self, kind: str) -> os.stat_result | None:
        """Of the file itself, never of what a link in its place points to."""
        try:
            return os.lstat(self.path(kind))
        except OSError:
            return None

    def path(self, kind: str) -> str:
        return names.path(self.folder, self.job, kind)
