"""What shows that the agent makes progress: CPU time, output, events, the worktree. Looks, judges nothing.

The worktree is looked at without git: HEAD, index and reflog of its git directory, and the names, sizes and
times of its first entries. A change deep in a very large tree shows when git or a new entry touches these.
"""

from __future__ import annotations

import os
import time

from coordinator.runfiles import atomic, identity

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Callable, Dict, List, Optional, Tuple

    from coordinator.worker.spec import Spec

_ENTRIES = 4000
_SKIPPED = frozenset((".git", ".coordinator", "node_modules", ".venv", "__pycache__", "target", "dist", "STOP"))
_SHARE = 1 / 3000   # of the time goes into looking at the worktree: many agents stand on one host
_RAREST = 2         # beats between two looks at it: a stall may be called after four
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time() -> float:
    """Goes on while the host sleeps, so that a gap in the observation is seen."""
    return time.clock_gettime(BOOT_CLOCK)


class Witness:
    """A value and when it last moved, by the boot clock: the wall clock may be set meanwhile."""

    def __init__(self, now: float) -> None:
        self.value = 0.0
        self.moved = now

    def see(self, value: float, now: float, enough: bool = True) -> None:
        if value != self.value and enough:
            self.moved = now
        self.value = value


class Observer:
    """Makes the pairs of one heartbeat after the other."""

    def __init__(self, spec: Spec, frame: Callable[[], List[int]]) -> None:
        """`frame` are processes of the tree that do none of its work."""
        now = boot_time()
        self._spec = spec
        self._frame = frame
        self._since = self._last = now
        self._cpu, self._log, self._event, self._tree = (Witness(now) for _ in range(4))
        self._files = [_Growing(spec.path("log")), _Growing(spec.path("err"))]
        self._own = _job_folder(spec)
        self._next_tree = now
        self._worktree = self._sign(now)
        self._share = 0.0
        self._stopped: Optional[float] = None
        self._rss = self.max_rss_kb = self._count = 0

    def observe(self) -> Dict[str, str]:
        now = boot_time()
        if now - self._last > 3 * self._spec.beat:
            self._since = now
            for witness in (self._cpu, self._log, self._event, self._tree):
                witness.moved = now
        self._look_at_processes(now)
        for growing in self._files:
            growing.read_on()
        self._log.see(sum(growing.size for growing in self._files), now)
        self._event.see(self._files[0].lines, now)
        self._look_at_tree(now)
        self._last = now
        return self._pairs(now)

    def last_look(self) -> Dict[str, str]:
        """What is there after the agent's end."""
        for growing in self._files:
            growing.read_on()
        now = self._next_tree = boot_time()
        self._look_at_tree(now)
        return {"log_bytes": str(self._files[0].size), "events": str(self._files[0].lines),
                "mutations": "%d" % self._tree.value if self._spec.watch_tree else ""}

    def _look_at_tree(self, now: float) -> None:
        if now < self._next_tree:
            return
        worktree = self._sign(now)
        self._tree.see(self._tree.value + (worktree != self._worktree), now)
        self._worktree = worktree

    def _sign(self, now: float) -> int:
        if not self._spec.watch_tree:
            return 0
        sign = _signature(self._spec.cwd, self._own, self._spec.git_dir)
        took = boot_time() - now
        self._next_tree = now + min(took / _SHARE, _RAREST * self._spec.beat)
        return sign

    def _look_at_processes(self, now: float) -> None:
        me = identity.look(os.getpid())
        procs = list(identity.tree(os.getpid()))
        frame = self._frame()
        used = os.times()
        cpu = used.children_user + used.children_system + sum(proc.cpu for proc in procs) + identity.unseen_cpu()
        cpu = max(cpu, self._cpu.value) if me else self._cpu.value
        passed = now - self._last
        self._share = (cpu - self._cpu.value) / passed if passed > 0 else 0.0
        self._cpu.see(cpu, now, enough=self._share >= self._spec.idle_cpu)
        self._rss = sum(proc.rss_kb for proc in procs)
        self.max_rss_kb = max(self.max_rss_kb, self._rss)
        self._count = len(procs)
        working = [proc for proc in procs if proc.pid not in frame]
        if working and all(proc.state in "Tt" for proc in working):
            self._stopped = now if self._stopped is None else self._stopped
        else:
            self._stopped = None

    def _pairs(self, now: float) -> Dict[str, str]:
        wall = time.time()

        def at(moment: float) -> str:
            return "%.3f" % (wall - (now - moment))

        return {
            "at": at(now), "up": "%.3f" % now, "since": at(self._since),
            "cpu_sec": "%.2f" % self._cpu.value, "cpu_moved_at": at(self._cpu.moved),
            "cpu_share": "%.4f" % self._share,
            "log_bytes": str(self._files[0].size), "err_bytes": str(self._files[1].size),
            "log_moved_at": at(self._log.moved),
            "events": str(self._files[0].lines), "last_event_at": at(self._event.moved),
            "tree": "%d" % self._tree.value if self._spec.watch_tree else "",
            "tree_moved_at": at(self._tree.moved) if self._spec.watch_tree else "",
            "rss_kb": str(self._rss), "processes": str(self._count),
            "stopped_since": "" if self._stopped is None else at(self._stopped),
        }


class _Growing:
    """An output file: its size and, read on from where the last look ended, its lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.size = 0
        self.lines = 0

    def read_on(self) -> None:
        try:
            fd = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            while True:
                chunk = os.pread(fd, 65536, self.size)
                if not chunk:
                    return
                self.size += len(chunk)
                self.lines += chunk.count(b"\n")
        except OSError:
            return   # no plain file any more: somebody put something in its place
        finally:
            os.close(fd)


def _job_folder(spec: Spec) -> str:
    """Where run files lie, which change all the time by our own hand; the agent may work above them."""
    folder = os.path.realpath(spec.folder)
    return os.path.dirname(folder) if os.path.basename(folder) == spec.provider else folder


def _signature(folder: str, own: str, git_dir: str) -> int:
    """A number that differs when the worktree differs; `own` is no part of it, `git_dir` is where its git moves ("" =
    as the worktree says)."""
    folder = os.path.realpath(folder)
    if folder == own:
        return 0
    sign = 0
    for name in _git_files(git_dir or _git_dir(folder)):
        sign = hash((sign, _stamp(name)))
    waiting, left = [folder], _ENTRIES
    while waiting and left > 0:
        try:
            with os.scandir(waiting.pop(0)) as entries:
                for entry in entries:
                    if entry.name not in _SKIPPED and left > 0 and entry.path != own:
                        left -= 1
                        sign = hash((sign, entry.name, _stamp(entry.path)))
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(entry.path)
        except OSError:
            continue   # gone meanwhile, or not ours to read
    return sign


def _git_files(place: str) -> List[str]:
    """What moves when git does, in a linked worktree's own git directory or in the main one."""
    return [place + "/" + name for name in ("HEAD", "index", "logs/HEAD")]


def _git_dir(folder: str) -> str:
    """The agent may have put anything in the place of `.git`."""
    place = folder + "/.git"
    try:
        link = (atomic.read(place, 4096) or b"").decode("utf-8", "surrogateescape")
        place = os.path.join(folder, link.partition("gitdir:")[2].strip().replace("\0", ""))
    except OSError:
        pass   # a folder, or no repository
    return place


def _stamp(name: str) -> Optional[Tuple[int, int, int]]:
    try:
        seen = os.lstat(name)
    except OSError:
        return None
    return (seen.st_mtime_ns, seen.st_size, seen.st_ino)
