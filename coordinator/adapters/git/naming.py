"""Names and places: which folder and which refs belong to a task. Every path that is written to or removed is
made here, so that no task id, however hostile, leads outside the worktree root."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

from coordinator.domain.task import TASK_ID
from coordinator.ports import ForeignWorktree

RESCUE = "refs/coordinator/rescue/"
_ADDRESS = re.compile(
    r"(?:(?:https?|ssh|git)://[^/]+/|[\w.-]+@[\w.-]+:)(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?/?"
)
NOTES = ("STOP", "BLOCKED.md")
"""Files by which people and workers speak; they stand at the worktree's root and are never work."""


def safe_name(task_id: str) -> str:
    """The id itself where it can be a folder and a part of a ref; else a cleaned one with a hash of the true one."""
    if TASK_ID.fullmatch(task_id) and ".." not in task_id and not task_id.endswith((".", ".lock")):
        return task_id
    clean = re.sub(r"[^A-Za-z0-9_-]+", "-", task_id).strip("-_")[:40] or "task"
    return f"{clean}-{hashlib.sha256(task_id.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def rescue_prefix(task_id: str) -> str:
    return f"{RESCUE}{safe_name(task_id)}/"


def beginnings(branch: str) -> tuple[str, ...]:
    """The branches beside which git can have none of this name: where one of them is a file, this wants a folder."""
    parts = branch.split("/")
    return tuple("/".join(parts[:count]) for count in range(1, len(parts)))


def full_name(url: str) -> str:
    """owner/name out of https://host/owner/name.git, git@host:owner/name or ssh://…; "" for anything else."""
    found = _ADDRESS.fullmatch(url.strip())
    return f"{found['owner']}/{found['name']}" if found else ""


def host(url: str) -> str:
    """The host that an address names, of https://host/… and of git@host:…; "" for a path."""
    if "://" in url:
        return urlsplit(url.strip()).hostname or ""
    found = re.match(r"(?:[^/@:]+@)?([^/@:]+):", url.strip())
    return found[1] if found else ""


def is_ssh(url: str) -> bool:
    """ssh://…, or git's short form `[user@]host:path`."""
    return url.startswith(("ssh://", "git+ssh://")) or bool(re.match(r"[^/:]+:(?!//)", url))


def inside(path: Path, root: Path) -> bool:
    """Whether `path`, links followed, lies strictly below `root`."""
    real, top = path.resolve(), root.resolve()
    return real != top and real.is_relative_to(top)


def place(root: Path, task_id: str, leaf: str = "") -> Path:
    """The real path of the task's worktree, `leaf` inside the task's folder, whether or not it exists. The root may be
    a link, set by the operator; a link in the worktree's own place, which may lead out or to another task, is refused.
    Raises ForeignWorktree."""
    folder = root.resolve() / safe_name(task_id)
    path = folder / leaf
    for one in (folder, path):
        if one.is_symlink():
            raise ForeignWorktree(f"{one} is a link to {one.readlink()}: remove the link, nothing was touched")
    return path
