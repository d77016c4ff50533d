"""What a killed agent leaves in a worktree's git directory: locks nobody holds, half-done rebases and merges."""

from __future__ import annotations

import shutil
from pathlib import Path

from coordinator.adapters.git.funnel import Tree
from coordinator.adapters.system.seam import crossing
from coordinator.ports import GitError

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
    Raises GitError while somebody does."""
    locks = [lock for name in ("index.lock", "HEAD.lock") if (lock := tree.admin / name).exists()]
    if not locks:
        return ()
    user = _user_of(tree, locks)
    if user:
        raise GitError(f"{locks[0]} is held: process {user} works in {tree.path}. Wait for it, or end it")
    for lock in locks:
        with crossing("file", lock.name):
            lock.unlink(missing_ok=True)
    names = " and ".join(lock.name for lock in locks)
    return (f"removed {names}, left by a process that is gone",)


def _user_of(tree: Tree, locks: list[Path]) -> int:
    """A process with a lock open, or with its working directory in the tree; 0 when none is seen."""
    targets = {str(lock) for lock in locks}
    folder = str(tree.path)
    for entry in Path("/proc").glob("[0-9]*"):
        cwd = _link(entry / "cwd")
        if cwd == folder or cwd.startswith(folder + "/") or not targets.isdisjoint(_open_files(entry)):
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
