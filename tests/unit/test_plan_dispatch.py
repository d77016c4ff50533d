"""Which task starts next, and what the others wait for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.outcome import Ending
from coordinator.domain.task import TaskState
from coordinator.planning import dependencies
from coordinator.planning.actions import Begin, Move
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Gate, Parked
from tests.factories import NOW, a_running, a_snapshot, a_task, a_vet, an_issue


def begun(snapshot) -> list[str]:
    return [action.task.id for action in plan(snapshot).actions if isinstance(action, Begin)]


def test_the_order_is_priority_then_age_then_number():
    tasks = [
        a_task(1, priority=2, created_at=NOW - timedelta(hours=9)),
        a_task(2, priority=0, created_at=NOW),
        a_task(4, priority=1, created_at=NOW - timedelta(hours=1)),
        a_task(3, priority=1, created_at=NOW - timedelta(hours=1)),
    ]
    issues = {task.issue: an_issue(task.issue, "rpi-auto", f"priority:P{task.priority}") for task in tasks}
    snapshot = a_snapshot(*tasks, issues=issues, policy=Policy(provider="command", max_workers=9))
    assert begun(snapshot) == ["gh-2", "gh-3", "gh-4", "gh-1"]


@pytest.mark.req("P50")
@given(st.integers(0, 6), st.integers(0, 8), st.integers(1, 5))
def test_never_more_workers_than_slots(running, queued, slots):
    busy = [a_running(n)[0] for n in range(1, running + 1)]
    waiting = [a_task(n) for n in range(20, 20 + queued)]
    snapshot = a_snapshot(*busy, *waiting, policy=Policy(provider="command", max_workers=slots))
    assert len(begun(snapshot)) == min(queued, max(0, slots - running))


def test_caps_of_labels_and_providers_hold_within_one_plan():
    policy = Policy(provider="command", max_workers=9, provider_caps={"claude": 1}, label_caps={"big": 1})
    tasks = [a_task(1), a_task(2), a_task(3, provider="claude"), a_task(4, provider="claude"), a_task(5)]
    issues = {n: an_issue(n, "rpi-auto", "big") if n < 3 else an_issue(n) for n in range(1, 6)}
    snapshot = a_snapshot(*tasks, policy=policy, issues=issues)
    assert begun(snapshot) == ["gh-1", "gh-3", "gh-5"]
    waits = plan(snapshot).waits
    assert (waits["gh-2"].code, waits["gh-4"].code) == ("label_cap", "provider_cap")


@pytest.mark.parametrize(("change", "code"), [
    ({"draining": "a STOP file stands in the repository's root"}, "draining"),
    ({"paused": True}, "coordinator_paused"),
    ({"github_until": NOW + timedelta(seconds=9), "github_words": "down"}, "github"),
    ({"floors": (Gate("disk", "1 GB free", "coordinator clean"),)}, "disk"),
    ({"sessions_today": 50}, "sessions_per_day"),
    ({"parked": {"command": Parked(NOW + timedelta(hours=1), "usage limit")}}, "provider_parked"),
    ({"unready": {"command": Gate("command_binary_missing", "not found")}}, "command_binary_missing"),
])
def test_each_gate_holds_dispatch_and_is_named(change, code):
    snapshot = a_snapshot(a_task(), **change)
    assert begun(snapshot) == []
    assert plan(snapshot).waits["gh-1"].code == code


def test_a_park_that_is_over_holds_nothing():
    assert begun(a_snapshot(a_task(), parked={"command": Parked(NOW, "usage limit")})) == ["gh-1"]


@pytest.mark.req("W24")
def test_closing_the_blocker_frees_the_dependant_at_once():
    task = a_task(6, depends_on=(1,))
    waiting = a_snapshot(task, issues={1: an_issue(1, "other"), 6: an_issue(6)})
    assert begun(waiting) == []
    assert plan(waiting).waits["gh-6"].words == "waits for #1 (Depends on)"
    freed = replace(waiting, issues={1: an_issue(1, "other", state="closed"), 6: an_issue(6)})
    assert begun(freed) == ["gh-6"]


def test_githubs_own_relation_blocks_as_the_text_does():
    issues = {1: an_issue(1, "other"), 6: an_issue(6)}
    snapshot = a_snapshot(a_task(6), issues=issues, vets={6: a_vet(6, blocked_by=(1,))})
    assert plan(snapshot).waits["gh-6"].code == "depends"


@pytest.mark.req("W24")
def test_a_circle_is_blocked_with_its_members_and_never_dispatched():
    ring = [a_task(1, depends_on=(2,)), a_task(2, depends_on=(3,)), a_task(3, depends_on=(1,))]
    made = plan(a_snapshot(*ring, a_task(4, depends_on=(1,))))
    moves = {action.task.id: action for action in made.actions if isinstance(action, Move)}
    assert set(moves) == {"gh-1", "gh-2", "gh-3"}
    assert {move.reason for move in moves.values()} == {"cycle"}
    assert "#1 → #2 → #3 → #1" in moves["gh-2"].detail
    assert made.waits["gh-4"].code == "depends"


def test_an_issue_that_depends_on_itself_is_a_circle():
    assert dependencies.circles({5: frozenset({5})}) == {5: (5,)}


@given(st.dictionaries(st.integers(1, 8), st.frozensets(st.integers(1, 8), max_size=4), max_size=8))
def test_circles_are_exactly_those_that_reach_themselves(graph):
    def reaches_itself(start: int) -> bool:
        seen, todo = set(), list(graph.get(start, ()))
        while todo:
            node = todo.pop()
            if node == start:
                return True
            if node not in seen:
                seen.add(node)
                todo += graph.get(node, ())
        return False

    assert set(dependencies.circles(graph)) == {node for node in graph if reaches_itself(node)}


@pytest.mark.parametrize(("body", "numbers"), [
    ("Depends on #3", (3,)),
    ("- blocked by: #4, #5 and #4\n> Depends on #6", (4, 5, 6)),
    ("This depends on #7", ()),
    ("depends on owner/repo#8", ()),
    ("Depends on nothing", ()),
    ("", ()),
])
def test_dependencies_are_read_from_their_own_lines(body, numbers):
    assert dependencies.written(body) == numbers


def test_a_task_that_used_up_its_sessions_needs_a_person():
    from tests.factories import an_attempt

    task = a_task(attempts=6)
    attempts = {"gh-1": tuple(an_attempt(n, ending=Ending.FAILED) for n in range(1, 7))}
    [move] = plan(a_snapshot(task, attempts=attempts)).actions
    assert (move.to, move.reason) == (TaskState.BLOCKED, "cap_reached")


def test_sessions_that_met_a_limit_do_not_use_up_the_cap():
    from tests.factories import an_attempt

    task = a_task(attempts=6)
    attempts = {"gh-1": tuple(an_attempt(n, reason="claude_usage_limited") for n in range(1, 7))}
    [begin] = plan(a_snapshot(task, attempts=attempts)).actions
    assert isinstance(begin, Begin)


def test_backoff_ends_by_time_alone_and_the_plan_says_when():
    task = a_task(1, TaskState.BACKOFF, retry_at=NOW + timedelta(seconds=40), reason="stalled")
    made = plan(a_snapshot(task))
    assert made.actions == ()
    assert made.wake_at == NOW + timedelta(seconds=40)
    [move] = plan(a_snapshot(task, now=NOW + timedelta(seconds=40))).actions
    assert move.to is TaskState.QUEUED


def test_a_pause_measured_by_a_clock_that_was_set_back_since_is_over():
    day = timedelta(days=1)
    ahead = a_task(1, TaskState.BACKOFF, state_since=NOW + day, retry_at=NOW + day + timedelta(minutes=1))
    [move] = plan(a_snapshot(ahead)).actions
    assert move.to is TaskState.QUEUED
    still = replace(ahead, state_since=NOW, retry_at=NOW + timedelta(minutes=1))
    assert plan(a_snapshot(still)).actions == ()
