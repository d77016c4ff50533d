"""What failed is started again: one first, and the others only once that one ended well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest

from coordinator.engine.batches.jobs import Done
from coordinator.engine.batches.resubmitting import Again, SmokeFailed, resubmit
from coordinator.planning.batch.members import Member
from tests.support.batches import BAD, GOOD, NOON, RUNNING, STOPPED, World, a_member

IDS = ["bd-1", "bd-2", "bd-3"]
LATER = {"started_at": NOON + timedelta(minutes=5)}


def storm(first: Member | None = None) -> list[Member]:
    rest = [a_member(name, BAD) for name in IDS[1:]]
    return [first or a_member("bd-1", BAD), *rest]


class Starter:
    """Starts what it is asked to, but for `refused`."""

    def __init__(self, *refused: str) -> None:
        self.started, self._refused = list[str](), refused

    def __call__(self, ids: Sequence[str]) -> Iterator[Done]:
        for name in ids:
            if name not in self._refused:
                self.started.append(name)
            yield Done(name, ok=name not in self._refused, words="", run=f"run of {name}")


def again(world: World, start: Starter, limit: timedelta | None = timedelta(hours=1)) -> list[Done]:
    return list(resubmit(world.batch, IDS, Again(start, limit, "the table is made"), world.pause))


@pytest.mark.req("D78", "D79")
def test_the_others_are_started_once_the_first_ended_well_and_all_runs_are_written_down() -> None:
    world, start = World(storm(), storm(), storm(a_member("bd-1", RUNNING, **LATER)),
                         storm(a_member("bd-1", GOOD, **LATER))), Starter()  # fmt: skip
    assert [one.id for one in again(world, start)] == start.started == IDS
    assert world.pauses == [2, 2]
    acts = world.memory.journal.acts
    assert [(one.what, one.words, dict(one.made)) for one in acts] == [
        ("smoke", "the table is made", {"bd-1 of 20260304120000": "run of bd-1"}),
        ("resubmit", "the table is made", {"bd-2 of 20260304120000": "run of bd-2",
                                           "bd-3 of 20260304120000": "run of bd-3"})]


@pytest.mark.req("D78")
@pytest.mark.parametrize(("first", "why"), [
    (a_member("bd-1", BAD, **LATER), "did not end well .exited_err: process_exit ValueError"),
    (a_member("bd-1", STOPPED, **LATER), "did not end well .stopped"),
    (a_member("bd-1", RUNNING, **LATER), "did not end within 1:00:00; it runs on"),
    (a_member("bd-1", BAD), "did not end within 1:00:00"),
    (a_member("bd-9", GOOD), "it is gone"),
])  # fmt: skip
def test_none_of_the_others_is_started_when_the_first_does_not_end_well(first: Member, why: str) -> None:
    world, start = World(storm(), storm(first)), Starter()
    with pytest.raises(SmokeFailed, match=why):
        again(world, start)
    assert start.started == ["bd-1"]
    assert [one.what for one in world.memory.journal.acts] == ["smoke"]


def test_a_first_one_that_cannot_be_started_keeps_the_others_from_it() -> None:
    world, start = World(storm()), Starter("bd-1")
    with pytest.raises(SmokeFailed, match="bd-1 could not be started"):
        again(world, start)
    assert (start.started, world.memory.journal.acts) == ([], ())


def test_without_a_first_run_all_are_started_at_once_and_one_that_fails_keeps_none_from_it() -> None:
    world, start = World(storm()), Starter("bd-2")
    assert [one.ok for one in again(world, start, None)] == [True, False, True]
    assert (start.started, world.pauses) == (["bd-1", "bd-3"], [])
