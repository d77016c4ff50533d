"""What is remembered of stays that no task remembers itself, as one document of the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from coordinator.planning.actions import Plan
from coordinator.planning.snapshot import Snapshot, Stay
from coordinator.planning.stays import noted
from coordinator.ports import Store

_NAME = "stays"


def stays_of(store: Store) -> dict[str, Stay]:
    known = json.loads(store.document(_NAME) or "{}")
    return {name: Stay(state, datetime.fromisoformat(since)) for name, (state, since) in known.items()}


def note_stays(store: Store, snapshot: Snapshot, made: Plan) -> None:
    """Written only where something changed: most ticks of most days change nothing."""
    stays: Mapping[str, Stay] = noted(snapshot, made.held)
    if stays is not snapshot.stays:
        plain = {name: (stay.state, stay.since.isoformat()) for name, stay in stays.items()}
        store.keep_document(_NAME, json.dumps(plain) if plain else None)
