"""Jobs that other tools or hands left in the folder: a pid in a file, and hardly more. Reported, never signalled.

A pid alone names nobody for long, so it counts only while the process is older than the file that names it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from coordinator.adapters.executors.family import OTHERS, Family
from coordinator.adapters.executors.views import exited_of
from coordinator.domain.worker import Beat, Exited, Missing, Running, Unknown, Witness, WorkerView
from coordinator.runfiles import identity
from coordinator.runfiles.codec import whole

FRESH = 300.0
"""Seconds after which another tool's heartbeat is old."""
_SLACK = 2.0
_ENTRIES = 4000
_SKIPPED = frozenset((".git", "node_modules", ".venv", "__pycache__", "target", "dist"))
_GIT = (".git/index", ".git/logs/HEAD", ".git/HEAD")


def view_of_foreign(family: Family, meta: Mapping[str, str], outcome: Mapping[str, str], now: float) -> WorkerView:
    """What can be said of it; `now` in Unix seconds."""
    if outcome:
        return exited_of(outcome)
    code = _exit_code(family)
    if code is not None:
        return code
    if family.broken:
        return Unknown(family.broken, datetime.fromtimestamp(written(family), UTC))
    return _by_pid(family, meta, now)


def _exit_code(family: Family) -> Exited | None:
    if OTHERS not in family.kinds:
        return None
    text = family.data(OTHERS).decode("ascii", "replace").strip()
    if not text.isdigit() or len(text) > 3:
        family.faults.append(f"{OTHERS}: no exit code")
        return None
    seen = family.stat(OTHERS)
    return Exited(int(text), None, "process_exit", ended_at=seen.st_mtime if seen is not None else 0.0)


def _by_pid(family: Family, meta: Mapping[str, str], now: float) -> WorkerView:
    pid = _pid(family)
    named = family.stat("pid")
    if not pid or named is None:
        return Missing(started=False)
    booted = _booted()
    if booted and named.st_mtime < booted - _SLACK:
        return Exited(None, None, "host_reboot", "the host was restarted")
    proc = identity.look(pid)
    if proc is None or not identity.lives(proc):
        return Missing(started=True)
    began = booted + proc.start / identity.TICKS if booted else named.st_mtime
    if began > named.st_mtime + _SLACK or not _same(meta, proc):
        return Missing(started=True)
    return Running(pid, min(began, now), _beat(family, meta, min(began, now), now))


def _pid(family: Family) -> int:
    if "pid" not in family.kinds:
        return 0
    text = family.data("pid").decode("ascii", "replace").strip()
    if text and not (text.isdigit() and len(text) <= 10 and 0 < int(text) < 1 << 31):
        family.faults.append("pid: no process id")
        return 0
    return int(text or 0)


def _same(meta: Mapping[str, str], proc: identity.Proc) -> bool:
    """Where the other hand noted a start time, it must be this process's."""
    if whole(meta.get("pid", "")) != proc.pid or not meta.get("pid_start"):
        return True
    return whole(meta["pid_start"]) == proc.start


def _booted() -> float:
    """When the host was started, in Unix seconds; 0 where that cannot be asked."""
    try:
        with open("/proc/stat", "rb") as stream:  # noqa: PTH123 - pathlib costs each reader some milliseconds
            found = stream.read().partition(b"\nbtime ")[2]
    except OSError:
        return 0.0
    return float(whole(found.partition(b"\n")[0].decode("ascii", "replace")))


def _beat(family: Family, meta: Mapping[str, str], since: float, now: float) -> Beat:
    """What there is to see without a wrapper: the log, the tool's own heartbeat (by its file's time: the text is its
    own affair), and, where both are silent, the worktree. CPU time needs two looks, and a reader keeps none."""
    log, sign = family.stat("log"), family.stat("heartbeat")
    size = log.st_size if log is not None else 0
    event = Witness(1.0, max(since, sign.st_mtime)) if sign is not None else Witness(0.0, since)
    silent = sign is not None and not size and now - sign.st_mtime > FRESH
    return Beat(
        at=now,
        since=since,
        cpu=Witness(0.0, since),
        log=Witness(float(size), max(since, log.st_mtime) if log is not None and size else since),
        event=event,
        tree=Witness(0.0, max(since, newest(meta.get("worktree", "")))) if silent else None,
    )


def newest(folder: str) -> float:
    """When something in a worktree changed last, as far as its first entries show; 0 where there is none."""
    if not folder:
        return 0.0
    found = max(_changed(f"{folder}/{name}") for name in _GIT)
    waiting, left = deque([folder]), _ENTRIES
    while waiting and left > 0:
        try:
            with os.scandir(waiting.popleft()) as entries:
                for entry in entries:
                    left -= 1
                    if left <= 0 or entry.name in _SKIPPED:
                        continue
                    found = max(found, _changed(entry.path))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue   # gone meanwhile, or not ours to read
    return found


def _changed(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def written(family: Family) -> float:
    """When the newest of its files was written."""
    return max((seen.st_mtime for kind in family.kinds if (seen := family.stat(kind)) is not None), default=0.0)
