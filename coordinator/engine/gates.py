"""The gates of batches in the store, and what people and programs read of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from coordinator.domain.request import Event
from coordinator.engine.world import World
from coordinator.planning.actions import TurnBatch
from coordinator.planning.batch import gate
from coordinator.planning.batch.cohort import as_data
from coordinator.planning.batch.membership import batches_of, members_of, title_of
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.snapshot import Snapshot
from coordinator.ports import Store

MOST_WORDS = 300
GATES, MEMBERS = "batches", "batch_members"
"""Documents: the standing of each batch by its key, and the batch of each task whose issue carried its label."""


def standings(store: Store) -> dict[str, Standing]:
    return {key: _read(item) for key, item in json.loads(store.document(GATES) or "{}").items()}


def members(store: Store) -> dict[str, str]:
    known: dict[str, str] = json.loads(store.document(MEMBERS) or "{}")
    return known


def keep_members(store: Store, known: Mapping[str, str]) -> None:
    store.keep_document(MEMBERS, json.dumps(dict(known), sort_keys=True))


def keep(store: Store, key: str, now: Standing) -> None:
    kept = json.loads(store.document(GATES) or "{}")
    kept[key] = asdict(now) | {name: moment.isoformat() for name, moment in _moments(now).items()}
    store.keep_document(GATES, json.dumps(kept, sort_keys=True))


def turn(world: World, action: TurnBatch) -> None:
    """The standing first: died after it, the request is answered the next time."""
    keep(world.store, action.key, action.after)
    world.store.log(Event("", world.clock.now(), f"batch_{action.after.phase or 'open'}", action.words[:2000]))
    if action.request is not None:
        world.store.answer(action.request.id, action.words)
    world.say(action.words)


def told(store: Store, key: str, number: int) -> None:
    """The umbrella issue knows of this hold."""
    now = standings(store).get(key)
    if now is not None:
        keep(store, key, Standing(**{**vars(now), "told": max(number, now.told)}))


def _moments(now: Standing) -> dict[str, datetime]:
    found = {"since": now.since, "judged_from": now.judged_from}
    return {name: moment for name, moment in found.items() if moment is not None}


def _read(item: Mapping[str, Any]) -> Standing:
    moments = {name: datetime.fromisoformat(item[name]) for name in ("since", "judged_from") if item.get(name)}
    known = {name: item[name] for name in Standing.__dataclass_fields__ if name in item}
    return Standing(**{**known, **moments, "phase": GatePhase(item["phase"]), "evidence": tuple(item["evidence"])})


def board_members(s: Snapshot) -> dict[str, dict[str, Any]]:
    """What its batch sees of each task that is in one."""
    return {
        one.id: {"key": key, "wave": one.wave, "reason": one.reason, "words": one.words[:MOST_WORDS],
                 "excluded": one.excluded}
        for key in batches_of(s) for one in members_of(s, key)
    }


def board_rows(s: Snapshot) -> list[dict[str, Any]]:
    """One row a batch: how it stands by what was begun since it was let go on last, and its gate."""
    rows = []
    for key, health in gate.healths(s).items():
        now = gate.standing(s, key)
        issue = gate.umbrella(s, key)
        rows.append({
            "key": key, "name": title_of(key), "phase": str(now.phase), **as_data(health),
            "since": now.since.isoformat(timespec="seconds") if now.since is not None else None,
            "judged_from": now.judged_from.isoformat(timespec="seconds") if now.judged_from is not None else None,
            "holds": now.number, "held_for": now.why if now.phase is not GatePhase.FREE else "",
            "cause": now.cause if now.phase is not GatePhase.FREE else health.cause.code if health.cause else "",
            "canary": now.canary, "wave": now.wave, "moves": gate.command(key),
            "umbrella": issue.number if issue is not None else None,
        })
    return rows


def counted(s: Snapshot) -> dict[str, dict[str, Any]]:
    """What metrics.json says of each batch: its class and what it was held for, or most failed of."""
    return {
        row["name"]: {
            "class": row["word"] if row["phase"] == GatePhase.FREE else "systemic", "phase": row["phase"] or "open",
            "cause": row["cause"], "words": row["held_for"] or row["why"], "ended": row["counts"]["ended"],
            "failed": row["counts"]["bad"], "holds": row["holds"], "since": row["since"],
        }
        for row in board_rows(s)
    }
