"""A cgroup for the agent where cgroup v2 can be written: one more way to end it all, never the only one."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import List, Optional


_NAME = "coordinator-"


class Group:
    """One agent's group; `folder` is noted in the heartbeat, so that it is found when the wrapper is dead."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def join(self) -> None:
        """Moves the calling process in; where it may not, the walk over the tree has to do."""
        self._write("cgroup.procs")

    def kill(self) -> None:
        self._write("cgroup.kill", b"1")

    def remove(self) -> List[int]:
        """Gives the group back once it is empty; the pids that were in it still after half a second."""
        for _ in range(50):
            try:
                os.rmdir(self.folder)
                return []
            except FileNotFoundError:
                return []
            except OSError:
                time.sleep(0.01)   # the killed are not quite dead yet
        try:
            with open(self.folder + "/cgroup.procs", encoding="ascii") as stream:
                return [int(line) for line in stream]
        except OSError:
            return []

    def _write(self, name: str, data: bytes = b"0") -> None:
        try:
            fd = os.open(self.folder + "/" + name, os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, data)
            finally:
                os.close(fd)
        except OSError:
            pass   # the subreaper path is enough alone


def make(token: str) -> Optional[Group]:
    """A fresh group below our own; None without a writable cgroup v2 that has cgroup.kill."""
    try:
        above = _own_folder()
        folder = "%s/%s%s" % (above, _NAME, token)
        if not above or "/" in token:
            return None
        os.mkdir(folder)
    except OSError:
        return None
    if os.access(folder + "/cgroup.kill", os.W_OK) and os.access(folder + "/cgroup.procs", os.W_OK):
        return Group(folder)
    os.rmdir(folder)
    return None


def known(folder: str, token: str) -> Optional[Group]:
    """The group that a heartbeat names, if it is the one of this token."""
    return Group(folder) if os.path.basename(folder) == _NAME + token and os.path.isdir(folder) else None


def _own_folder() -> str:
    """Where our own group is mounted, by mountinfo; "" without cgroup v2."""
    with open("/proc/self/cgroup", encoding="ascii", errors="surrogateescape") as stream:
        own = [line.rstrip("\n")[3:] for line in stream if line.startswith("0::")]
    with open("/proc/self/mountinfo", encoding="ascii", errors="surrogateescape") as stream:
        for line in stream:
            fields = line.split()
            root = fields[3].rstrip("/")
            if own and fields[fields.index("-") + 1] == "cgroup2" and own[0].startswith(root):
                return fields[4] + own[0][len(root):].rstrip("/")
    return ""
