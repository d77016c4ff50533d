"""Starts `coordinator run` for a rehearsal, so that it ends with the rehearsal, however that ends.

A rehearsal that is killed can tell nobody; the kernel tells for it. It must not outlive the moment: it becomes the
coordinator it starts, and nothing stands between the two.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1   # linux/prctl.h; what it sets outlives exec, and comes when the thread that forked is gone


def main(arguments: list[str]) -> None:
    """`PARENT ARG...`: `coordinator ARG...`, told to end when the process PARENT has ended."""
    parent, *rest = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))
    if os.getppid() != int(parent):
        return   # it ended before the kernel was asked
    os.execv(sys.executable, [sys.executable, "-m", "coordinator", *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
