"""What git tells of a task's checkout: its worktree, what its commits hold, what a clean-up finds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Survey:
    """What commits hold: changed files, lines added and removed, and (sha, message) of each commit, newest first."""

    files: tuple[str, ...] = ()
    lines: int = 0
    messages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Worktree:
    """A ready worktree. `notes` tell what had to be repaired or rescued on the way, for the log."""

    path: Path
    branch: str
    base_sha: str
    head_sha: str
    reused: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A worktree as the clean-up sees it. `safe` = clean and pushed, merged or rescued."""

    task_id: str
    path: Path
    branch: str
    registered: bool
    dirty: bool
    unpushed: int
