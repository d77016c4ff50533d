"""Files of a worktree that are no git matter: notes, copies of untracked files.

A worker may have put links anywhere in the worktree: nothing is read or written through one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from coordinator.adapters.git.naming import NOTES, inside
from coordinator.adapters.system.seam import crossing
from coordinator.ports import GitError

NOTE_LIMIT = 4000


def note(path: Path, name: str) -> str:
    """The text of a note, "" when it is absent, a link, or no regular file."""
    try:
        with plain(_note_path(path, name)) as file:
            return file.read(NOTE_LIMIT * 4).decode("utf-8", "replace")[:NOTE_LIMIT] if file else ""
    except OSError:
        return ""


@contextmanager
def plain(path: Path) -> Iterator[BinaryIO | None]:
    """The open file, None for what is no regular one: no link is followed and no pipe waited at. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield os.fdopen(fd, "rb", closefd=False) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def forget_note(path: Path, name: str) -> None:
    """Removes the note; a link is removed, not what it names; a folder of that name is no note and stays."""
    target = _note_path(path, name)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        with crossing("file", name):
            target.unlink(missing_ok=True)


def _note_path(path: Path, name: str) -> Path:
    if name not in NOTES:
        raise GitError(f"{name!r} is no note: one of {', '.join(NOTES)}")
    return path / name


def copy_into(source: Path, path: Path, names: Sequence[str]) -> tuple[str, ...]:
    """Copies regular files of the checkout that the worktree lacks; the names copied. A name that leads out of
    either of them is refused with GitError."""
    return tuple(name for name in names if _copied(source, path, name))


def _copied(source: Path, path: Path, name: str) -> bool:
    origin, target = source / name, path / name
    if not inside(origin, source) or not inside(target, path):
        raise GitError(f"copy {name!r}: leads out of the repository; name a file inside it in [worktree] copy")
    if target.is_symlink() or target.exists() or not origin.is_file():
        return False
    with crossing("file", name):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(origin, target)
    return True


def agents_folder(named: str) -> Path:
    """The folder for worktrees, made when absent, for its owner alone; where another user has it, ours stands beside
    it. Raises OSError."""
    folder = Path(named).expanduser()
    for one in (folder, folder.with_name(f"{folder.name}-{os.geteuid()}")):
        if not os.path.lexists(one):
            with crossing("file", one.name):
                one.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = one.lstat()
        if found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
            return one
    raise PermissionError(1, "is not ours, nor is the folder beside it: set plans.worktrees", str(folder))
