"""Since when GitHub has not been followed: kept across restarts, so that a person hears of it once, and of its end."""

from __future__ import annotations

import json
from datetime import datetime

from coordinator.planning.snapshot import Silence
from coordinator.ports import Store

_DOCUMENT = "silence"


def of(store: Store) -> Silence | None:
    """The last one, over or not; None where there never was one."""
    text = store.document(_DOCUMENT)
    if not text:
        return None
    since, until = json.loads(text)
    return Silence(datetime.fromisoformat(since), datetime.fromisoformat(until) if until else None)


def failed(store: Store, now: datetime) -> None:
    last = of(store)
    if last is None or last.until is not None:
        _keep(store, now, None)


def answered(store: Store, now: datetime) -> None:
    last = of(store)
    if last is not None and last.until is None:
        _keep(store, last.since, now)


def _keep(store: Store, since: datetime, until: datetime | None) -> None:
    store.keep_document(_DOCUMENT, json.dumps([since.isoformat(), until.isoformat() if until else None]))
