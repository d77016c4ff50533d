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


class Memory:
    """Whether the kernel killed for want of memory since the last look: in the agent's own group where that counts such
    deaths, else in ours."""

    def __init__(self) -> None:
        self._file = ""
        self._last = 0

    def look(self, group: Optional[Group]) -> None:
        """Remembers the present count."""
        if not self._file:
            self._file = _memory_events(group)
        self._last = _deaths(self._file)

    def ran_out(self) -> bool:
        return _deaths(self._file) > self._last


def _memory_events(group: Optional[Group]) -> str:
    """The file that counts them; "-" where none does."""
    try:
        places = [group.folder + "/memory.events"] if group is not None else []
        places += [own_folder() + "/memory.events", own_folder("memory") + "/memory.oom_control"]
    except OSError:
        return "-"
    return next((place for place in places if os.path.exists(place)), "-")


def _deaths(name: str) -> int:
    try:
        with open(name, encoding="ascii") as stream:
            return sum(int(line[9:]) for line in stream if line.startswith("oom_kill "))
    except (OSError, ValueError):
        return 0


def make(token: str) -> Optional[Group]:
    """A fresh group below our own; None without a writable cgroup v2 that has cgroup.kill."""
    try:
        above = own_folder()
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


def own_folder(controller: str = "") -> str:
    """Where our own group is mounted, by mountinfo: in the tree of v2 or of a `controller` of v1; "" without one."""
    with open("/proc/self/cgroup", encoding="ascii", errors="surrogateescape") as stream:
        known = [line.rstrip("\n").split(":", 2) for line in stream]
    own = [path for _, names, path in known if controller in names.split(",")]
    with open("/proc/self/mountinfo", encoding="ascii", errors="surrogateescape") as stream:
        for line in stream:
            fields = line.split()
            root, after = fields[3].rstrip("/"), fields[fields.index("-") + 1:]
            ours = controller in after[-1].split(",") if controller else after[0] == "cgroup2"
            if own and ours and after[0].startswith("cgroup") and own[0].startswith(root):
                return fields[4] + own[0][len(root):].rstrip("/")
    return ""
