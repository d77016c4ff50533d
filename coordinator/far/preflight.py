"""What this host is like, as one line of JSON: told before anything of ours lies here, and nothing is changed.

It is read from stdin by whatever Python the host has, so it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

_GIT_TIMEOUT = 10


def facts(folder: str) -> Dict[str, Any]:
    """Of the host, and of the file system that `folder` lies on or will lie on."""
    folder = os.path.abspath(os.path.expanduser(folder))
    standing, in_way = folder, ""
    while not os.path.isdir(standing):
        in_way = standing if os.path.lexists(standing) else in_way
        standing = os.path.dirname(standing)
    return {
        "python": platform.python_version(), "git": _git(), "system": platform.system(), "uid": os.geteuid(),
        "folder": folder, "standing": standing, "in_way": in_way,
        "owner": os.stat(folder).st_uid if standing == folder else -1,
        "writable": os.access(standing, os.W_OK | os.X_OK), "now": time.time(), "room": _room(standing),
    }


def _room(standing: str) -> Dict[str, Any]:
    """As runfiles.room measures it, but for cgroups, which a host's own login has seldom."""
    seen = os.statvfs(standing)
    return {
        "disk": seen.f_bavail * seen.f_frsize, "disk_all": seen.f_blocks * seen.f_frsize,
        "inodes": seen.f_favail if seen.f_files else None, "inodes_all": seen.f_files or None,
        "memory": _memory(), "load": os.getloadavg()[0] / (os.cpu_count() or 1),
    }


def _memory() -> Optional[int]:
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:
            return next((int(line.split()[1]) * 1024 for line in stream if line.startswith("MemAvailable:")), None)
    except OSError:
        return None


def _git() -> str:
    try:
        said = subprocess.run(["git", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              stdin=subprocess.DEVNULL, timeout=_GIT_TIMEOUT, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = said.decode("utf-8", "replace").split()
    return words[2] if len(words) > 2 else ""


if __name__ == "__main__":
    print(json.dumps(facts(sys.argv[1])))
