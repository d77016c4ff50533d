"""What runs leave behind on the disk and in git, as one kind of thing with an age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

WALLED = "walled work"
"""A worker's own git that stands aside: what it committed behind its walls could not be taken in."""


@dataclass(frozen=True)
class Remain:
    """`kind` is transcript, run file, rescue ref or walled work; `name` a path or a ref. `newest`: of the task's last
    attempt. `size` is in bytes, 0 where it takes no room of its own."""

    kind: str
    name: str
    task_id: str
    at: datetime
    newest: bool
    size: int = 0


@dataclass(frozen=True)
class Litter:
    """Something that may go, and why."""

    kind: str
    name: str
    why: str
    size: int = 0
