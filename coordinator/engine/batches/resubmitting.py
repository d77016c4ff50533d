"""Starts what failed again: one first, and the others once that one ended well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from coordinator.engine.batches.batch import Batch
from coordinator.engine.batches.jobs import Done
from coordinator.planning.batch.journal import run_of
from coordinator.planning.batch.members import Member, Stand

LOOK_EVERY = timedelta(seconds=2)


class SmokeFailed(Exception):
    """The one that was tried first did not end well: none of the others was started."""


def run_name(member: Member) -> str:
    """The run of a member for people: `bd-1 of 20260304120000`."""
    return f"{member.id} of {member.started_at:%Y%m%d%H%M%S}" if member.started_at is not None else member.id


@dataclass(frozen=True)
class Again:
    """`start` starts these and yields what became of each; `limit` is how long the first is waited for, None = no run
    before the others; `words` say what was changed since the failure. `every` is the pause between two looks at it,
    `named` what a run is called in the journal."""

    start: Callable[[Sequence[str]], Iterator[Done]]
    limit: timedelta | None
    words: str = ""
    every: timedelta = LOOK_EVERY
    named: Callable[[Member], str] = run_name


def resubmit(batch: Batch, ids: Sequence[str], again: Again, pause: Callable[[timedelta], None]) -> Iterator[Done]:
    """Written down with the old and the new run of each. Raises SmokeFailed."""
    known = {one.id: one for one in batch.members()}
    before, rest = {name: again.named(one) for name, one in known.items()}, list(ids)
    if again.limit is not None and len(ids) > 1:
        first = [*_started(batch, rest[:1], again, before, "smoke")]
        yield from first
        if not all(one.ok for one in first):
            raise SmokeFailed(f"{rest[0]} could not be started: {first[0].words}")
        _await_well(batch, known[rest[0]], first[0].run, again, pause)
        rest = rest[1:]
    yield from _started(batch, rest, again, before, "resubmit")


def _started(batch: Batch, ids: Sequence[str], again: Again, before: dict[str, str], what: str) -> Iterator[Done]:
    made: dict[str, str] = {}
    try:
        for done in again.start(ids):
            if done.ok:
                made[before.get(done.id, done.id)] = done.run or done.id
            yield done
    finally:   # what was started is written down, whatever stopped the rest
        if made:
            batch.note(what, again.words, ids, made)


def _await_well(batch: Batch, failed: Member, run: str, again: Again, pause: Callable[[timedelta], None]) -> None:
    """A board may show for a moment how it stood before. Where a new run is a member by its own name, `run` is that."""
    name, limit = failed.id, again.limit or timedelta(0)
    until = batch.now() + limit
    while True:
        one = next((member for member in batch.members() if member.id in (name, run)), None)
        same = one is not None and (run_of(one), one.since) == (run_of(failed), failed.since)
        if one is None or (one.stand in (Stand.BAD, Stand.STOPPED) and not same):
            told = f"{one.state}: {one.reason} {one.words}".strip() if one is not None else "it is gone"
            raise SmokeFailed(f"{name} was tried first and did not end well ({told})")
        if one.stand is Stand.GOOD:
            return
        if batch.now() >= until:
            raise SmokeFailed(f"{name} was tried first and did not end within {limit}; it runs on")
        pause(min(again.every, until - batch.now()))
