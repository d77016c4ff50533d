"""A GitHub token behind a descriptor: the environment names a number, and only this process can read what is there."""

from __future__ import annotations

import os

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Tuple

VARIABLE = "COORDINATOR_GITHUB_TOKEN_FD"
NAME = "coordinator-token"
"""Of the memory file, which says that a descriptor is ours."""
LONGEST = 4096


def read(environ: Mapping[str, str]) -> Tuple[str, str]:
    """(token, where it came from); ("", "") where no descriptor of ours is named."""
    number = environ.get(VARIABLE, "")
    if not number.isdecimal():
        return "", ""
    try:
        if os.readlink("/proc/self/fd/" + number) != "/memfd:%s (deleted)" % NAME:
            return "", ""
        token, _, source = os.pread(int(number), LONGEST, 0).decode("utf-8", "replace").partition("\n")
    except (OSError, OverflowError):
        return "", ""
    return token, source
