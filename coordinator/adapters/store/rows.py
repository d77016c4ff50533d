"""Rows of the tables to frozen dataclasses and back; pure, so that a round trip is tested without a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Usage
from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import Pin, Task

Row = Mapping[str, Any]
_T = TypeVar("_T")


def flat(noun: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, its nested dataclasses left whole; not what it keeps of them for itself."""
    return {one.name: getattr(noun, one.name) for one in fields(noun)}


def _spread(values: dict[str, Any], field: str) -> dict[str, Any]:
    inner = vars(values.pop(field))
    return values | {f"{field}_{name}": value for name, value in inner.items()}


def _inner(kind: type, field: str) -> tuple[tuple[str, str], ...]:
    """(column, field of the dataclass `kind`) of each that `_spread` made."""
    return tuple((f"{field}_{one.name}", one.name) for one in fields(kind))


_PIN, _USAGE = _inner(Pin, "pin"), _inner(Usage, "usage")


def _whole(kind: type[_T], values: dict[str, Any]) -> _T:
    """A frozen dataclass whose fields are `values`: of ten thousand, half of reading them would be setting them."""
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", values)
    return made


def task_row(task: Task) -> dict[str, Any]:
    return _spread(flat(task), "pin")


def task_of(row: dict[str, Any]) -> Task:
    """The row becomes the task: nobody else may use it any more."""
    row["pin"] = _whole(Pin, {name: row.pop(column) for column, name in _PIN})
    return _whole(Task, row)


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return _spread(flat(attempt), "usage")


def attempt_of(row: dict[str, Any]) -> Attempt:
    """As `task_of`."""
    row["usage"] = _whole(Usage, {name: row.pop(column) for column, name in _USAGE})
    return _whole(Attempt, row)


def request_row(kind: RequestKind, task_id: str, args: Mapping[str, str], source: str,
                asked_at: datetime) -> dict[str, Any]:
    return {"kind": kind, "task_id": task_id, "args": dict(args), "source": source, "asked_at": asked_at}


def request_of(row: Row) -> Request:
    return Request(**{name: value for name, value in row.items() if name != "answer"})
