"""How tasks that are judged together stand: failures grouped by cause, their shares, and what can still come of it.

Pure arithmetic over members. A task counts once, by its last attempt; an outage, a limit, a queue or a person's stop
counts for neither side. docs/batches.md shows the same rules for people.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coordinator.domain.reasons import REASONS
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.signature import last_error, signature

MIN_WATCHED = 2
"""So many must fail alike before a batch is looked at more closely."""
MOST = 0.5
"""More than this share of those that ended: the hard stops."""
LOST = 0.25
"""A provider of whose tasks fewer than this share succeeded takes what remains on it along."""
INVALID = "invalid_output"
"""The cause of a task that ended well and left a result that cannot be used."""
NOTHING = "no_change"
"""The reason code of a task that ended well and left nothing."""
CONFIGURATION = frozenset({"config_error", "template_error", "hook_failed", "contract_drift", "worktree_error"})
"""Reason codes of settings that are wrong for every task alike."""
CRASHES = frozenset({"process_exit", "lost", "killed", "launch_failed"})
"""Reason codes of a program that ended by itself. Out of memory and out of time are none: they are to be expected
where much is tried."""
SAID_BY_CODE = frozenset({
    "oom_killed", "max_runtime", "max_turns", "no_mutation", "stalled", "no_change", "secret_found", "merge_conflict",
    "disk_full", "output_limit", "slurm_timeout", "slurm_oom", INVALID,
})
"""Reason codes that name the cause by themselves, whatever the last line says."""


class BatchWord(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    SYSTEMIC = "systemic"


DECISIONS = {
    BatchWord.HEALTHY: "no intervention",
    BatchWord.DEGRADED: "watch",
    BatchWord.SYSTEMIC: "intervened",
}


@dataclass(frozen=True)
class Bands:
    """Shares of those that ended, for one cause: above `watch` it is looked at more closely, from `systemic` on the
    batch is held, if `min_ended` ended and `min_same` of them failed alike."""

    watch: float = 0.10
    systemic: float = 0.15
    min_ended: int = 5
    min_same: int = 3


@dataclass(frozen=True)
class Counts:
    """Every member once. `bad` and `excluded` are apart: what is excluded counts for neither side."""

    waiting: int = 0
    running: int = 0
    good: int = 0
    bad: int = 0
    stopped: int = 0
    excluded: int = 0

    @property
    def ended(self) -> int:
        """Those that are judged."""
        return self.good + self.bad

    @property
    def total(self) -> int:
        return self.ended + self.waiting + self.running + self.stopped + self.excluded


@dataclass(frozen=True)
class Cause:
    """Failures of one root cause: the reason code, what their last lines have in common, who failed of it (sorted),
    the line of the first of them, and their share of those that ended."""

    code: str
    signature: str
    ids: tuple[str, ...]
    sample: str
    share: float

    @property
    def words(self) -> str:
        return f"{self.code}: {self.sample}" if self.sample else self.code


@dataclass(frozen=True)
class Projection:
    """What can still be had: `have` of `wanted` are there, of the `remaining` about `expected` may come. `fatal` are
    providers of which too few succeeded. `collapsed`: most of what remains shares such a provider, and less than half
    of what was wanted can be expected."""

    wanted: int
    have: int
    remaining: int
    expected: float
    fatal: tuple[str, ...] = ()
    collapsed: bool = False

    @property
    def coverage(self) -> float:
        return (self.have + self.expected) / self.wanted if self.wanted else 1.0

    @property
    def words(self) -> str:
        words = (f"{self.have} of {self.wanted} are there, about {self.expected:.0f} of the {self.remaining} that "
                 f"remain may follow: {self.coverage:.0%} of what was wanted")
        return f"{words}; hardly anything succeeds on {', '.join(self.fatal)}" if self.fatal else words


@dataclass(frozen=True)
class Health:
    """The word for a batch with all that led to it. `causes` stand largest first; `hard_stop` says which of the hard
    stops was met, "" = none; `why` is one sentence; `evidence` are lines for people."""

    word: BatchWord
    counts: Counts
    causes: tuple[Cause, ...]
    evidence: tuple[str, ...]
    projection: Projection
    hard_stop: str
    why: str

    @property
    def decision(self) -> str:
        """"no intervention", "watch" or "intervened"."""
        return DECISIONS[self.word]

    @property
    def cause(self) -> Cause | None:
        """The one that most failed of."""
        return self.causes[0] if self.causes else None


def judge(members: Iterable[Member], bands: Bands = Bands()) -> Health:
    """Total: no members are healthy. The order of the members does not matter."""
    every = sorted(members, key=lambda one: one.id)
    counts, judged = count(every), [one for one in every if _judged(one)]
    causes = group(judged)
    projection = project(every, judged, bands)
    hard_stop = _hard_stop(judged, causes, bands)
    word, why = _word(counts, causes, projection, hard_stop, bands)
    return Health(word, counts, causes, _evidence(counts, causes, projection, hard_stop), projection, hard_stop, why)


def count(members: Iterable[Member]) -> Counts:
    found = Counter("excluded" if one.excluded and one.stand is Stand.BAD else _side(one) for one in members)
    return Counts(**found)


def _side(member: Member) -> str:
    return "bad" if _failed(member) else str(member.stand)


def _judged(member: Member) -> bool:
    return member.stand is Stand.GOOD or (_failed(member) and not member.excluded)


def _failed(member: Member) -> bool:
    return member.stand is Stand.BAD or _to_be_tried_again(member) or _unusable(member)


def _to_be_tried_again(member: Member) -> bool:
    """Its last attempt failed and the next one has not begun: a storm is seen before every retry is used up."""
    known = REASONS.get(member.reason)
    return member.stand is Stand.WAITING and known is not None and known.counts and not member.excluded


def _unusable(member: Member) -> bool:
    return member.stand is Stand.GOOD and member.artefact not in ("", "ok")


def cause_of(member: Member) -> tuple[str, str]:
    """Reason code and signature of a member that failed: equal for one root cause."""
    if member.stand is Stand.GOOD:
        return INVALID, member.artefact
    code = member.reason or "process_exit"
    alone = code in SAID_BY_CODE or code.endswith(("_context_exhausted", "_permission_denied"))
    return code, "" if alone else signature(member.words)


def group(judged: Sequence[Member]) -> tuple[Cause, ...]:
    """The causes of those that failed, largest first, then by name."""
    alike: dict[tuple[str, str], list[Member]] = {}
    for member in (one for one in judged if _failed(one)):
        alike.setdefault(cause_of(member), []).append(member)
    causes = [
        Cause(code, mark, tuple(one.id for one in found), _sample(found[0]), len(found) / len(judged))
        for (code, mark), found in alike.items()
    ]
    return tuple(sorted(causes, key=lambda cause: (-len(cause.ids), cause.code, cause.signature)))


def _sample(member: Member) -> str:
    if member.stand is Stand.GOOD:
        return f"the result is {member.artefact}"
    return last_error(member.words)[:200]


def project(members: Sequence[Member], judged: Sequence[Member], bands: Bands) -> Projection:
    """By what was seen of each provider. One of which too little is known is expected to do as well as hoped: nobody
    intervenes on uncertainty alone."""
    going = (one for one in members if one.stand in (Stand.WAITING, Stand.RUNNING) and not _failed(one))
    remaining = Counter(one.provider for one in going)
    ended = Counter(one.provider for one in judged)
    good = Counter(one.provider for one in judged if not _failed(one))
    rates = {name: good[name] / ended[name] for name in ended if ended[name] >= bands.min_ended}
    fatal = tuple(sorted(name for name, rate in rates.items() if rate < LOST and remaining[name]))
    left, have = sum(remaining.values()), sum(good.values())
    expected = sum(number * rates.get(name, 1.0) for name, number in remaining.items())
    wanted = left + len(judged)
    doomed = sum(remaining[name] for name in fatal)
    collapsed = doomed > left * MOST and have + expected < wanted * MOST
    return Projection(wanted, have, left, expected, tuple(name or "this provider" for name in fatal), collapsed)


def _hard_stop(judged: Sequence[Member], causes: Sequence[Cause], bands: Bands) -> str:
    """One sentence for the first that is met; "". So many as fail alike elsewhere must be there, never fewer."""
    wrong = sum(len(cause.ids) for cause in causes if cause.code in CONFIGURATION)
    known = [one for one in judged if (one.stand is Stand.GOOD and one.artefact) or one.reason == NOTHING]
    invalid = sum(_unusable(one) or one.reason == NOTHING for one in known)
    if wrong >= bands.min_same and wrong > len(judged) * MOST:
        return f"wrong settings: {wrong} of the {len(judged)} that ended"
    if invalid >= bands.min_same and invalid > len(known) * MOST:
        return f"results that cannot be used: {invalid} of {len(known)}"
    crash = next((cause for cause in causes if cause.code in CRASHES and cause.signature), None)
    if crash is not None and len(crash.ids) >= bands.min_same and len(crash.ids) == len(judged):
        return f"the same crash each time: all {len(judged)} that ended"
    return ""


def _word(
    counts: Counts, causes: Sequence[Cause], projection: Projection, hard_stop: str, bands: Bands
) -> tuple[BatchWord, str]:
    if hard_stop:
        return BatchWord.SYSTEMIC, hard_stop
    worst = causes[0] if causes else None
    if worst is not None and _is_systemic(worst, counts, bands):
        return BatchWord.SYSTEMIC, f"{_share(worst, counts)} failed alike, {bands.systemic:.0%} or more: {worst.words}"
    if projection.collapsed:
        return BatchWord.SYSTEMIC, f"little is to be expected any more: {projection.words}"
    if worst is not None and len(worst.ids) >= MIN_WATCHED and worst.share > bands.watch:
        return BatchWord.DEGRADED, f"{_share(worst, counts)} failed alike, over {bands.watch:.0%}: {worst.words}"
    if worst is not None:
        return BatchWord.HEALTHY, f"{counts.bad} of the {counts.ended} that ended failed, too few of them alike"
    return BatchWord.HEALTHY, f"none of the {counts.ended} that ended failed"


def _is_systemic(cause: Cause, counts: Counts, bands: Bands) -> bool:
    enough = counts.ended >= bands.min_ended and len(cause.ids) >= bands.min_same
    return enough and cause.share >= bands.systemic


def _share(cause: Cause, counts: Counts) -> str:
    return f"{len(cause.ids)} of {counts.ended} ({cause.share:.0%})"


def _evidence(
    counts: Counts, causes: Sequence[Cause], projection: Projection, hard_stop: str
) -> tuple[str, ...]:
    first = (f"{counts.total} in all: {counts.good} good, {counts.bad} failed, {counts.running} running, "
             f"{counts.waiting} waiting, {counts.stopped} stopped; {counts.excluded} ended for an outage or a limit "
             "and count for neither side")
    lines = [first, f"hard stop: {hard_stop}"] if hard_stop else [first]
    lines += [f"{_share(cause, counts)}: {cause.words} ({_names(cause.ids)})" for cause in causes[:5]]
    rest = sum(len(cause.ids) for cause in causes[5:])
    lines += [f"{rest} more failed of {len(causes) - 5} other causes"] if rest else []
    return (*lines, projection.words)


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - 8} more" if len(ids) > 8 else ""
    return ", ".join(ids[:8]) + more


def as_data(health: Health) -> Mapping[str, object]:
    """Plain data of it, as --json and metrics.json show it."""
    counts = health.counts
    return {
        "word": str(health.word), "decision": health.decision, "why": health.why, "hard_stop": health.hard_stop,
        "counts": {"total": counts.total, "ended": counts.ended, "waiting": counts.waiting, "running": counts.running,
                   "good": counts.good, "bad": counts.bad, "stopped": counts.stopped, "excluded": counts.excluded},
        "causes": [{"code": one.code, "signature": one.signature, "sample": one.sample, "share": round(one.share, 4),
                    "tasks": list(one.ids)} for one in health.causes],
        "projection": {"wanted": health.projection.wanted, "have": health.projection.have,
                       "remaining": health.projection.remaining, "expected": round(health.projection.expected, 2),
                       "coverage": round(health.projection.coverage, 4), "collapsed": health.projection.collapsed},
        "evidence": list(health.evidence),
    }
