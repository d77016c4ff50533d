"""Rows of the tables to frozen dataclasses and back; pure, so that a round trip is tested without a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Usage
from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import Pin, Task

Row = Mapping[str, Any]


def flat(noun: object) -> dict[str, Any]:
    """The fields of a dataclass by name, its nested dataclasses left whole."""
    return dict(vars(noun))


def _spread(values: dict[str, Any], field: str) -> dict[str, Any]:
    inner = vars(values.pop(field))
    return values | {f"{field}_{name}": value for name, value in inner.items()}


def _gather(row: Row, field: str) -> tuple[dict[str, Any], dict[str, Any]]:
    prefix = f"{field}_"
    inner = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
    return {name: value for name, value in row.items() if not name.startswith(prefix)}, inner


def task_row(task: Task) -> dict[str, Any]:
    return _spread(flat(task), "pin")


def task_of(row: Row) -> Task:
    outer, pin = _gather(row, "pin")
    return Task(pin=Pin(**pin), **outer)


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    return _spread(flat(attempt), "usage")


def attempt_of(row: Row) -> Attempt:
    outer, usage = _gather(row, "usage")
    return Attempt(usage=Usage(**usage), **outer)


def request_row(kind: RequestKind, task_id: str, args: Mapping[str, str], source: str,
                asked_at: datetime) -> dict[str, Any]:
    return {"kind": kind, "task_id": task_id, "args": dict(args), "source": source, "asked_at": asked_at}


def request_of(row: Row) -> Request:
    return Request(**{name: value for name, value in row.items() if name != "answer"})
