"""Which issues become tasks, and who may set one going again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.task import TaskState
from coordinator.planning.actions import Adopt, Move, Poll, StopWorker, VetIssue
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from tests.factories import NOW, a_running, a_snapshot, a_task, a_vet, a_vet_of, a_view, an_issue


def taken(snapshot) -> list[str]:
    return [action.task.id for action in plan(snapshot).actions if isinstance(action, Adopt)]


@pytest.mark.req("X7", "P65")
@pytest.mark.parametrize(("actor", "permission", "trusted"), [
    ("ann", "admin", True), ("ann", "maintain", True), ("ann", "write", True),
    ("ann", "triage", False), ("ann", "read", False), ("ann", "none", False), ("", "none", False),
    ("listed", "none", True), ("some[bot]", "admin", False), ("good[bot]", "none", True),
])
def test_only_whoever_may_write_or_stands_on_the_list_starts_work(actor, permission, trusted):
    policy = Policy(trust_users=frozenset({"listed"}), trust_bots=frozenset({"good[bot]"}))
    snapshot = a_snapshot(policy=policy, issues={1: an_issue()}, vets={1: a_vet(actor=actor, permission=permission)})
    assert taken(snapshot) == (["gh-1"] if trusted else [])
    assert [held.code for held in plan(snapshot).held] == ([] if trusted else ["untrusted"])


@pytest.mark.req("E19")
@pytest.mark.parametrize("issue", [
    an_issue(1, "other"), an_issue(state="closed"), an_issue(1, "rpi-auto", "rpi-pause"), an_issue(is_pull=True),
])
def test_what_is_not_wanted_is_not_even_vetted(issue):
    assert plan(a_snapshot(issues={1: issue}, vets={1: a_vet()})).actions == ()


def test_an_issue_of_another_person_is_left_alone_unless_configured_otherwise():
    snapshot = a_snapshot(issues={1: an_issue(assignees=("bob",))}, vets={1: a_vet()}, policy=Policy(login="bot"))
    assert taken(snapshot) == []
    assert plan(snapshot).held[0].words == "is assigned to @bob"
    assert taken(replace(snapshot, policy=Policy(login="bot", respect_assignee=False))) == ["gh-1"]
    assert taken(replace(snapshot, issues={1: an_issue(assignees=("bot",))})) == ["gh-1"]


def test_an_issue_that_changed_since_it_was_vetted_is_vetted_anew():
    stale = a_snapshot(issues={1: an_issue(updated_at=NOW)}, vets={1: a_vet()})
    assert [type(action) for action in plan(stale).actions] == [VetIssue]
    assert plan(stale).held[0].code == "vetting"


def test_a_flood_of_labels_is_asked_about_a_few_at_a_time():
    snapshot = a_snapshot(issues={n: an_issue(n) for n in range(1, 51)}, confirmed=True, busy=frozenset({"vet:99"}))
    assert len([action for action in plan(snapshot).actions if isinstance(action, VetIssue)]) == 9


@pytest.mark.req("X4")
def test_more_than_ten_on_the_first_run_want_a_word():
    issues = {n: an_issue(n) for n in range(1, 12)}
    first = a_snapshot(issues=issues, vets={n: a_vet(n) for n in issues})
    assert taken(first) == []
    assert {held.code for held in plan(first).held} == {"unconfirmed"}
    assert len(taken(replace(first, confirmed=True))) == 11
    ten = a_snapshot(issues={n: an_issue(n) for n in range(1, 11)}, vets={n: a_vet(n) for n in range(1, 11)})
    assert len(taken(ten)) == 10


def test_labels_choose_priority_provider_and_model():
    issue = an_issue(1, "rpi-auto", "priority:P3", "priority:p1", "provider:command", "model:glm-5")
    [adopt] = plan(a_snapshot(issues={1: issue}, vets={1: a_vet()})).actions
    assert (adopt.task.priority, adopt.task.provider, adopt.task.model) == (1, "command", "glm-5")


def test_a_priority_label_set_while_it_waits_moves_it_in_the_queue():
    issue = an_issue(1, "rpi-auto", "priority:P0")
    snapshot = a_snapshot(a_task(), issues={1: issue}, paused=True)
    [move] = plan(snapshot).actions
    assert (move.to, move.changes) == (None, {"priority": 0})


ENDED = [TaskState.BLOCKED, TaskState.FAILED, TaskState.CANCELLED]


@pytest.mark.req("P62")
@pytest.mark.parametrize("state", ENDED)
def test_an_ended_task_stays_ended_while_its_label_merely_stands(state):
    snapshot = a_snapshot(a_task(1, state, reason="manual_stop"), vets={1: a_vet()})
    assert [action for action in plan(snapshot).actions if isinstance(action, Move)] == []


@pytest.mark.req("P62")
@pytest.mark.parametrize("state", ENDED)
@pytest.mark.parametrize("change", [
    {"label_event_id": 11},
    {"retry_event_id": 12, "retry_actor": "ann", "retry_permission": "write", "retried_at": NOW},
])
def test_a_label_set_anew_by_a_trusted_person_sets_it_going_again(state, change):
    task = a_task(1, state, reason="max_retries", retries_used=1)
    issues = {1: an_issue(1, "rpi-auto", "rpi-retry", body="new words")}
    [move] = [one for one in plan(a_snapshot(task, issues=issues, vets={1: a_vet_of(issues[1], **change)})).actions
              if isinstance(one, Move)]
    assert move.to is TaskState.QUEUED
    assert (move.changes["retries_used"], move.changes["pin"].body) == (0, "new words")


def test_a_stranger_cannot_set_it_going_again():
    vet = a_vet(label_event_id=11, permission="read", retry_event_id=12, retry_actor="x", retry_permission="read")
    snapshot = a_snapshot(a_task(1, TaskState.BLOCKED), issues={1: an_issue(1, "rpi-auto", "rpi-retry")}, vets={1: vet})
    assert [action for action in plan(snapshot).actions if isinstance(action, Move)] == []


@pytest.mark.req("E19")
@pytest.mark.parametrize(("issue", "by"), [
    (an_issue(1, "other"), "label"), (an_issue(state="closed"), "closed"),
    (an_issue(1, "rpi-auto", "rpi-pause"), "pause"),
])
def test_a_persons_no_stops_the_running_worker_and_withdraws_what_waits(issue, by):
    task, attempt = a_running()
    snapshot = a_snapshot(task, attempts={"gh-1": (attempt,)}, views={"gh-1": a_view()}, issues={1: issue})
    [stop] = [action for action in plan(snapshot).actions if isinstance(action, StopWorker)]
    assert stop.by == by
    waiting = plan(a_snapshot(a_task(), issues={1: issue}))
    if by == "pause":
        assert waiting.waits["gh-1"].code == "paused"
    else:
        assert [action.to for action in waiting.actions] == [TaskState.CANCELLED]


def test_github_is_polled_when_due_and_left_alone_when_it_asked_for_it():
    def polls(**changes) -> list[Poll]:
        return [one for one in plan(a_snapshot(**changes)).actions if isinstance(one, Poll)]

    assert polls(poll_due=True) == [Poll((), full=False)]
    assert polls(poll_due=False) == []
    assert polls(poll_due=True, github_until=NOW + timedelta(seconds=1)) == []
    assert polls(poll_due=True, busy=frozenset({"poll"})) == []
    assert polls(poll_due=True, listed_at=NOW - timedelta(days=1)) == [Poll((), full=True)]
