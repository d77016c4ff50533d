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
    from typing import Any, Dict

_GIT_TIMEOUT = 10


def facts(folder: str) -> Dict[str, Any]:
    """Of the host, and of the file system that `folder` lies on or will lie on."""
    folder = os.path.abspath(os.path.expanduser(folder))
    standing, in_way = folder, ""
    while not os.path.isdir(standing):
        in_way = standing if os.path.lexists(standing) else in_way
        standing = os.path.dirname(standing)
    room = os.statvfs(standing)
    return {
        "python": platform.python_version(), "git": _git(), "system": platform.system(), "uid": os.geteuid(),
        "folder": folder, "standing": standing, "in_way": in_way,
        "owner": os.stat(folder).st_uid if standing == folder else -1,
        "writable": os.access(standing, os.W_OK | os.X_OK), "disk": room.f_bavail * room.f_frsize,
        "inodes": room.f_favail, "now": time.time(),
    }


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
