"""What a task or a day may cost: the cap holds while agents run, has a name, and is nobody's failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Begin, Move, Prepare, Settle, StopWorker
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from tests.factories import NOW, a_running, a_snapshot, a_task, a_view, an_attempt, an_outcome, evidence

CAPPED = Policy(provider="command", tokens_per_task=1000, money_per_task=2.0, money_per_day=20.0)
BEFORE = an_attempt(1, ending=Ending.FAILED, reason="lost", usage=Usage(300, 200, 1.25))


def running(now: Usage, *before, **changes):
    """gh-1 with a worker that used so much so far, after attempts that ended."""
    task, attempt = a_running()
    last = replace(attempt, number=len(before) + 1)
    told = {"policy": CAPPED, "attempts": {"gh-1": (*before, last)}, "usage": {"gh-1": now}, **changes}
    return a_snapshot(task, views={"gh-1": a_view()}, **told)


def stops(snapshot) -> list[StopWorker]:
    return [one for one in plan(snapshot).actions if isinstance(one, StopWorker)]


@pytest.mark.req("W6")
@pytest.mark.parametrize(("used", "before", "changes", "words"), [
    (Usage(700, 300), (), {}, "caps.tokens_per_task: 1,000 tokens were used on it, 1,000 are allowed"),
    (Usage(400, 100), (BEFORE,), {}, "caps.tokens_per_task: 1,000 tokens were used on it, 1,000 are allowed"),
    (Usage(1, 1, 2.5), (), {}, "caps.money_per_task: $2.50 were spent on it, $2.00 are allowed"),
    (Usage(1, 1, 0.75), (BEFORE,), {}, "caps.money_per_task: $2.00 were spent on it, $2.00 are allowed"),
    (Usage(1, 1, 0.1), (), {"money_today": 20.5}, "caps.money_per_day: $20.50 were spent today, $20.00 are allowed"),
])
def test_a_worker_that_reaches_a_cap_is_stopped_with_the_caps_name(used, before, changes, words):
    [order] = stops(running(used, *before, **changes))
    assert (order.reason, order.by, order.words) == ("cap_reached", "cap", words)


@pytest.mark.parametrize(("used", "before"), [
    (Usage(), ()), (Usage(600, 399, 1.99), ()), (Usage(400, 99, 0.74), (BEFORE,)),
])
def test_below_its_caps_a_worker_runs_on(used, before):
    assert stops(running(used, *before, money_today=19.99)) == []


def test_no_cap_is_set_by_itself():
    assert stops(running(Usage(10**9, 10**9, 10**6), policy=Policy(provider="command"), money_today=10**6)) == []


@pytest.mark.req("W6")
def test_a_session_ended_for_a_cap_is_blocked_with_its_name_and_no_failure_of_the_provider():
    task, attempt = a_running()
    words = "caps.tokens_per_task: 1,000 tokens were used on it, 1,000 are allowed"
    attempt = replace(attempt, stop_reason="cap_reached", stop_words=words, stop_by="cap", stop_asked_at=NOW)
    ended = evidence(an_outcome(Ending.CANCELLED, "cap_reached"), commits=2)
    [settle] = [one for one in plan(a_snapshot(task, attempts={"gh-1": (attempt,)}, evidence={"gh-1": ended})).actions
                if isinstance(one, Settle)]
    made = settle.settlement
    assert (made.to, made.reason, made.detail) == (TaskState.BLOCKED, "cap_reached", words)
    assert not made.charged
    assert not made.spends
    assert made.park_until is None
    assert not REASONS["cap_reached"].counts


def test_a_session_that_ended_by_itself_before_it_was_stopped_is_published():
    task, attempt = a_running()
    attempt = replace(attempt, stop_reason="cap_reached", stop_words="caps", stop_by="cap", stop_asked_at=NOW)
    snapshot = a_snapshot(task, attempts={"gh-1": (attempt,)}, evidence={"gh-1": evidence()})
    [settle] = [one for one in plan(snapshot).actions if isinstance(one, Settle)]
    assert settle.settlement.to is TaskState.PUBLISHING


@pytest.mark.parametrize(("usage", "name"), [
    (Usage(900, 100), "caps.tokens_per_task"), (Usage(1, 1, 2.0), "caps.money_per_task"),
])
def test_a_task_that_used_up_a_cap_is_not_begun_again(usage, name):
    snapshot = a_snapshot(a_task(attempts=1), policy=CAPPED, attempts={"gh-1": (replace(BEFORE, usage=usage),)})
    [move] = [one for one in plan(snapshot).actions if isinstance(one, Move)]
    assert (move.to, move.reason) == (TaskState.BLOCKED, "cap_reached")
    assert name in move.detail


@pytest.mark.parametrize(("reason", "answered", "begun"), [
    ("network", False, True), ("overloaded", False, True), ("command_usage_limited", False, True),
    ("network", True, False), ("overloaded", True, False), ("command_usage_limited", True, False),
    ("no_credit", False, False), ("lost", False, False),
])
def test_a_limit_or_an_outage_uses_up_no_sessions_unless_it_struck_in_mid_work(reason, answered, begun):
    policy = replace(CAPPED, sessions_per_task=2)
    history = tuple(replace(BEFORE, number=number, reason=reason, usage=Usage(), answered=answered)
                    for number in (1, 2))
    made = plan(a_snapshot(a_task(attempts=2), policy=policy, attempts={"gh-1": history}))
    assert [isinstance(one, Begin) for one in made.actions if isinstance(one, (Begin, Move))] == [begun]


def test_a_session_that_was_given_up_before_it_began_is_none():
    """Its issue was edited, or paused, while its worktree was prepared."""
    given_up = tuple(replace(BEFORE, number=number, launched_at=None, ending=None, reason="",
                             usage=Usage())
                     for number in (1, 2))
    made = plan(a_snapshot(a_task(attempts=2), policy=replace(CAPPED, sessions_per_task=2),
                           attempts={"gh-1": given_up}))
    assert [isinstance(one, Begin) for one in made.actions if isinstance(one, (Begin, Move))] == [True]


def test_when_the_days_money_is_spent_new_work_waits_for_tomorrow():
    snapshot = a_snapshot(a_task(), policy=CAPPED, money_today=20.0)
    made = plan(snapshot)
    assert made.waits["gh-1"].code == "money_per_day"
    assert made.waits["gh-1"].moves == "wait for tomorrow, or raise caps.money_per_day"
    tomorrow = plan(replace(snapshot, now=NOW + timedelta(days=1), money_today=0.0))
    assert [one for one in tomorrow.actions if isinstance(one, Begin)]


@pytest.mark.parametrize(("spent", "done"), [(20.0, [Move]), (19.0, [Prepare])])
def test_what_was_not_started_yet_when_the_days_money_was_spent_waits_for_tomorrow_too(spent, done):
    begun = a_task(state=TaskState.PREPARING, attempts=1)
    made = plan(a_snapshot(begun, policy=CAPPED, money_today=spent, attempts={"gh-1": (an_attempt(),)}))
    acts = [one for one in made.actions if isinstance(one, (Move, Prepare))]
    assert [type(one) for one in acts] == done
    assert [one.to for one in acts if isinstance(one, Move)] == [TaskState.QUEUED] * (spent == 20.0)


@pytest.mark.parametrize(("today", "launched_at", "more"), [
    (0, None, 3), (2, None, 1), (3, None, 0), (3, NOW - timedelta(seconds=5), 1),
])
def test_starts_that_are_only_decided_on_count_for_the_day_in_this_tick_and_in_those_after_it(today, launched_at, more):
    """A worktree takes its time: until the first worker is launched the day's sessions tell of none of them."""
    first, second = (a_task(number, TaskState.PREPARING, attempts=1) for number in (1, 2))
    tries = {"gh-1": (an_attempt(),), "gh-2": (an_attempt(task=2, launched_at=launched_at),)}
    policy = Policy(provider="command", max_workers=20, sessions_per_day=5)
    queued = (a_task(number) for number in range(3, 9))
    made = plan(a_snapshot(first, second, *queued, policy=policy, attempts=tries, sessions_today=today))
    assert len([one for one in made.actions if isinstance(one, Begin)]) == more
