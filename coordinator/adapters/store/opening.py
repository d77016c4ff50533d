"""Opening the file: private, in WAL mode, at the schema this version knows, or refused with words.

A file of a newer version is read with a read-only connection and left as it is.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from coordinator.adapters.store import trouble
from coordinator.adapters.store.schema import HEAD, REVISIONS
from coordinator.adapters.system.seam import crossing
from coordinator.ports import NewerSchema

BUSY_MS = 10_000
"""How long a writer waits for another before it gives up; a transaction of ours takes about a millisecond."""

_PRAGMAS = (
    f"busy_timeout = {BUSY_MS}",
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
)


def open_engine(path: Path) -> Engine:
    """An engine on the file at HEAD. Raises NewerSchema or StoreError, then with the file as it was."""
    make_private(path)
    revision = read_revision(path)
    if revision is not None and revision not in REVISIONS:
        raise NewerSchema(
            f"the store {path} has schema {revision}, written by a newer coordinator; this one knows {HEAD}."
            f"\n  Use that version again (pipx upgrade coordinator). Nothing was changed.")
    engine = _engine(path)
    if revision != HEAD:
        _migrate(engine, path)
    return engine


def make_private(path: Path) -> None:
    """Makes the file when absent, readable by its owner alone; SQLite gives -wal and -shm the same mode."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with crossing("file", f"make {path.name}"):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(handle).st_mode & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise trouble.not_a_file(path, error) from error


def read_revision(path: Path) -> str | None:
    """The schema's number in the file, None for an empty one. Raises StoreError for a foreign file."""
    if path.stat().st_size == 0:
        return None
    reading = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(reading, uri=True, timeout=BUSY_MS / 1000)) as file:
            names = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not names:
                return None
            if "alembic_version" not in names:
                raise trouble.foreign(path, names)
            row = file.execute("SELECT version_num FROM alembic_version").fetchone()
            return str(row[0]) if row else None
    except sqlite3.Error as error:
        raise trouble.explain(path, error) from error


def copy(path: Path, target: Path) -> None:
    """One moment of the store in a file of its own, whatever a daemon writes meanwhile; nothing stands beside the
    original that did not before. Raises StoreError."""
    alone = not _log_of(path).exists()
    _copied(path, target, "immutable=1" if alone else "mode=ro")
    if alone and _log_of(path).exists():   # opened meanwhile: what was read may have been written over
        _copied(path, target, "mode=ro")


def aside(path: Path, at: datetime) -> Path:
    return path.with_name(f"{path.name}.corrupt-{at:%Y%m%dT%H%M%S}")


def asides(path: Path) -> tuple[Path, ...]:
    """The earlier files of this place that were moved out of the way."""
    return tuple(sorted(path.parent.glob(f"{path.name}.corrupt-*")))


def set_aside(path: Path, at: datetime) -> Path:
    """Moves a file that is not to be believed any more out of the way, with what SQLite keeps beside it; its new name.
    Nothing of it is changed. Raises OSError."""
    kept = aside(path, at)
    for tail in ("-wal", "-shm", ""):
        if (one := path.with_name(f"{path.name}{tail}")).exists():
            with crossing("file", f"keep aside {one.name}"):
                one.rename(kept.with_name(f"{kept.name}{tail}"))
    return kept


def forget(path: Path) -> None:
    """Removes a memory that was half made when its maker died."""
    for tail in ("", "-wal", "-shm"):
        with crossing("file", f"remove {path.name}{tail}"):
            path.with_name(f"{path.name}{tail}").unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _copied(path: Path, target: Path, how: str) -> None:
    try:
        with (closing(sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=BUSY_MS / 1000)) as source,
              closing(sqlite3.connect(target)) as into):
            source.backup(into)
    except sqlite3.Error as error:
        raise trouble.explain(path, error) from error


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path.absolute()}", hide_parameters=True,
                           connect_args={"timeout": BUSY_MS / 1000, "check_same_thread": False})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver would otherwise begin transactions where it sees fit
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: upgrading a reader in mid-transaction fails without waiting."""
    reads = connection.get_execution_options().get("reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _migrate(engine: Engine, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", "coordinator.adapters.store:migrations")
    try:
        with crossing("store", "migrate"), engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    except DBAPIError as error:
        engine.dispose()
        raise trouble.explain(path, error.orig or error) from error
