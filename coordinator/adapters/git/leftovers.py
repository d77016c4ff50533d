"""What a killed agent leaves in a worktree's git directory: locks nobody holds, half-done rebases and merges."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.adapters.system.clock import SystemClock
from coordinator.adapters.system.seam import crossing
from coordinator.ports import GitBusy

if TYPE_CHECKING:
    from coordinator.adapters.git.funnel import Tree

DEAD_AFTER = 60
"""Seconds after which a lock that no process is seen to hold is nobody's: git holds one while it writes one file."""
_IN_THE_WAY = re.compile(r"Unable to create '([^'\n]+\.lock)': File exists")
_FOLDERS = ("rebase-merge", "rebase-apply", "sequencer")
_FILES = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE",
          "BISECT_START", "BISECT_NAMES", "BISECT_TERMS", "BISECT_EXPECTED_REV", "REBASE_HEAD")
_HALF = {"rebase-merge": "rebase", "rebase-apply": "rebase", "MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick",
         "REVERT_HEAD": "revert", "sequencer": "cherry-pick", "BISECT_LOG": "bisect"}


def half_done(tree: Tree) -> str:
    """The operation an agent began and did not end, "" when there is none."""
    return next((word for name, word in _HALF.items() if (tree.admin / name).exists()), "")


def forget_half_done(tree: Tree) -> None:
    """Drops the records of such an operation; the caller has rescued and resets the tree. Not by `git rebase
    --abort`: that would run what the records say."""
    with crossing("file", "git operation records"):
        for name in _FOLDERS:
            shutil.rmtree(tree.admin / name, ignore_errors=True)
        for name in _FILES:
            (tree.admin / name).unlink(missing_ok=True)


def drop_dead_locks(tree: Tree) -> tuple[str, ...]:
    """Removes index.lock and HEAD.lock when no process works in the tree or has them open; what was removed.
    Raises GitBusy while somebody does."""
    locks = [lock for name in ("index.lock", "HEAD.lock") if (lock := tree.admin / name).exists()]
    if not locks:
        return ()
    user = _user_of(tree.path, locks)
    if user:
        raise GitBusy(f"{locks[0]} is held: process {user} works in {tree.path}. Wait for it, or end it")
    for lock in locks:
        with crossing("file", lock.name):
            lock.unlink(missing_ok=True)
    names = " and ".join(lock.name for lock in locks)
    return (f"removed {names}, left by a process that is gone",)


def lock_named(said: str, common: Path) -> Path | None:
    """The lock below this git directory that git says is in its way; None where it says something else."""
    found = _IN_THE_WAY.search(said)
    lock = Path(found[1]) if found else None
    if lock is None or lock.is_symlink() or not lock.parent.resolve().is_relative_to(common):
        return None
    return lock


def drop_dead_lock(lock: Path, common: Path) -> str:
    """Removes a lock of the repository that nobody holds any more; words that tell. Raises GitBusy while somebody may:
    a git that runs keeps it for seconds, and one that was killed, or a host that lost its power, leaves it for ever."""
    try:
        # one from a time to come is that of a clock set back
        age = abs(SystemClock().now().timestamp() - lock.lstat().st_mtime)
    except FileNotFoundError:
        return f"{lock.name} is gone by itself"
    user = _user_of(common, [lock])
    if user:
        raise GitBusy(f"{lock} is held by process {user}: it is waited for")
    if age < DEAD_AFTER:
        raise GitBusy(f"{lock} was left {int(age)} s ago and no process is seen to hold it: it is removed when it is "
                      f"{DEAD_AFTER} s old")
    with crossing("file", lock.name):
        lock.unlink(missing_ok=True)
    return f"removed {lock}, left {int(age)} s ago by a process that is gone"


def _user_of(folder: Path, locks: list[Path]) -> int:
    """A process with a lock open, or with its working directory in the folder; 0 when none is seen."""
    targets = {str(lock) for lock in locks}
    for entry in Path("/proc").glob("[0-9]*"):
        cwd = _link(entry / "cwd")
        if cwd == str(folder) or cwd.startswith(f"{folder}/") or not targets.isdisjoint(_open_files(entry)):
            return int(entry.name)
    return 0


def _open_files(process: Path) -> set[str]:
    try:
        return {_link(entry) for entry in (process / "fd").iterdir()}
    except OSError:
        return set()   # ended meanwhile, or another user's


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
