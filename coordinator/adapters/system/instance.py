"""One coordinator a repository: a lock that the kernel takes back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from types import FrameType

from coordinator.adapters.system.seam import crossing
from coordinator.runfiles import codec, identity


class AlreadyRunning(Exception):
    """Another coordinator holds this repository; `pid` is 0 when it left no name."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"another coordinator (pid {pid or 'unknown'}) works on this repository")
        self.pid = pid


class InstanceLock:
    """Held from `take` to `release` or to the end of the process. Not inherited by children. Who took it is deaf to a
    wake until it listens: of the main thread alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    def take(self) -> dict[str, str]:
        """Takes the lock and names the holder in it; returns that name. Raises AlreadyRunning, OSError."""
        with crossing("file", str(self._path)):
            return self._take()

    def _take(self) -> dict[str, str]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise AlreadyRunning(holder(self._path)) from None
        signal.signal(signal.SIGUSR1, _deaf)   # a wake may come as soon as the name stands there, and would kill us
        me = whoami()
        os.ftruncate(fd, 0)
        os.pwrite(fd, codec.encode(me), 0)
        self._fd = fd
        return me

    def release(self) -> None:
        if self._fd >= 0:
            with crossing("file", f"release {self._path}"):
                os.ftruncate(self._fd, 0)
                os.close(self._fd)
                self._fd = -1


def _deaf(_number: int, _frame: FrameType | None) -> None:
    """A handler, for an ignored signal would stay ignored in the agents."""


def whoami() -> dict[str, str]:
    """pid, pid_start and boot_id: together they name a process for ever."""
    pid = os.getpid()
    me = identity.look(pid)
    return {"pid": str(pid), "pid_start": str(me.start if me is not None else 0), "boot_id": identity.boot_id()}


def holder(path: Path) -> int:
    """The pid of the living process that is named in the lock file; 0 when there is none."""
    pid, start, boot = _named(path)
    return pid if identity.alive(pid, start, boot) else 0


def wake(path: Path) -> bool:
    """Wakes the coordinator named in the lock file, after an identity check; False when none lives."""
    pid, start, boot = _named(path)
    return identity.alive(pid, start, boot) and identity.send(pid, start, signal.SIGUSR1)


def _named(path: Path) -> tuple[int, int, str]:
    try:
        named = codec.decode(path.read_bytes())
    except OSError:
        return 0, 0, ""
    return codec.whole(named.get("pid", "")), codec.whole(named.get("pid_start", "")), named.get("boot_id", "")
