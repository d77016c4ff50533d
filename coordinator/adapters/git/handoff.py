"""What stages of a workflow leave in a worktree, read and put back. A worker may have put links anywhere: nothing is
read, written or removed through one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from coordinator.adapters.git.naming import inside
from coordinator.adapters.system.seam import crossing
from coordinator.domain.workflow import HANDOFF
from coordinator.ports import GitError
from coordinator.runfiles import atomic

MOST_FILES = 20
MOST_SEEN = 10_000
"""Paths that are looked at for one pattern."""
LONGEST = 64 << 10


def found(path: Path, pattern: str) -> tuple[tuple[str, str], ...]:
    """(path in the worktree, text) of the regular files that the pattern names, in order of their names."""
    read = ((str(one.relative_to(path)), _text(one)) for one in _named(path, pattern))
    return tuple(islice(((name, text) for name, text in read if text is not None), MOST_FILES))


def _named(path: Path, pattern: str) -> Iterator[Path]:
    try:
        seen = sorted(islice(path.glob(pattern), MOST_SEEN))
    except (ValueError, OSError) as error:
        raise GitError(f"the pattern {pattern!r} cannot be looked for in {path}: {error}") from error
    return (one for one in seen if inside(one, path) and not one.is_symlink())


def _text(path: Path) -> str | None:
    """None for what is no regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(fd, LONGEST).decode("utf-8", "replace") if stat.S_ISREG(os.fstat(fd).st_mode) else None
    finally:
        os.close(fd)


def put(path: Path, files: Mapping[str, str], drop: Sequence[str]) -> None:
    """`files` that stand in the hand-off folder itself are written; what `drop` names there goes."""
    folder = _folder(path)
    for pattern in drop:
        for one in _named(path, pattern):
            if one.parent == folder and one.is_file():
                with crossing("file", one.name):
                    one.unlink(missing_ok=True)
    for name, text in files.items():
        if (path / name).parent == folder:
            with crossing("file", folder.joinpath(name).name):
                atomic.write(str(path / name), text.encode("utf-8", "replace"), 0o644)


def _folder(path: Path) -> Path:
    """The hand-off folder, made where it is not; a link or a file in its place goes first."""
    folder = path
    for part in HANDOFF.split("/"):
        folder = folder / part
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            with crossing("file", folder.name):
                folder.unlink()
        if not folder.exists():
            with crossing("file", folder.name):
                folder.mkdir()
    return folder
