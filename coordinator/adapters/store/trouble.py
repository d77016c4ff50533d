"""What SQLite's errors mean for the person who runs the coordinator: the file, what is wrong, the cure."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from coordinator.ports import StoreError

_ANEW = ("Stop the coordinator, move the file aside (mv {file} {file}.broken) and start again: tasks are "
         "taken up anew from the labelled issues and their branches. The history may be saved with "
         "`sqlite3 {file}.broken .recover`.")

_MEANINGS: tuple[tuple[str, str, str], ...] = (
    ("SQLITE_FULL", "the disk is full",
     "Free some room (`coordinator clean --dry-run` shows what can go); what was stored before is intact."),
    ("SQLITE_NOTADB", "this is not a store of the coordinator, or its first bytes were overwritten", _ANEW),
    ("SQLITE_CORRUPT", "the file is damaged", _ANEW),
    ("SQLITE_CANTOPEN", "the file cannot be opened or made",
     "See that its folder exists and that this user may write there: ls -ld {folder}"),
    ("SQLITE_READONLY", "the file may not be written",
     "Give it and its folder to this user: chown $(id -u) {file} {folder}"),
    ("SQLITE_PERM", "the file may not be read", "Give it to this user: chown $(id -u) {file}"),
    ("SQLITE_AUTH", "the file may not be read", "Give it to this user: chown $(id -u) {file}"),
    ("SQLITE_BUSY", "another process has held it locked for too long",
     "Find it with `fuser {file}` and end it, or try again."),
    ("SQLITE_LOCKED", "another process has held it locked for too long",
     "Find it with `fuser {file}` and end it, or try again."),
    ("SQLITE_IOERR", "the disk could not be read or written",
     "Look for room and errors of the disk (df -h {folder}; dmesg); what was stored before is intact."),
)


def explain(path: Path, error: BaseException) -> StoreError:
    """The error in words. An error that is none of the file's keeps its own text."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if not name and isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
        name = "SQLITE_CANTOPEN"
    for prefix, meaning, cure in _MEANINGS:
        if name.startswith(prefix):
            return _told(path, f"{meaning} ({error})", cure)
    return _told(path, f"{type(error).__name__}: {error}", "Nothing was changed; try again, then report it.")


def unreadable(path: Path, error: BaseException) -> StoreError:
    """A row holds what no version of ours writes."""
    return _told(path, f"a row holds a value that cannot be read: {error}", _ANEW)


def not_a_file(path: Path, error: OSError) -> StoreError:
    return _told(path, error.strerror or str(error),
                 "See that its folder exists and that this user may write there: ls -ld {folder}")


def foreign(path: Path, tables: set[str]) -> StoreError:
    """A sound SQLite file of some other program."""
    return _told(path, f"it is another program's SQLite file, with tables {', '.join(sorted(tables)[:5])}",
                 "Name another place for the store, or move this file away. Nothing was changed.")


def _told(path: Path, what: str, cure: str) -> StoreError:
    help_ = cure.format(file=path, folder=path.parent)
    return StoreError(f"the store {path} could not be used: {what}\n  {help_}")
