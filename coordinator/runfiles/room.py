"""What a machine has left: file system, memory, load. Asked of the kernel; what it does not tell is None."""

from __future__ import annotations

import os

from coordinator.runfiles import cgroup

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Optional


def measure(folder: str) -> Dict[str, Any]:
    """By the names of domain.room.Room. Raises OSError when the folder's file system cannot be asked."""
    return {**of_folder(os.statvfs(folder)), "memory": _memory(), "load": _load()}


def of_folder(seen: os.statvfs_result) -> Dict[str, Any]:
    """Some file systems have no fixed number of inodes and say 0 of 0 (btrfs)."""
    counted = bool(seen.f_files)
    return {
        "disk": seen.f_bavail * seen.f_frsize, "disk_all": seen.f_blocks * seen.f_frsize,
        "inodes": seen.f_favail if counted else None, "inodes_all": seen.f_files if counted else None,
    }


def _memory() -> Optional[int]:
    """What a new process could have without swapping: the machine's, or our cgroup's where that has less."""
    known = [one for one in (_available(), *_of_groups()) if one is not None]
    return min(known) if known else None


def _available() -> Optional[int]:
    """MemAvailable of proc_meminfo(5)."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            return next((int(line.split()[1]) * 1024 for line in stream if line.startswith("MemAvailable:")), None)
    except (OSError, ValueError):
        return None


def _of_groups() -> Iterator[int]:
    """Bytes until our cgroup of v2, and each above it, is at its limit. Cached pages that nobody uses count as free:
    the kernel gives them up first."""
    try:
        folder = cgroup.own_folder()
    except OSError:
        return
    while os.path.exists(folder + "/cgroup.controllers"):
        try:
            most = _text(folder, "memory.max").strip()
            if most != "max":
                yield max(0, int(most) - int(_text(folder, "memory.current")) + _idle_pages(folder))
        except (OSError, ValueError):
            pass   # the controller of memory is not on here, or this is the root, which has no limit
        folder = os.path.dirname(folder)


def _idle_pages(folder: str) -> int:
    return next((int(line.split()[1]) for line in _text(folder, "memory.stat").splitlines()
                 if line.startswith("inactive_file ")), 0)


def _text(folder: str, name: str) -> str:
    with open(folder + "/" + name, encoding="ascii") as stream:
        return stream.read()


def _load() -> Optional[float]:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None
