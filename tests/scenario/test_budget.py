"""The budget of requests as numbers: an hour in which nothing happens, a tick at any number of issues, and what still
goes out when the requests left are kept for people. `pytest -rP` prints what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bench.idle_hour import BOT, REPO, RESERVE, Idle, Load, idle
from coordinator.domain.outward import Outward
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Wait
from tests.support.description import check_all
from tests.support.figures import count

MOST, MOST_POINTS = 12, 0
"""Requests that count and points of GraphQL in an hour in which nothing happens; GitHub gives 5,000 of each."""
SECONDS = 15
Record = Callable[[str, object], None]


def waits(one: Idle, number: int) -> Wait:
    return one.engine.tick().waits[f"gh-{number}"]


@pytest.mark.req("N8", "W3")
def test_an_idle_hour_with_fifty_issues_costs_no_more_than_its_budget(tmp_path: Path, record_property: Record) -> None:
    with idle(tmp_path, Load(issues=50, running=10, in_review=5)) as one:
        hour = one.hour()
        states = sorted(str(task.state) for task in one.engine.world.store.tasks())
    record_property("requests that count", hour.counted.total())
    record_property("GraphQL points", hour.points)
    print(f"an idle hour, 50 labelled issues of which 10 run and 5 are in review: {hour}")
    count("an idle hour, 50 issues, 10 running: requests not 304", hour.counted.total())
    count("an idle hour: requests answered 304", hour.unchanged)
    assert states == ["IN_REVIEW"] * 5 + ["QUEUED"] * 35 + ["RUNNING"] * 10
    assert hour.unchanged >= 2 * 3600 / SECONDS - 2, "issues and pull requests were asked for with each poll"
    assert hour.counted.total() <= MOST, hour
    assert hour.points <= MOST_POINTS


@pytest.mark.req("W3")
@pytest.mark.parametrize("issues", [10, 100, 1000])
def test_a_tick_asks_as_much_at_any_number_of_issues(tmp_path: Path, issues: int) -> None:
    with idle(tmp_path, Load(issues=issues, running=5, in_review=2)) as one:
        ticks = [one.tick() for _ in range(3)]
        check_all(one.github.requests)
        assert len(one.engine.world.store.tasks()) == issues
    assert [(tick.counted.total(), tick.unchanged, tick.points) for tick in ticks] == [(0, 2, 0)] * 3


@pytest.mark.req("N8", "W3")
def test_a_secondary_limit_is_obeyed_to_the_second_by_the_whole(tmp_path: Path) -> None:
    with idle(tmp_path, Load(issues=3, running=1, in_review=1)) as one:
        one.github.throttle(5 * SECONDS)
        sent = []
        for _ in range(7):
            told = one.tick()
            sent.append(told.counted.total() + told.unchanged)
        assert sent == [1, 0, 0, 0, 2, 2, 2], "refused once, then asked when Retry-After is over and not before"


@pytest.mark.req("N8", "W3")
def test_below_the_reserve_only_what_became_of_work_is_written(tmp_path: Path) -> None:
    with idle(tmp_path, Load(issues=6, running=2, in_review=1)) as one:
        ann = one.github.repository(REPO).as_user("ann")
        one.github.spend(BOT, leave=RESERVE - 1)
        ann.comment(6, "Words of a person, of which the next poll tells")
        one.tick()
        fresh = ann.open_issue("Not known yet", "", ["rpi-auto"]).number
        ann.add_label(5, "priority:P0")
        _said_nothing_yet(one, 2, 3)
        told = Counter[str]()
        for _ in range(3):
            told += one.tick().counted

        assert set(told) <= {"`GET /issues`", "`GET /pulls`"}, "changes are seen, nothing is asked or said about them"
        assert {number: waits(one, number).code for number in (4, 5, 6)} == dict.fromkeys((4, 5, 6), "reserve")
        assert [(held.number, held.code) for held in one.engine.tick().held] == [(fresh, "reserve")]

        ann.merge(7)
        one.tick()
        assert one.engine.world.store.task("gh-1").state is TaskState.DONE
        posted = {request.path.partition("/issues/")[2] for request in one.github.requests if request.method == "POST"}
        assert posted == {"1/comments"}, "that it is done is said, and nothing else"

        one.clock.at += timedelta(hours=1)
        told = one.tick().counted + one.tick().counted
        assert told["`POST /issues/N/comments`"] >= 1, "what was left unsaid is said later"
        assert told["`GET /issues/N/events`"] >= 1, "and who set the label is asked for"


def _said_nothing_yet(one: Idle, *numbers: int) -> None:
    """As when these tasks moved just now."""
    for number in numbers:
        one.engine.world.store.keep_outward(Outward(f"gh-{number}", number))
