"""What `ps` and `sysctl` of a host without /proc print, as values. Understands BSD's ps and that of procps."""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import List, Tuple

_COLUMNS = ("-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "state=", "-o", "rss=", "-o", "time=", "-o", "lstart=")
"""Each with an option of its own: BSD's ps takes all that follows an equals sign for the header."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_PLACES = ("/usr/bin", "/bin", "/usr/sbin", "/sbin")
_TRIES = 4
_PAUSE = 0.05


class Proc:
    """One process. `start` is its date and time, UTC, as one number, 0 where ps has none; `cpu` is in seconds, its own
    alone."""

    __slots__ = ("cpu", "group", "pid", "ppid", "rss_kb", "start", "state")

    def __init__(self, fields: List[str]) -> None:
        self.pid, self.ppid, self.group = (int(field) for field in fields[:3])
        self.state = fields[3][0]
        self.rss_kb = int(fields[4])
        self.cpu = seconds(fields[5])
        self.start = _start(fields[6:])


def seconds(text: str) -> float:
    """`[DAYS-]HOURS:MINUTES:SECONDS` of procps, `MINUTES:SECONDS.FRACTION` of BSD."""
    days, _, clock = text.rpartition("-")
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return 86400 * int(days or 0) + total


def _start(fields: List[str]) -> int:
    """`Sat Nov 21 09:12:01 2026`; of a zombie some hosts know none."""
    if len(fields) != 5 or fields[1] not in _MONTHS:
        return 0
    _, month, day, clock, year = fields
    return int("%s%02d%02d%s" % (year, 1 + _MONTHS.index(month), int(day), clock.replace(":", "")))


class Ps:
    """Asks. `cost` is the CPU time in seconds that this took."""

    def __init__(self) -> None:
        self.cost = 0.0
        self._boot = ""

    def boot_id(self) -> str:
        """Of macOS the session's own id; elsewhere the second of the boot. Raises OSError."""
        if not self._boot:
            _, text, _ = self._run("sysctl", "-n", "kern.bootsessionuuid")
            if not text.strip():
                _, text, _ = self._run("sysctl", "-n", "kern.boottime")
                text = text.partition("sec = ")[2].partition(",")[0]
            self._boot = text.strip()
        if not self._boot:
            raise OSError("sysctl knows neither kern.bootsessionuuid nor kern.boottime")
        return self._boot

    def all(self) -> List[Proc]:
        """Raises OSError when ps does not answer."""
        return self._rows("-ax")

    def one(self, pid: int) -> List[Proc]:
        """One or none. Raises OSError when ps does not answer."""
        return self._rows("-p", str(pid)) if pid > 0 else []

    def _rows(self, *which: str) -> List[Proc]:
        code, text, helper = self._run("ps", *_COLUMNS, *which)
        try:
            found = [Proc(line.split()) for line in text.splitlines() if line.strip()]
        except (ValueError, IndexError) as error:
            raise OSError("ps prints what nobody understands: %s" % error) from None
        if code > 1 or (code and found) or not (found or len(which) == 2):
            raise OSError("ps does not answer (exit %d)" % code)
        return [proc for proc in found if proc.pid != helper]

    def _run(self, *argv: str) -> Tuple[int, str, int]:
        """Exit code, output and pid of a program of the system."""
        told, tell = os.pipe()
        try:
            pid = _spawn(argv, tell)
            os.close(tell)
            tell = -1
            chunks = list(iter(lambda: os.read(told, 65536), b""))
            _, status, used = os.wait4(pid, 0)
        finally:
            for fd in (told, tell):
                if fd >= 0:
                    os.close(fd)
        self.cost += used.ru_utime + used.ru_stime
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128
        return code, b"".join(chunks).decode("ascii", "replace"), pid


def _spawn(argv: Tuple[str, ...], tell: int) -> int:
    """Raises OSError when it cannot be had after some tries: a host may be short of processes for a moment."""
    places = [*filter(None, os.environ.get("PATH", "").split(":")), *_PLACES]
    env = {"PATH": ":".join(places), "LC_ALL": "C", "TZ": "UTC0"}   # dates are printed as everywhere
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, tell, 1),
               (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    for place in places * _TRIES:
        try:
            return os.posix_spawn(place + "/" + argv[0], argv, env, file_actions=actions, setsigmask=(),
                                  setsigdef=(signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except BlockingIOError:
            time.sleep(_PAUSE)
    raise OSError("%s cannot be started" % argv[0])
