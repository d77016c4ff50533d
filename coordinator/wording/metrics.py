"""adws/metrics.json as text: which keys it has, how it is written and read. No file is touched here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

SCHEMA = 1
COUNTERS = ("workers_launched", "workers_completed", "workers_failed", "worktree_errors", "prs_created")
_SPREAD = {"count": 0, "median": 0.0, "max": 0.0}
DEFAULTS: dict[str, Any] = {
    "schema": SCHEMA,
    **dict.fromkeys(COUNTERS, 0),
    "last_update": None,
    "health": "ok",
    "reasons": {},
    "duration_seconds_total": 0.0,
    "tokens_in": 0,
    "tokens_out": 0,
    "cost_usd": 0.0,
    "batches": {},
    "by_provider": {},
    "by_day": {},
    "by_stage": {},
    "api_requests": 0,
    "api_not_modified": 0,
    "label_to_start_seconds": _SPREAD,
    "exit_to_settled_seconds": _SPREAD,
}


class NewerMetrics(Exception):
    """The file was written by a newer coordinator: refuse, touch nothing."""


class GarbageMetrics(Exception):
    """The text is no JSON object: keep it aside, begin anew, say so."""


def health(counters: Mapping[str, Any]) -> str:
    """`degraded` above ten worktree errors, else `warning` when more failed than completed, else `ok`."""

    def count(key: str) -> float:
        value = counters.get(key)
        return value if isinstance(value, int | float) else 0

    if count("worktree_errors") > 10:
        return "degraded"
    return "warning" if count("workers_failed") > count("workers_completed") else "ok"


def parse(text: str) -> dict[str, Any]:
    """The file's object; unknown keys are kept, missing ones filled. Raises GarbageMetrics, NewerMetrics."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GarbageMetrics(f"metrics.json holds no JSON: {error}") from error
    if not isinstance(data, dict):
        raise GarbageMetrics(f"metrics.json holds {type(data).__name__} where an object is expected")
    schema = data.get("schema", SCHEMA)
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerMetrics(
            f"metrics.json has schema {schema}, this coordinator knows {SCHEMA}; "
            "update the coordinator, or move the file away to have it made anew"
        )
    return DEFAULTS | data


def check(text: str | None) -> None:
    """Raises NewerMetrics when the text that stands in the file must not be overwritten."""
    if text is None:
        return
    try:
        parse(text)
    except GarbageMetrics:
        return


def render(counters: Mapping[str, Any], now: datetime) -> str:
    """The whole file: the counters given, defaults for the rest, `last_update` and `health` made here."""
    data = DEFAULTS | dict(counters)
    data |= {"schema": SCHEMA, "last_update": now.isoformat(timespec="seconds"), "health": health(data)}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
