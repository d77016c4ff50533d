"""A journal as plain data and back. What a file holds is not trusted: a part that cannot be read is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from coordinator.planning.batch.journal import Act, Change, Journal, Sample, Sight, Step
from coordinator.planning.batch.members import Stand

SCHEMA = 1
_T = TypeVar("_T")


class Unreadable(Exception):
    """No journal of this batch: the caller keeps it aside and begins anew."""


def to_data(journal: Journal) -> dict[str, Any]:
    """Times are ISO UTC."""
    return {"schema": SCHEMA, **plain(asdict(journal))}


def plain(value: Any) -> Any:
    """The value with times as text, for JSON."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def from_data(data: object, blank: Journal) -> Journal:
    """The journal in `data` if it is of the same batch as `blank`. Raises Unreadable."""
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise Unreadable("it is of another version, or no journal")
    if (data.get("kind"), data.get("name"), data.get("place")) != (blank.kind, blank.name, blank.place):
        raise Unreadable("it is of another batch")
    sights, counts = _table(data.get("sights")), _table(data.get("counts"))
    return Journal(
        kind=blank.kind,
        name=blank.name,
        place=blank.place,
        begun_at=_moment(data.get("begun_at")),
        looked_at=_moment(data.get("looked_at")),
        looks=_whole(data.get("looks")),
        quiet=_whole(data.get("quiet")),
        word=str(data.get("word") or ""),
        decision=str(data.get("decision") or ""),
        counts={key: _whole(value) for key, value in counts.items()},
        sights={key: one for key, raw in sights.items() if (one := _made(_sight, raw)) is not None},
        changes=tuple(_all(_change, data.get("changes"))),
        samples=tuple(_all(_sample, data.get("samples"))),
        steps=tuple(_all(_step, data.get("steps"))),
        acts=tuple(_all(_act, data.get("acts"))),
        dropped=_whole(data.get("dropped")),
        signals={key: str(value) for key, value in _table(data.get("signals")).items()},
        synced=tuple(str(one) for one in _list(data.get("synced"))),
        facts=blank.facts or {key: str(value) for key, value in _table(data.get("facts")).items()},
    )


def _sight(raw: Mapping[str, Any]) -> Sight:
    return Sight(Stand(raw["stand"]), str(raw["state"]), str(raw["run"]), str(raw["reason"]), str(raw["words"]))


def _change(raw: Mapping[str, Any]) -> Change:
    return Change(_at(raw), str(raw["id"]), str(raw["before"]), str(raw["after"]), str(raw["reason"]),
                  str(raw["words"]), bool(raw["failed"]), str(raw.get("name") or ""))


def _sample(raw: Mapping[str, Any]) -> Sample:
    return Sample(_at(raw), _whole(raw["waiting"]), _whole(raw["running"]), _whole(raw["good"]), _whole(raw["bad"]),
                  _whole(raw["stopped"]), str(raw["word"]))


def _step(raw: Mapping[str, Any]) -> Step:
    return Step(_at(raw), str(raw["mode"]), float(raw["seconds"]))


def _act(raw: Mapping[str, Any]) -> Act:
    made = {str(key): str(value) for key, value in _table(raw["made"]).items()}
    return Act(_at(raw), str(raw["what"]), str(raw["words"]), tuple(str(one) for one in raw["ids"]), made)


def _all(make: Callable[[Mapping[str, Any]], _T], value: object) -> Iterator[_T]:
    for raw in _list(value):
        one = _made(make, raw)
        if one is not None:
            yield one


def _made(make: Callable[[Mapping[str, Any]], _T], raw: object) -> _T | None:
    try:
        return make(_table(raw))
    except (KeyError, ValueError, TypeError):
        return None


def _at(raw: Mapping[str, Any]) -> datetime:
    """Raises ValueError."""
    at = _moment(raw["at"])
    if at is None:
        raise ValueError("no time")
    return at


def _moment(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at.astimezone(UTC) if at is not None and at.tzinfo is not None else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
