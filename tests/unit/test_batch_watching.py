"""A watch with a clock of its own: what it tells, when it looks, how it ends, and how it is taken up again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine.batches.batch import Look
from coordinator.engine.batches.watching import End, Watch, watch
from coordinator.planning.batch import kept
from coordinator.planning.batch.journal import MOST, Journal
from coordinator.planning.batch.members import Member
from coordinator.planning.batch.telling import news
from coordinator.wording.batch_lines import news_lines
from tests.support.batches import BAD, GOOD, RUNNING, STOPPED, WAITING, World, a_member, members

EIGHT = timedelta(hours=8)


def seen(world: World, *, timeout: timedelta = EIGHT, to_the_end: bool = False, once: bool = False
         ) -> tuple[End, list[Look]]:  # fmt: skip
    """How a watch ended and every look that it told of."""
    told: list[Look] = []
    order = Watch(told.append, told.append, timeout, to_the_end=to_the_end)
    return watch(world.batch, order, world.pause, once=once), told


def lines(look: Look, *, quiet: bool = False) -> list[str]:
    return list(news_lines(news(look.news, look.health), quiet=quiet))


def going_to(kind: dict[str, object], **changes: object) -> list[Member]:
    """bd-1 and bd-2 run, bd-0 comes to something."""
    return [a_member("bd-0", kind, **changes), a_member("bd-1", RUNNING), a_member("bd-2", RUNNING)]


@pytest.mark.req("D54", "D56")
def test_only_what_moved_is_told_and_what_did_not_is_never_shown_again() -> None:
    world = World(going_to(RUNNING), going_to(RUNNING), going_to(BAD), going_to(BAD), members(good=1))
    _, told = seen(world, timeout=timedelta(minutes=15))
    assert [lines(one) for one in told[1:4]] == [
        [], ["12:06:40Z bd-0 healthy -> exited_err (process_exit): ValueError: no such table"], []]


def test_quiet_tells_failures_and_turns_alone() -> None:
    world = World(members(running=6), [*members(good=2, bad=3), a_member("bd-5", RUNNING)])
    _, told = seen(world)
    assert [line.split(" ")[1] for line in lines(told[1], quiet=True)] == ["bd-2", "bd-3", "bd-4", "batch"]
    assert lines(told[1], quiet=True)[-1].startswith("the batch turned from healthy to systemic: 3 of 5 (60%)")


def test_it_looks_at_the_pace_of_the_batch_and_slower_while_nothing_is_new() -> None:
    world = World(members(waiting=2), members(waiting=2), members(running=2), members(good=2))
    end, _ = seen(world)
    assert (end, world.pauses) == (End.GOOD, [600, 700, 180])


@pytest.mark.req("D50")
def test_one_cycle_ends_on_time_with_the_batch_as_it_is_then() -> None:
    world = World(members(waiting=2))
    end, _ = seen(world)
    assert end is End.NOT_YET
    assert sum(world.pauses) == 8 * 3600


@pytest.mark.req("D101", "D102", "D103")
def test_taken_up_again_it_knows_what_was_told_and_tells_what_happened_meanwhile() -> None:
    world = World(going_to(RUNNING), going_to(RUNNING), going_to(GOOD))
    seen(world, once=True)
    _, [same] = seen(world, once=True)
    assert (lines(same), same.news.since, same.journal.looks) == ([], world.now, 2)
    _, [other] = seen(world, once=True)
    assert lines(other) == ["12:00:00Z bd-0 healthy -> exited_ok"]


@pytest.mark.req("D21")
def test_a_batch_that_turns_systemic_ends_the_watch_and_isolated_failures_do_not() -> None:
    world = World(members(good=9, running=20), members(good=9, bad=1, running=19), members(good=9, bad=4, running=16))
    end, told = seen(world)
    assert (end, len(told), told[-1].health.word) == (End.BAD, 3, "systemic")


def test_a_systemic_batch_that_was_told_of_is_watched_on_to_its_end() -> None:
    story = (members(good=1, bad=4, running=1), members(good=1, bad=4, running=1), members(good=2, bad=4))
    world = World(*story)
    assert [seen(world)[0], seen(world)[0], world.looks] == [End.BAD, End.BAD, 3]
    other = World(*story)
    assert (seen(other, to_the_end=True)[0], other.looks) == (End.BAD, 3)


@pytest.mark.parametrize(("last", "end"), [
    (members(good=30), End.GOOD), (members(good=29, stopped=1), End.GOOD), (members(good=29, bad=1), End.BAD)])
def test_the_end_is_good_when_none_failed(last: list[Member], end: End) -> None:
    assert seen(World(last))[0] is end


def test_another_run_of_a_member_that_failed_is_news_and_its_failure_is_told_again() -> None:
    again = {"started_at": World().now + timedelta(minutes=9)}
    world = World(going_to(BAD), going_to(BAD, **again))
    seen(world, once=True)
    _, [one] = seen(world, once=True)
    assert lines(one, quiet=True) == [
        "12:00:00Z bd-0 exited_err, in another run (process_exit): ValueError: no such table"]


@pytest.mark.req("D57")
def test_the_journal_is_small_and_holds_counts_and_the_decision_of_the_last_look() -> None:
    flips = [members(running=40), members(waiting=40)]
    world = World(*(flips[number % 2] for number in range(40)))
    for _ in range(40):
        seen(world, once=True)
    found = world.memory.journal
    assert (len(found.changes), len(found.samples), found.dropped) == (MOST, 40, 40 * 40 - MOST)
    assert (found.word, found.decision, found.counts["waiting"]) == ("healthy", "no intervention", 40)


def test_a_journal_is_read_as_it_was_written_and_garbage_in_it_is_left_out() -> None:
    world = World(going_to(RUNNING), going_to(BAD))
    seen(world, once=True)
    seen(world, once=True)
    world.batch.note("smoke", "made the table", ["bd-0"], {"bd-0 of 1": "2"})
    found, blank = world.memory.journal, Journal("prefix", "bd-")
    data = kept.to_data(found)
    assert kept.from_data(data, blank) == found
    data["changes"] += [{"at": "yesterday"}, 7]
    data["sights"]["x"] = {"stand": "flying"}
    assert kept.from_data(data, blank) == found


@pytest.mark.parametrize("data", [[], {"schema": 99}, {"schema": 1, "kind": "prefix", "name": "zz-", "place": ""}])
def test_a_journal_of_another_batch_or_version_is_not_taken_for_this_one(data: object) -> None:
    with pytest.raises(kept.Unreadable):
        kept.from_data(data, replace(Journal("prefix", "bd-")))


def test_of_a_storm_the_first_lines_are_told_and_the_rest_is_counted() -> None:
    world = World(members(running=50), members(bad=40, good=10))
    _, told = seen(world)
    assert len(lines(told[1])) == 22
    assert lines(told[1])[20] == "… and 30 more moved, 20 of them failed"


STANDS = st.sampled_from([GOOD, BAD, RUNNING, WAITING, STOPPED])


@given(st.lists(st.lists(STANDS, min_size=1, max_size=4), min_size=1, max_size=8))
def test_whatever_happens_the_news_of_all_looks_add_up_to_what_is_so_and_nothing_is_told_twice(
    story: list[list[dict[str, Any]]]
) -> None:
    world = World(*([a_member(f"bd-{number}", kind) for number, kind in enumerate(kinds)] for kinds in story))
    known: dict[str, str] = {}
    for number, kinds in enumerate(story):
        look = world.batch.look()
        for change in look.news.changes:
            assert known.get(change.id, "") == change.before != change.after
            known[change.id] = change.after
        known = {name: state for name, state in known.items() if state != "gone"}
        assert known == {f"bd-{at}": kind["state"] for at, kind in enumerate(kinds)}
        assert world.memory.journal == kept.from_data(kept.to_data(world.memory.journal), Journal("prefix", "bd-"))
        assert look.journal.looks == number + 1
