"""Runs the wrapper's bundle as on a host like macOS: no /proc is found, and what only Linux has is taken out of the
standard library first. `python -I -S without_proc.py BUNDLE WORDS...`"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

LINUX = (
    (os, ("pidfd_open", "posix_fallocate", "memfd_create", "eventfd", "sched_getaffinity", "O_TMPFILE", "waitid")),
    (signal, ("sigtimedwait", "sigwaitinfo", "pidfd_send_signal")),
    (fcntl, ("F_NOTIFY", "DN_CREATE", "DN_RENAME", "DN_MULTISHOT")),
    (time, ("CLOCK_BOOTTIME",)),
)


def hidden(asked: Callable[..., Any]) -> Callable[..., Any]:
    """The same question; of /proc it says that there is none."""

    def ask(path: Any, *more: Any, **named: Any) -> Any:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return asked(path, *more, **named)

    return ask


def take_out() -> None:
    for module, names in LINUX:
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    for name in ("open", "listdir", "stat", "lstat", "scandir"):
        setattr(os, name, hidden(getattr(os, name)))
    sys.modules["builtins"].open = hidden(open)  # type: ignore[attr-defined]


if __name__ == "__main__":
    take_out()
    sys.path.insert(0, sys.argv[1])
    from coordinator.worker.main import main

    sys.exit(main(sys.argv[2:]))
