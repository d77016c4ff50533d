"""Lets the kernel say when something new stands in the agent's folder, so that a STOP file need not be looked for every
second beside every agent.

By dnotify: of inotify one user has but 128 instances, and editors need theirs.
"""

from __future__ import annotations

import fcntl
import os
import signal

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Tuple

SIGNAL = signal.SIGIO
_LOCAL = frozenset(("ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs", "overlay"))
"""File systems on which nobody but this kernel makes files."""


def arm(folder: str) -> bool:
    """SIGNAL comes whenever an entry is made in the folder. False where that cannot be had, or not be relied on."""
    try:
        if _kind(os.path.realpath(folder)) not in _LOCAL:
            return False
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)   # stays open: closing it ends the notice
        fcntl.fcntl(fd, fcntl.F_NOTIFY, fcntl.DN_CREATE | fcntl.DN_RENAME | fcntl.DN_MULTISHOT)
        return True
    except (OSError, AttributeError):
        return False


def _kind(folder: str) -> str:
    """The type of the file system that it lies on; of mounts over one another the last one counts."""
    found: Tuple[int, str] = (0, "")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        for line in stream:
            fields = line.split()
            place = fields[4].rstrip("/")
            if (folder + "/").startswith(place + "/") and len(place) >= found[0]:
                found = (len(place), fields[fields.index("-") + 1])
    return found[1]
