"""The board as reading commands have it: what the coordinator wrote last, laid over with what run files say now.

Standard library only. Whatever stands in the file, nothing here raises for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.cli.views.harmless import harmless
from coordinator.domain.task import TaskState
from coordinator.runfiles import atomic, codec, identity, names

OLD_AFTER = 90.0
"""Seconds after which the board of a living coordinator counts as old: it looks again every 30 at the latest."""
LARGEST = 64 << 20
KNOWN_SCHEMA = 1
"""As engine/board.py writes it."""
STATES = frozenset(TaskState)

Row = dict[str, Any]


@dataclass(frozen=True)
class Board:
    """`rows` hold only tasks that can be shown. `warnings` are lines to be said first, each with its cure."""

    data: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    held: tuple[Row, ...] = ()
    warnings: tuple[str, ...] = ()
    daemon: int = 0

    @property
    def there(self) -> bool:
        return bool(self.data)

    @property
    def labels(self) -> dict[str, str]:
        return {str(key): str(value) for key, value in table(self.data.get("labels")).items()}

    def row(self, task_id: str) -> Row | None:
        return next((row for row in self.rows if row["id"] == task_id), None)

    def held_issue(self, number: int) -> Row | None:
        return next((one for one in self.held if one.get("number") == number), None)


def table(value: object) -> dict[str, Any]:
    """The value where it is a table, else an empty one."""
    return value if isinstance(value, dict) else {}


def read_board(path: Path, jobs: Path, daemon: int, now: datetime) -> Board:
    """The board at `path`; `daemon` is the pid of the living coordinator, 0 without one."""
    name = f"{path.parent.name}/{path.name}"   # the cure behind it must fit a narrow screen
    try:
        raw = atomic.read(str(path), LARGEST)
    except OSError as error:
        words = f"{name} cannot be read ({error.strerror}): look at it with `ls -l`"
        return Board(warnings=(words,), daemon=daemon)
    if raw is None:
        return Board(warnings=_never(daemon), daemon=daemon)
    data = _parsed(raw)
    if data is None:
        cure = "it is written anew at the next tick" if daemon else "coordinator run writes it anew"
        return Board(warnings=(f"{name} holds no board: {cure}",), daemon=daemon)
    board = board_of(data, daemon)
    rows = tuple(_overlaid(row, jobs) for row in board.rows)
    return replace(board, rows=rows, warnings=(*_newer(data), *_age_warnings(data, daemon, now)))


def board_of(data: Mapping[str, Any], daemon: int) -> Board:
    """The board of plain data as it stands in the file."""
    rows = tuple(row for row in map(_row, _list(data.get("tasks"))) if row is not None)
    held = tuple(one for one in _list(data.get("held")) if isinstance(one, dict))
    return Board(data, rows, held, (), daemon)


def _never(daemon: int) -> tuple[str, ...]:
    if daemon:
        return (f"the coordinator (pid {daemon}) has just been started and wrote no board yet: ask again",)
    return ("no coordinator has run here yet: coordinator run",)


def _newer(data: Mapping[str, Any]) -> tuple[str, ...]:
    schema = data.get("schema")
    if not isinstance(schema, int) or schema <= KNOWN_SCHEMA:
        return ()
    return (f"written by a newer coordinator (schema {schema}, this one knows {KNOWN_SCHEMA}): install the newer one",)


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and data else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _row(raw: object) -> Row | None:
    """A row with its id, a state and its attempts in place, whatever else it holds."""
    if not isinstance(raw, dict) or not isinstance(raw.get("id"), str) or raw.get("state") not in STATES:
        return None
    attempts = [one for one in _list(raw.get("attempts")) if isinstance(one, dict)]
    return {**raw, "attempts": attempts, "wait": table(raw.get("wait")) or None}


def _age_warnings(data: Mapping[str, Any], daemon: int, now: datetime) -> tuple[str, ...]:
    written = moment(data.get("generated_at"))
    age = (now - written).total_seconds() if written is not None else 0.0
    if not daemon:
        when = f"{written:%Y-%m-%d %H:%M} UTC" if written is not None else "an unknown time"
        again = harmless(str(data.get("again") or "coordinator run"))
        return (f"no coordinator runs here; this is what was true at {when}: {again}",)
    if written is not None and age > OLD_AFTER:
        return (f"the coordinator (pid {daemon}) lives, but wrote nothing for {int(age)} s: coordinator doctor",)
    return ()


def moment(text: object) -> datetime | None:
    """An ISO time as aware UTC, None for anything else."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None


def _overlaid(row: Row, jobs: Path) -> Row:
    """A running task's row with what its worker's heartbeat says now."""
    attempt = row["attempts"][-1] if row["state"] == TaskState.RUNNING and row["attempts"] else {}
    provider, token = str(attempt.get("provider") or ""), attempt.get("token")
    if not token or not _plain(provider) or not _plain(row["id"]):
        return row
    folder = str(jobs / provider)
    try:
        beat = atomic.read_pairs(names.path(folder, row["id"], "heartbeat")) or {}
    except OSError:
        return row
    if beat.get("token") != token:
        return row
    pid, start = codec.whole(beat.get("wrapper_pid", "")), codec.whole(beat.get("wrapper_start", ""))
    if attempt.get("host"):   # its processes are not ours to look at
        return {**row, "pid": pid, "cpu": codec.number(beat.get("cpu_share", ""))}
    if not identity.alive(pid, start, beat.get("boot_id", "")):
        return {**row, "pid": None, "cpu": None, "gone": True}
    return {**row, "pid": pid, "cpu": codec.number(beat.get("cpu_share", ""))}


def _plain(name: str) -> bool:
    try:
        return names.check_name(name) == name
    except ValueError:
        return False
