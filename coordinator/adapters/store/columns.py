"""Column types: how our values stand in SQLite, and nothing about which table holds them.

Times are UTC ISO text with microseconds, so that text order is time order; tuples and sets are JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Dialect, Text, TypeDecorator

from coordinator.domain.issue import Edit


class Words(TypeDecorator[str]):
    """Text of foreign origin. A lone surrogate (from an agent's output or a file name) cannot be written as
    UTF-8; it becomes "?" rather than the end of the daemon."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else writable(value)


def writable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


class Moment(TypeDecorator[datetime]):
    """An aware datetime; a naive one is refused, since its zone would be a guess."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError(f"a time without a zone cannot be stored: {value!r}")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else datetime.fromisoformat(value)


class Choice(TypeDecorator[StrEnum]):
    """A member of one closed list, by its value; an unknown word in the file is an error, not a guess."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else self.kind(value)


class Sequence(TypeDecorator[tuple[Any, ...]]):
    """A tuple of numbers or words, in order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[Any] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(list(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Any, ...] | None:  # noqa: ARG002
        return None if value is None else () if value == "[]" else tuple(json.loads(value))   # most are empty


class Edits(TypeDecorator[tuple[Edit, ...]]):
    """Who changed words and when, in order."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[Edit] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        return json.dumps([[one.at.astimezone(UTC).isoformat(), one.editor, one.permission] for one in value])

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Edit, ...] | None:  # noqa: ARG002
        if value is None:
            return None
        return tuple(Edit(datetime.fromisoformat(at), *rest) for at, *rest in json.loads(value))


class Names(TypeDecorator[frozenset[str]]):
    """A set of words, written sorted so that equal sets are equal rows."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: frozenset[str] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(sorted(value))

    def process_result_value(self, value: str | None, dialect: Dialect) -> frozenset[str] | None:  # noqa: ARG002
        return None if value is None else frozenset(json.loads(value))


class Mapping(TypeDecorator[dict[str, str]]):
    """Plain strings by name."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, str] | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(dict(value), sort_keys=True)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, str] | None:  # noqa: ARG002
        return None if value is None else dict(json.loads(value))
