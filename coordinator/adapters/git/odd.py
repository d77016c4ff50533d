"""Pipes and devices where git reads files: it would wait for them as long as we let it, with the repository held. They
are looked for before git is asked, without opening anything."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from coordinator.adapters.system.seam import crossing
from coordinator.ports import GitError

_WHOLE = ("refs", "logs")
"""Folders of a git directory that git reads and writes at any depth; of the others it is what lies directly in them."""
_FLAT = ("info", "objects/info")
_READ_ON_THE_WAY = (".gitignore", ".gitattributes")
"""Of a worktree, at any depth: all else there git looks at with lstat(2) first."""
_NULL = os.makedev(1, 3)
"""/dev/null, which is at its end at once: some link what they do not want there."""
_WAITED_FOR = (stat.S_ISFIFO, stat.S_ISCHR, stat.S_ISBLK)


def refuse(common: Path) -> None:
    """Raises GitError that names the first in this git directory and in those of its worktrees."""
    admins = _entries(common / "worktrees")
    for folder in (common, *(Path(one.path) for one in admins if one.is_dir(follow_symlinks=False))):
        for entry in _where_git_reads(folder):
            if _is_waited_for(entry):
                raise GitError(f"{entry.path} is no file, and git would wait for it: look who put it there, then remove"
                               " it (rm)")


def remove_from(tree: Path) -> None:
    """Out of a worktree: no commit can hold one, and git waits for those of two names."""
    waiting = [tree]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting += [Path(entry.path)] if entry.name != ".git" else []
            elif entry.name in _READ_ON_THE_WAY and not entry.is_symlink() and _is_waited_for(entry):
                with crossing("file", entry.name):
                    Path(entry.path).unlink(missing_ok=True)


def _where_git_reads(folder: Path) -> Iterator[os.DirEntry[str]]:
    for at in (folder, *(folder / name for name in _FLAT)):
        yield from (entry for entry in _entries(at) if not entry.is_dir(follow_symlinks=False))
    waiting = [folder / name for name in _WHOLE]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry.path))
            else:
                yield entry


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """None of what is no folder, or has too long a name: git does not get there either."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _is_waited_for(entry: os.DirEntry[str]) -> bool:
    """Links are followed, as git does."""
    if entry.is_file(follow_symlinks=False):
        return False
    try:
        status = entry.stat()
    except OSError:
        return False
    return any(kind(status.st_mode) for kind in _WAITED_FOR) and status.st_rdev != _NULL
