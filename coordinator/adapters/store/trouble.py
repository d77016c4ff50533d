"""What SQLite's errors mean for the person who runs the coordinator: the file, what is wrong, the cure."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from coordinator.ports import StoreDamaged, StoreError

_ANEW = ("`coordinator run` keeps it aside beside a new one, {file}.corrupt-…, and puts together what is known from "
         "the last board, the run files and GitHub.")
DAMAGED = ("SQLITE_NOTADB", "SQLITE_CORRUPT")

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
            kind = StoreDamaged if prefix in DAMAGED else StoreError
            return _told(path, f"{meaning} ({error})", cure, kind)
    return _told(path, f"{type(error).__name__}: {error}", "Nothing was changed; try again, then report it.")


def unreadable(path: Path, error: BaseException) -> StoreError:
    """A row holds what no version of ours writes."""
    return _told(path, f"a row holds a value that cannot be read: {error}", _ANEW, StoreDamaged)


def unsound(path: Path, found: str) -> StoreError:
    """SQLite's own check found the pages at odds with each other."""
    return _told(path, f"the file is damaged ({found})", _ANEW, StoreDamaged)


def gone_back(path: Path, stands: int, noted: int) -> StoreError:
    """Changes that were stored are not there any more: a lost -wal file, or a copy from before."""
    return _told(path, f"it went back in time: {noted} changes were made, {stands} are in it", _ANEW, StoreDamaged)


def gone(path: Path) -> StoreError:
    """It is not there, and was: to look at an empty one instead would show what is not so."""
    return StoreDamaged(f"the store {path} is gone\n  `coordinator run` makes a new one of what is known from the last "
                        "board, the run files and GitHub.")


def blank(path: Path) -> StoreError:
    """What was stored is not there any more: an empty file, or one that was begun anew, stands in its place."""
    return _told(path, "it is not the one that was used here before: what was stored is not in it", _ANEW, StoreDamaged)


def not_a_file(path: Path, error: OSError) -> StoreError:
    return _told(path, error.strerror or str(error),
                 "See that its folder exists and that this user may write there: ls -ld {folder}")


def foreign(path: Path, tables: set[str]) -> StoreError:
    """A sound SQLite file of some other program."""
    return _told(path, f"it is another program's SQLite file, with tables {', '.join(sorted(tables)[:5])}",
                 "Name another place for the store, or move this file away. Nothing was changed.")


def _told(path: Path, what: str, cure: str, kind: type[StoreError] = StoreError) -> StoreError:
    help_ = cure.format(file=path, folder=path.parent)
    return kind(f"the store {path} could not be used: {what}\n  {help_}")
