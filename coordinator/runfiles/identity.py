"""Who a process is: pid, start time and boot id together, or the token it inherited. Never a pid alone.

Reads /proc; signals only through `send`, which looks at the start time again while it holds the process. Where there is
no /proc, `portable` stands in.
"""

from __future__ import annotations

import os
import signal
import time

from coordinator.runfiles import names

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Iterator, List, Optional

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KB = os.sysconf("SC_PAGESIZE") // 1024
_LOOKS, _QUICK = 1000, 100
"""At one environment, and how many of these follow at once. The others wait a millisecond each: on a busy host the
process may lose its processor between its two programs. About a second in all, so that no look lasts for ever."""


class Proc:
    """One process as /proc/PID/stat shows it. `cpu` is in seconds and holds its waited-for children's too."""

    __slots__ = ("cpu", "pid", "ppid", "rss_kb", "start", "state")

    def __init__(self, pid: int, fields: List[bytes]) -> None:
        self.pid = pid
        self.state = fields[0].decode()
        self.ppid = int(fields[1])
        self.cpu = sum(int(field) for field in fields[11:15]) / TICKS
        self.start = int(fields[19])
        self.rss_kb = int(fields[21]) * PAGE_KB


def boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id").decode().strip()


def look(pid: int) -> Optional[Proc]:
    """The process, dead ones that wait to be reaped included; None when there is none, or none that shows."""
    try:
        return _ask(pid)
    except OSError:
        return None


def _ask(pid: int) -> Optional[Proc]:
    """None only where there is no such process for sure; raises OSError where it cannot be asked."""
    try:
        data = _read("/proc/%d/stat" % pid)
        return Proc(pid, data[data.rindex(b")") + 2:].split())
    except (FileNotFoundError, ProcessLookupError, ValueError, IndexError):
        return None


def lives(proc: Proc) -> bool:
    """False for a zombie. One whose first thread ended while others run is none, though it looks like one."""
    if proc.state not in "ZX":
        return True
    try:
        return len(os.listdir("/proc/%d/task" % proc.pid)) > 1
    except OSError:
        return False


def alive(pid: int, start: int, boot: str) -> bool:
    """Whether exactly this process runs: a recycled pid has another start time, another boot another id. Raises
    OSError where that cannot be asked (no descriptor left, say): that is no proof of an end."""
    if pid <= 0 or boot != boot_id():
        return False
    proc = _ask(pid)
    return proc is not None and proc.start == start and lives(proc)


def children(pid: int) -> List[int]:
    """Direct children, those that wait to be reaped included."""
    found: List[int] = []
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            found += [int(child) for child in _read("/proc/%d/task/%s/children" % (pid, thread)).split()]
    except OSError:
        return found
    return found


def tree(pid: int) -> Iterator[Proc]:
    """The living descendants, a parent before its children. The children are read only after the caller has
    had the parent, so that one who stops each parent first misses none."""
    waiting = children(pid)
    seen = {pid}
    while waiting:
        child = waiting.pop(0)
        if child in seen:
            continue
        seen.add(child)
        proc = look(child)
        if proc is None:
            continue
        if lives(proc):
            yield proc
        waiting += children(child)


def number_within(pid: int) -> int:
    """Its pid as the innermost pid space that it lives in counts (NSpid of proc(5)); 0 where nobody tells."""
    try:
        lines = _read("/proc/%d/status" % pid).splitlines()
    except OSError:
        return 0
    return next((int(line.split()[-1]) for line in lines if line.startswith(b"NSpid:")), 0)


def environ(pid: int) -> bytes:
    """What the process was started with. One that is becoming another program shows nothing for some microseconds: it
    has memory (vsize), but its environment has no place there yet, or one that has just changed (env_start and env_end;
    proc(5), fields 23, 50 and 51 of stat). Raises OSError: another user's, or gone."""
    last: List[bytes] = []
    for number in range(_LOOKS):
        if number >= _QUICK:
            time.sleep(0.001)
        found = _read("/proc/%d/environ" % pid)
        if found:
            return found
        data = _read("/proc/%d/stat" % pid)
        fields = data[data.rindex(b")") + 2:].split()
        if fields[20] == b"0" or (b"0" not in fields[47:49] and fields[47:49] == last):
            break
        last = fields[47:49]
    return b""


def with_token(token: str) -> List[Proc]:
    """The living processes, we excepted, that inherited this token in the environment they were started with."""
    wanted = ("%s=%s" % (names.TOKEN_VARIABLE, token)).encode()
    found: List[Proc] = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            carries = wanted in environ(int(name)).split(b"\0")
        except OSError:
            continue   # another user's, or gone
        proc = look(int(name)) if carries else None
        if proc is not None and lives(proc):
            found.append(proc)
    return found


def send(pid: int, start: int, number: int) -> bool:
    """Signals this process and no other: the start time is looked at while a pidfd holds it; kernels before 5.3 have
    none, so there a moment lies between. False when it is gone, is another one, or may not be signalled."""
    try:
        fd = os.pidfd_open(pid)
    except (AttributeError, OSError):
        fd = -1
    try:
        proc = look(pid)
        if proc is None or proc.start != start:
            return False
        if fd < 0:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
        return True
    except OSError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)


def unseen_cpu() -> float:
    """CPU seconds of the tree that neither the living nor our own children's sums hold."""
    return 0.0


def _read(name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks: List[bytes] = []
        while True:
            chunk = os.read(fd, 65536)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    finally:
        os.close(fd)


PROC = os.path.exists("/proc/self/stat")
if not PROC:
    from coordinator.runfiles import portable

    globals().update(portable.OF_IDENTITY)
