"""What is wrong with a file that people write, said so that they can mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What is wrong with a plan file, and what to do. `level` is "error" (it must not be run) or "warning"; `line`
    counts from 1, 0 = the file as a whole; `task` is "" when it is no single task's, `field` when it is no single
    field's."""

    level: str
    line: int
    task: str
    words: str
    cure: str
    field: str = ""
