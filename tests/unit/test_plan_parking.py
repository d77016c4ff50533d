"""A provider at its limit, or at fault: closed for all its tasks, tried by one, open again once it answers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.reasons import PARKING
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Begin, Settle, Settlement
from coordinator.planning.limits import circuit
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Parked
from tests.factories import NOW, a_running, a_snapshot, a_task, an_attempt, an_outcome, evidence

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LIMIT = an_outcome(Ending.FAILED, "command_usage_limited", detail="You've hit your limit")
DOWN = an_outcome(Ending.FAILED, "overloaded", detail="529")
OVER = Parked(NOW - MINUTE, "limit", "command_usage_limited")
WIDE = Policy(provider="command", max_workers=9)


def settled(outcome, *others, attempt=None, **changes) -> Settlement:
    """What the end of gh-1's attempt means, `others` being attempts of other tasks that ended before."""
    task, own = a_running()
    attempts = {"gh-1": (attempt or own,), **{one.task_id: (one,) for one in others}}
    [action] = [one for one in plan(a_snapshot(task, attempts=attempts, evidence={"gh-1": evidence(outcome, commits=0)},
                                               **changes)).actions if isinstance(one, Settle)]
    return action.settlement


def failed(task: int, reason: str, ago: timedelta, **changes):
    """A session of another task that ended so."""
    ended = {"launched_at": NOW - HOUR, "ended_at": NOW - ago, "ending": Ending.FAILED, "reason": reason, **changes}
    return an_attempt(1, task, **ended)


def trying(**changes):
    """An attempt that was begun after the park was over."""
    return replace(a_running()[1], created_at=NOW - timedelta(seconds=30), launched_at=NOW - timedelta(seconds=20),
                   **changes)


def begun(snapshot) -> list[str]:
    return [action.task.id for action in plan(snapshot).actions if isinstance(action, Begin)]


# --- closing ------------------------------------------------------------------------------------------


@pytest.mark.req("W4", "A95")
@pytest.mark.parametrize("reason", [code for code in PARKING if code.startswith("command")])
def test_a_limit_parks_until_its_reset_and_costs_neither_retry_nor_session(reason):
    reset = NOW + 3 * HOUR
    made = settled(an_outcome(Ending.FAILED, reason, reset_at=reset.timestamp()))
    assert (made.to, made.park_until, made.charged, made.spends) == (TaskState.QUEUED, reset, False, False)
    limits = tuple(an_attempt(n, reason=reason, ending=Ending.FAILED) for n in range(1, 9))
    assert begun(a_snapshot(a_task(attempts=8), attempts={"gh-1": limits})) == ["gh-1"]


def test_a_limit_that_names_no_time_is_tried_again_later_each_time():
    first = settled(LIMIT)
    assert (first.park_until, first.park_times) == (NOW + 5 * MINUTE, 1)
    later = [settled(LIMIT, attempt=trying(), parked={"command": replace(OVER, times=times)}) for times in (1, 2, 3, 9)]
    assert [one.park_until - NOW for one in later] == [10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR]
    assert [one.park_times for one in later] == [2, 3, 4, 10]


def test_a_reset_beyond_a_week_is_a_misread_one():
    made = settled(replace(LIMIT, reset_at=(NOW + timedelta(days=400)).timestamp()))
    assert made.park_until == NOW + circuit.FARTHEST


@pytest.mark.parametrize("moment", [1.8e12, 1.8e15, 1e300])
def test_a_reset_in_no_unit_that_a_calendar_has_is_a_misread_one_too(moment):
    assert settled(replace(LIMIT, reset_at=moment)).park_until == NOW + circuit.FARTHEST


def test_a_reset_that_is_over_is_no_time_to_try_again():
    past = replace(LIMIT, reset_at=(NOW - HOUR).timestamp())
    later = [settled(past, attempt=trying(), parked={"command": replace(OVER, times=times)}) for times in (1, 9)]
    assert [one.park_until - NOW for one in later] == [10 * MINUTE, HOUR]


def test_a_session_that_knew_less_does_not_shorten_a_park():
    known = Parked(NOW + 5 * HOUR, "weekly limit", "command_usage_limited", 2)
    made = settled(LIMIT, parked={"command": known})
    assert (made.park_until, made.park_times) == (known.until, 2)


@pytest.mark.parametrize("reason", ["overloaded", "network", "no_credit", "command_auth_blocked"])
def test_the_third_fault_of_a_provider_in_a_row_parks_it_whatever_the_tasks(reason):
    outcome = an_outcome(Ending.FAILED, reason)
    two = failed(2, "overloaded", 9 * MINUTE), failed(3, "network", 5 * MINUTE)
    assert settled(outcome, *two).park_until == NOW + 5 * MINUTE
    assert settled(outcome, two[0]).park_until is None


@pytest.mark.parametrize("between", [
    failed(4, "process_exit", 2 * MINUTE), failed(4, "process_exit", 2 * MINUTE, ending=Ending.SUCCEEDED),
])
def test_a_session_that_met_no_fault_of_the_provider_breaks_the_row(between):
    assert settled(DOWN, failed(2, "overloaded", 9 * MINUTE), failed(3, "overloaded", 5 * MINUTE),
                   between).park_until is None


@pytest.mark.parametrize("apart", [
    {"provider": "claude"}, {"launched_at": None}, {"ending": Ending.CANCELLED},
])
def test_what_says_nothing_of_the_provider_is_not_counted(apart):
    two = failed(2, "overloaded", 9 * MINUTE, **apart), failed(3, "overloaded", 5 * MINUTE)
    assert settled(DOWN, *two).park_until is None


# --- trying -------------------------------------------------------------------------------------------


@pytest.mark.req("W4")
def test_when_the_time_comes_one_task_tries_and_the_others_wait_for_it():
    tasks = [a_task(number) for number in (1, 2, 3)]
    closed = a_snapshot(*tasks, policy=WIDE, parked={"command": replace(OVER, until=NOW + MINUTE)})
    assert begun(closed) == []
    assert {wait.code for wait in plan(closed).waits.values()} == {"provider_parked"}
    assert plan(closed).wake_at == NOW + MINUTE
    half = replace(closed, parked={"command": OVER})
    assert begun(half) == ["gh-1"]
    assert plan(half).waits["gh-2"].words == "gh-1 tries first whether command answers again"
    assert plan(half).waits["gh-3"].code == "provider_trial"


@pytest.mark.parametrize(("change", "rest"), [
    ({}, []),
    ({"usage": {"gh-1": Usage(tokens_in=9, tokens_out=0)}}, []),
    ({"usage": {"gh-1": Usage(tokens_in=9, tokens_out=1)}}, ["gh-2", "gh-3"]),
    ({"now": NOW + 5 * MINUTE}, ["gh-2", "gh-3"]),
])
def test_the_others_follow_once_it_is_answered_or_has_run_for_a_while(change, rest):
    task, _ = a_running()
    half = a_snapshot(task, a_task(2), a_task(3), attempts={"gh-1": (trying(),)}, parked={"command": OVER}, policy=WIDE)
    assert begun(replace(half, **change)) == rest


def test_a_second_session_that_has_not_answered_yet_holds_up_nobody_once_the_first_has():
    (one, _), (two, _) = a_running(), a_running(2)
    half = a_snapshot(one, two, a_task(3), parked={"command": OVER}, policy=WIDE, usage={"gh-2": Usage(9, 1)},
                      attempts={"gh-1": (trying(),), "gh-2": (replace(trying(), task_id="gh-2"),)})
    assert begun(half) == ["gh-3"]


def test_a_session_from_before_the_park_is_no_trial():
    task, attempt = a_running()
    half = a_snapshot(task, a_task(2), a_task(3), attempts={"gh-1": (attempt,)}, parked={"command": OVER}, policy=WIDE)
    assert begun(half) == ["gh-2"]


@pytest.mark.parametrize(("outcome", "opens"), [
    (an_outcome(), True),
    (an_outcome(Ending.NO_CHANGE, "no_change"), True),
    (an_outcome(Ending.FAILED, "process_exit"), True),
    (an_outcome(Ending.TIMED_OUT, "max_runtime", usage=Usage(9, 9)), True),
    (an_outcome(Ending.STALLED, "stalled"), False),
    (an_outcome(Ending.LOST, "lost"), False),
    (an_outcome(Ending.CANCELLED, "manual_stop"), False),
    (DOWN, False),
    (LIMIT, False),
])
def test_a_trial_that_was_answered_opens_the_provider(outcome, opens):
    assert settled(outcome, attempt=trying(), parked={"command": OVER}).unparks is opens


def test_a_session_from_before_the_park_opens_nothing():
    assert not settled(an_outcome(), parked={"command": Parked(NOW + HOUR, "limit")}).unparks


def test_a_fault_on_trial_parks_again_though_it_is_the_first():
    made = settled(DOWN, attempt=trying(), parked={"command": OVER})
    assert (made.park_until, made.park_times) == (NOW + 10 * MINUTE, 2)
