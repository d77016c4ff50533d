"""The report of a batch as plain data, in the eight parts that readers expect; texts and charts are made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from statistics import median
from typing import Any

from coordinator.planning.batch import telling
from coordinator.planning.batch.cadence import SUSPECT_STATES, Mode, mode_of
from coordinator.planning.batch.cohort import Bands, BatchWord, Health, as_data
from coordinator.planning.batch.journal import Act, Journal
from coordinator.planning.batch.kept import plain
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.scope import Scope

SLOW = 3.0
"""So many times the median of those that ended well is a long run."""
CHANGING = frozenset({"cancel", "clean", "smoke", "resubmit", "resume", "hold"})
"""Acts by which somebody intervened; a fix or a learning that was noted is none."""


@dataclass(frozen=True)
class Inputs:
    """`outputs` says of members whether what they made is where it should be: "" in step, else what is missing. `logs`
    names the file to read of each."""

    scope: Scope
    members: Sequence[Member]
    health: Health
    journal: Journal
    bands: Bands
    now: datetime
    outputs: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)


def assemble(given: Inputs) -> dict[str, Any]:
    """Times are ISO UTC, durations seconds, shares between 0 and 1."""
    return {
        "batch": given.scope.key,
        "generated_at": plain(given.now),
        "scope": _scope(given),
        "timeline": _timeline(given),
        "failures": _failures(given),
        "decision": _decision(given),
        "intervention": _intervention(given.journal),
        "completion": _completion(given),
        "learnings": _learnings(given),
        "evidence": _evidence(given),
        "members": [telling.member(one) for one in given.members],
    }


# --- 1 scope ---------------------------------------------------------------------------------------------


def _scope(given: Inputs) -> dict[str, Any]:
    scope = given.scope
    return {"kind": scope.kind, "name": scope.name, "place": scope.place, "members": len(given.members),
            "providers": _tally(one.provider or "?" for one in given.members),
            "ids": [one.id for one in given.members], "facts": dict(given.journal.facts)}


# --- 2 timeline ------------------------------------------------------------------------------------------


def _timeline(given: Inputs) -> dict[str, Any]:
    kept, members = given.journal, given.members
    over = mode_of(members, given.health.word) is Mode.OVER
    ended = max((one.ended_at for one in members if one.ended_at is not None), default=None)
    return {
        "began_at": plain(min((one.started_at for one in members if one.started_at is not None), default=None)),
        "ended_at": plain(ended if over else None),
        "watched_since": plain(kept.begun_at),
        "looks": kept.looks,
        "cadence": [plain(asdict(one)) for one in kept.steps],
        "transitions": [plain(asdict(one)) for one in kept.changes],
        "dropped": kept.dropped,
        "curve": _curve(given),
    }


def _curve(given: Inputs) -> list[dict[str, Any]]:
    """How many stood where, over time: as it was watched, else by the times of the members' last runs."""
    if len(given.journal.samples) > 1:
        return [plain(asdict(one)) for one in given.journal.samples]
    moments = {at for one in given.members for at in (one.started_at, one.ended_at) if at is not None}
    return [{"at": plain(at), **_standing(given.members, at)} for at in sorted(moments)]


def _standing(members: Sequence[Member], at: datetime) -> dict[str, int]:
    found = dict.fromkeys(("waiting", "running", "good", "bad", "stopped"), 0)
    for one in members:
        if one.started_at is None or one.started_at > at:
            found["waiting"] += 1
        elif one.ended_at is None or one.ended_at > at:
            found["running"] += 1
        else:
            found[str(one.stand)] += 1
    return found


# --- 3 failures, 4 decision ------------------------------------------------------------------------------


def _failures(given: Inputs) -> dict[str, Any]:
    counts, data = given.health.counts, as_data(given.health)
    return {
        "counts": data["counts"],
        "share": round(counts.bad / counts.ended, 4) if counts.ended else 0.0,
        "causes": telling.causes(given.health, given.scope),
        "earlier": _earlier(given),
        "bands": asdict(given.bands),
        "word": data["word"],
        "assessment": given.health.why,
        "hard_stop": given.health.hard_stop,
        "projection": {**asdict(given.health.projection), "words": given.health.projection.words},
    }


def _earlier(given: Inputs) -> dict[str, list[str]]:
    """By reason code: who failed while it was watched and does not stand so any more."""
    failing = {one.id for one in given.members if one.stand is Stand.BAD}
    found: dict[str, dict[str, None]] = {}
    for change in given.journal.changes:
        if change.failed and change.id not in failing:
            found.setdefault(change.reason or "unknown", {})[change.id] = None
    return {reason: list(ids) for reason, ids in sorted(found.items())}


def _decision(given: Inputs) -> dict[str, Any]:
    """What was done goes before what is to be done: a batch that was mended was intervened in. Jobs by hand are held by
    nobody, so that a systemic batch of them is only watched until somebody acts."""
    health, acts = given.health, [one for one in given.journal.acts if one.what in CHANGING]
    reasons = [health.why]
    if acts:
        before = any(one.word == BatchWord.SYSTEMIC for one in given.journal.samples)
        reasons += ["it was systemic before"] if before and health.word is not BatchWord.SYSTEMIC else []
        return {"decision": "intervened", "reasons": [*reasons, f"done: {', '.join(_tally(one.what for one in acts))}"]}
    if health.word is BatchWord.SYSTEMIC and given.scope.by_hand:
        return {"decision": "watch", "reasons": [*reasons, "nobody intervened yet: it wants somebody"]}
    if health.word is BatchWord.SYSTEMIC:
        reasons.append("the coordinator starts no more of it")
    return {"decision": health.decision, "reasons": [*reasons, health.projection.words]}


# --- 5 intervention, 6 completion ------------------------------------------------------------------------


def _intervention(kept: Journal) -> dict[str, Any]:
    acts = [one for one in kept.acts if one.what not in ("learnt", "trouble")]
    made = {old: new for one in acts for old, new in one.made.items()}
    return {"acts": [plain(asdict(one)) for one in acts], "fixes": _fixes(acts), "resubmitted": made}


def _fixes(acts: Iterable[Act]) -> list[str]:
    said = (one.words for one in acts if one.what in ("fix", "cancel", "smoke", "resubmit") and one.words)
    return list(dict.fromkeys(said))


def _completion(given: Inputs) -> dict[str, Any]:
    members, counts = given.members, given.health.counts
    unusable = {one.id: one.artefact for one in members if one.stand is Stand.GOOD and one.artefact not in ("", "ok")}
    apart = {name: words for name, words in given.outputs.items() if words}
    return {
        "over": mode_of(members, given.health.word) is Mode.OVER,
        "good": counts.good, "failed": counts.bad, "excluded": counts.excluded, "stopped": counts.stopped,
        "left": counts.running + counts.waiting,
        "artefacts": _tally(one.artefact or "unknown" for one in members if one.stand is Stand.GOOD),
        "unusable": unusable,
        "compared": len(given.outputs),
        "out_of_step": apart,
        "synced": len(given.journal.synced),
        "sound": not unusable and not apart,
    }  # fmt: skip


# --- 7 learnings -----------------------------------------------------------------------------------------


def _learnings(given: Inputs) -> dict[str, Any]:
    members, projection = given.members, given.health.projection
    word, why = _confidence(given)
    return {
        "expected": projection.wanted,
        "actual": projection.have,
        "segments": [*_segments("provider", members, lambda one: one.provider or "?"),
                     *_segments("wave", members, lambda one: str(one.wave))],
        "durations": {one.id: one.duration_sec for one in members if one.duration_sec},
        "anomalies": list(_anomalies(given)),
        "notes": [one.words for one in given.journal.acts if one.what == "learnt"],
        "confidence": word,
        "confidence_why": why,
    }


def _segments(name: str, members: Sequence[Member], key: Callable[[Member], str]) -> list[dict[str, Any]]:
    """What came of each part of the batch; a single part says nothing that the whole does not."""
    parts: dict[str, list[Member]] = {}
    for one in members:
        parts.setdefault(key(one), []).append(one)
    if len(parts) < 2 and name != "provider":
        return []
    return [{"by": name, "segment": part, "members": len(found),
             "good": sum(one.stand is Stand.GOOD for one in found),
             "failed": sum(one.stand is Stand.BAD and not one.excluded for one in found),
             "median_seconds": _median(one.duration_sec for one in found if one.stand is Stand.GOOD)}
            for part, found in sorted(parts.items())]


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if value]
    return round(median(known), 1) if known else 0.0


def _anomalies(given: Inputs) -> Iterable[str]:
    usual = _median(one.duration_sec for one in given.members if one.stand is Stand.GOOD)
    for one in given.members:
        if one.stand is Stand.GOOD and usual and one.duration_sec > SLOW * usual:
            times = one.duration_sec / usual
            yield f"{one.id} took {one.duration_sec:.0f} s, {times:.0f} times the median of {usual:.0f} s"
        if one.stand is Stand.GOOD and one.artefact not in ("", "ok"):
            yield f"{one.id} ended well with a result that is {one.artefact}"
        if one.stand is Stand.GOOD and one.attempts > 1:
            yield f"{one.id} needed {one.attempts} attempts"
        if one.state in SUSPECT_STATES:
            yield f"{one.id} is {one.state}"
    yield from (f"the cluster: {one.words}" for one in given.journal.acts if one.what == "trouble")
    excluded = given.health.counts.excluded
    if excluded:
        yield f"{excluded} ended for an outage or a limit, and count for neither side"


def _confidence(given: Inputs) -> tuple[str, str]:
    """How far what is said here can be relied on: by how many ended, and whether the rest can still change it."""
    counts, least = given.health.counts, given.bands.min_ended
    if counts.ended < least:
        return "low", f"only {counts.ended} ended and count; {least} are wanted for a judgement"
    if counts.running or counts.waiting:
        return "medium", f"{counts.running + counts.waiting} of {counts.total} are not over"
    if given.outputs and any(given.outputs.values()):
        return "medium", "not every result is where it should be"
    return "high", f"{counts.ended} ended and count, nothing is open"


# --- 8 evidence ------------------------------------------------------------------------------------------


def _evidence(given: Inputs) -> dict[str, Any]:
    scope, cause = given.scope, given.health.cause
    commands = [scope.command("status --json"), scope.command("report --format json")]
    for name in cause.ids[:3] if cause is not None else ():
        if scope.by_hand:
            commands.append(scope.job_command("report", name))
            commands.append(scope.job_command("tail", name))
        else:
            commands.append(f"coordinator why {name}")
            commands.append(f"coordinator view {name} --errors")
    return {"lines": list(given.health.evidence), "commands": list(dict.fromkeys(commands)), "logs": dict(given.logs)}


def _tally(words: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items()))
