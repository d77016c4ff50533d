"""A look at a batch as plain data: what `batch status --json` prints and what every text of it is made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from coordinator.domain.reasons import REASONS
from coordinator.planning.batch.cadence import Pace
from coordinator.planning.batch.cohort import Cause, Health, as_data
from coordinator.planning.batch.journal import Journal, News
from coordinator.planning.batch.kept import plain
from coordinator.planning.batch.members import Member
from coordinator.planning.batch.scope import LABEL, SLURM, Scope
from coordinator.planning.cluster.artefacts import OK
from coordinator.planning.cluster.members import CURES, tally

_BY_LABEL = re.compile(r"(?:[;,] (?:then )?s|\AS)et the (?:retry label|label anew)[^.]*(?:\.\Z)?")


def status(
    scope: Scope, members: Sequence[Member], health: Health, journal: Journal, pace: Pace, now: datetime, gate: str = ""
) -> dict[str, Any]:
    """Times are ISO UTC, durations seconds, shares between 0 and 1."""
    counts = health.counts
    data = as_data(health)
    return {
        **data,
        "scope": scope.key,
        "kind": scope.kind,
        "name": scope.name,
        "place": scope.place,
        "generated_at": plain(now),
        "failed_share": round(counts.bad / counts.ended, 4) if counts.ended else 0.0,
        "states": tally(members) if scope.kind == SLURM else _states(members),
        "facts": dict(journal.facts),
        "produced": sum(one.artefact == OK for one in members) if scope.kind == SLURM else 0,
        "causes": causes(health, scope),
        "gate": gate,
        "mode": str(pace.mode),
        "next_look_seconds": pace.pause.total_seconds(),
        "watched_since": plain(journal.begun_at),
        "acts": len(journal.acts),
        "members": [member(one) for one in members],
    }


def causes(health: Health, scope: Scope) -> list[dict[str, Any]]:
    """Each with what may mend it."""
    return [{**_cause(one), "cure": cure(one, scope)} for one in health.causes]


def _cause(one: Cause) -> dict[str, Any]:
    return {"code": one.code, "signature": one.signature, "sample": one.sample, "share": round(one.share, 4),
            "members": list(one.ids)}


def cure(cause: Cause, scope: Scope) -> str:
    """What the reason code itself advises, "" for a code outside the list. Only issues have labels."""
    if scope.kind == SLURM:
        return CURES.get(cause.code, "")
    found = REASONS.get(cause.code)
    words = found.cure if found is not None else ""
    return words if scope.kind == LABEL else _BY_LABEL.sub("", words)


def member(one: Member) -> dict[str, Any]:
    return {
        "id": one.id, "title": one.title, "stand": str(one.stand), "state": one.state, "wave": one.wave,
        "provider": one.provider, "attempts": one.attempts, "reason": one.reason, "words": one.words,
        "excluded": one.excluded, "artefact": one.artefact, "signal": one.signal, "since": plain(one.since),
        "started_at": plain(one.started_at), "ended_at": plain(one.ended_at), "duration_sec": one.duration_sec,
    }  # fmt: skip


def news(found: News, health: Health) -> dict[str, Any]:
    """What one look saw for the first time."""
    return {"first": found.first, "since": plain(found.since), "turned": found.turned, "word": str(health.word),
            "why": health.why, "changes": [plain(vars(one)) for one in found.changes],
            "signals": [vars(one) for one in found.signals]}


def _states(members: Iterable[Member]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for one in members:
        found[one.state] = found.get(one.state, 0) + 1
    return dict(sorted(found.items()))
