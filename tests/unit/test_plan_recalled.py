"""Tasks that outlived the loss of the memory, as the planner sees them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.issue import PullState
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.planning.actions import Adopt, Begin, Move, VetIssue
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import NO_LABEL, Gate
from tests.factories import NOW, a_pull, a_snapshot, a_task, a_vet, an_issue

_S = TaskState
LOST = Pin("Mend", "", "", 0, "")


def lost(state: TaskState = _S.QUEUED, **fields: object) -> Task:
    return a_task(1, state, **{"pin": LOST, "attempts": 1, "state_since": NOW - timedelta(hours=1), **fields})


def moved(task: Task, *, vetted: bool = True, **vet: object) -> list[object]:
    issue = an_issue(1)
    vets = {1: a_vet(1, **{"issue_updated_at": issue.updated_at, **vet})} if vetted else {}
    made = plan(a_snapshot(task, issues={1: issue}, vets=vets))
    return [one for one in made.actions if isinstance(one, (Move, VetIssue, Begin))]


def test_its_words_are_pinned_anew_before_it_starts_and_then_it_starts():
    assert [type(one) for one in moved(lost(), vetted=False)] == [VetIssue]
    [pinned] = moved(lost())
    assert isinstance(pinned, Move)
    pin = pinned.changes["pin"]
    assert (pin.actor, pin.title, pinned.to) == ("ann", an_issue(1).title, None)
    assert [type(one) for one in moved(lost(pin=pin))] == [Begin]


def test_a_label_that_had_set_it_going_before_the_loss_does_not_do_so_again():
    events = [moved(lost(last_retry_event_id=12), retry_event_id=event)[0].changes["last_retry_event_id"]
              for event in (0, 11, 13)]
    assert events == [12, 12, 13]


def test_a_label_of_somebody_who_may_not_start_work_holds_it_with_words():
    issue = an_issue(1)
    vet = a_vet(1, issue_updated_at=issue.updated_at, actor="stranger", permission="read")
    made = plan(a_snapshot(lost(), issues={1: issue}, vets={1: vet}))
    assert [one for one in made.actions if isinstance(one, (Move, Begin))] == []
    assert (made.waits["gh-1"].code, "@stranger, who has read permission" in made.waits["gh-1"].words) == ("untrusted",
                                                                                                          True)


@pytest.mark.parametrize("state", [_S.BLOCKED, _S.FAILED, _S.CANCELLED])
@pytest.mark.parametrize(("event", "hours", "again"), [(0, -2, False), (0, 1, True), (5, 1, False), (4, -2, True)])
def test_a_label_that_stood_there_before_starts_nothing_that_had_come_to_rest(
    state: TaskState, event: int, hours: int, again: bool
):
    """Where the event is not known any more, the label's time is held against the task's."""
    task = lost(state, pin=replace(LOST, label_event_id=event), completed_at=NOW)
    since = task.state_since + timedelta(hours=hours)
    assert bool(moved(task, label_event_id=5, labelled_at=since)) is again


@pytest.mark.parametrize(("pulls", "state", "reason"), [
    ((PullState.OPEN,), "IN_REVIEW", "pr_open"), ((PullState.MERGED,), "DONE", "merged"),
    ((PullState.CLOSED,), "BLOCKED", "pr_closed"), ((PullState.CLOSED, PullState.OPEN), "IN_REVIEW", "pr_open"),
    ((PullState.OPEN, PullState.CLOSED), "IN_REVIEW", "pr_open"), ((), "BLOCKED", "store_rebuilt"),
])
def test_earlier_work_of_which_only_run_files_tell_stands_as_its_pull_request_does(
    pulls: tuple[PullState, ...], state: str, reason: str
):
    issue = an_issue(1)
    known = {number: a_pull(number, one) for number, one in enumerate(pulls, 7)}
    vets = {1: a_vet(1, issue_updated_at=issue.updated_at)}
    made = plan(a_snapshot(issues={1: issue}, vets=vets, pulls=known, recalled={"gh-1": 3}))
    [task] = [one.task for one in made.actions if isinstance(one, Adopt)]
    assert (str(task.state), task.reason, task.attempts) == (state, reason, 3)
    assert (task.pr_number is not None) == bool(pulls)


@pytest.mark.parametrize("state", [_S.QUEUED, _S.BACKOFF])
def test_a_label_that_is_gone_from_the_repository_withdraws_nobody(state: TaskState):
    issue, task = an_issue(1, "other"), a_task(1, state)
    for gates, cancelled in (((Gate(NO_LABEL, "gone"),), []), ((), ["label_removed"])):
        made = plan(a_snapshot(task, issues={1: issue}, floors=gates))
        assert [one.reason for one in made.actions if isinstance(one, Move) and one.to is _S.CANCELLED] == cancelled
        assert not [one for one in made.actions if isinstance(one, Begin)]
