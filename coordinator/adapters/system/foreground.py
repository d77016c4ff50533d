"""This process becomes another program: same pid, same terminal, the prompt on its stdin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn


def become(argv: Sequence[str], *, env: Mapping[str, str], stdin: str) -> NoReturn:
    """Returns only by raising OSError, when the program cannot be started."""
    fd = os.memfd_create("prompt")
    with open(fd, "wb", closefd=False) as file:
        file.write(stdin.encode("utf-8", "surrogateescape"))
    os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two, and an ignored signal stays ignored in the program that follows.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - argv is the provider's own, no shell reads it
