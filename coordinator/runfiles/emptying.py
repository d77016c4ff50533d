"""Folders that somebody hostile has filled, measured and removed whole. No name in there becomes part of a longer path,
no link is followed, and no depth needs as many descriptors or calls."""

from __future__ import annotations

import os
import stat

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_all(folder: str) -> None:
    """With all in it, also what is closed to its owner: the folders in a folder of it are first moved up to its top.
    Nothing where there is none. Raises OSError for what its user may not remove."""
    try:
        top = os.open(folder, _FOLDER)
    except FileNotFoundError:
        return
    try:
        prefix, moved = os.urandom(8).hex(), 0
        while True:
            names = os.listdir(top)
            if not names:
                break
            for name in names:
                if not _opened_up(name, top):
                    os.unlink(name, dir_fd=top)
                    continue
                moved = _emptied(name, top, prefix, moved)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(folder)


def size_of(folder: str) -> int:
    """Bytes of all files below; what is closed to us, or lies too deep for a path, counts nothing."""
    total, ahead = 0, [folder]
    while ahead:
        try:
            with os.scandir(ahead.pop()) as inner:
                for one in inner:
                    if one.is_dir(follow_symlinks=False):
                        ahead.append(one.path)
                    else:
                        total += one.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _emptied(name: str, top: int, prefix: str, moved: int) -> int:
    """How many folders were moved to the top by now: those in this one too."""
    inner = os.open(name, _FOLDER, dir_fd=top)
    try:
        for child in os.listdir(inner):
            if _opened_up(child, inner):
                os.rename(child, "%s-%d" % (prefix, moved), src_dir_fd=inner, dst_dir_fd=top)
                moved += 1
            else:
                os.unlink(child, dir_fd=inner)
    finally:
        os.close(inner)
    return moved


def _opened_up(name: str, parent: int) -> bool:
    """Whether it is a folder; then its owner may do with it what they like, as moving it needs."""
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        return False
    if stat.S_IMODE(mode) & stat.S_IRWXU != stat.S_IRWXU:
        os.chmod(name, 0o700, dir_fd=parent)
    return True
