"""What people ask from outside is done once and answered once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Adopt, Answer, CleanUp, Launch, Move, StopWorker, Tidy
from coordinator.planning.plan import plan
from coordinator.planning.rules.tidy import living
from coordinator.planning.snapshot import Untidied
from tests.factories import NOW, a_request, a_running, a_snapshot, a_task, a_view, an_attempt, an_issue

STOP = a_request(RequestKind.STOP, reason="wrong branch")


def of(kind: type, snapshot) -> list:
    return [action for action in plan(snapshot).actions if isinstance(action, kind)]


def test_stop_ends_the_worker_and_is_not_asked_twice():
    task, attempt = a_running()
    snapshot = a_snapshot(task, attempts={"gh-1": (attempt,)}, views={"gh-1": a_view()}, requests=(STOP,))
    [stop] = of(StopWorker, snapshot)
    assert (stop.reason, stop.words, stop.by, stop.request) == ("manual_stop", "wrong branch", "request", STOP)


@pytest.mark.req("P52")
def test_a_worker_whose_launch_was_never_recorded_is_recorded_before_it_is_stopped():
    task = a_task(1, TaskState.PREPARING)
    attempts = {"gh-1": (an_attempt(prepared_at=NOW),)}
    snapshot = a_snapshot(task, attempts=attempts, views={"gh-1": a_view()}, requests=(STOP,))
    assert [type(one) for one in plan(snapshot).actions] == [Launch]


@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.BACKOFF, TaskState.PUBLISHING, TaskState.IN_REVIEW])
def test_stop_cancels_what_has_no_worker(state):
    [move] = of(Move, a_snapshot(a_task(1, state), requests=(STOP,)))
    assert (move.to, move.reason, move.request) == (TaskState.CANCELLED, "manual_stop", STOP)


@pytest.mark.parametrize(("request_", "words"), [
    (a_request(RequestKind.STOP, "gh-9"), "there is no task gh-9"),
    (a_request(RequestKind.RETRY), "gh-1 is QUEUED: nothing to try again"),
    (a_request(RequestKind.RETRY, provider="x"), "there is no provider 'x' here (known: claude, command)"),
])
def test_what_cannot_be_done_is_answered(request_, words):
    assert [one.words for one in of(Answer, a_snapshot(a_task(), requests=(request_,)))] == [words]


def test_a_line_added_by_hand_becomes_one_task_even_if_we_died_before_the_answer():
    request = a_request(RequestKind.ADD, "", 5, title="By hand")
    [adopt] = of(Adopt, a_snapshot(requests=(request,)))
    assert (adopt.task.id, adopt.task.title) == ("m-1", "By hand")
    again = a_snapshot(adopt.task, requests=(request,), next_manual=2)
    assert of(Adopt, again) == []
    assert [one.words for one in of(Answer, again)] == ["m-1 is queued"]


@pytest.mark.req("E49", "E50", "P59")
def test_more_than_ten_worktree_errors_clean_up_and_spare_whatever_lives():
    over = NOW - timedelta(days=2)
    tasks = [a_task(number, state, state_since=over) for number, state in enumerate(TaskState, 1)]
    assert of(CleanUp, a_snapshot(*tasks, worktree_errors=10)) == []
    [clean] = of(CleanUp, a_snapshot(*tasks, worktree_errors=11))
    resting = {TaskState.DONE, TaskState.IN_REVIEW, TaskState.BLOCKED, TaskState.FAILED, TaskState.CANCELLED}
    assert clean.keep == {task.id for task in tasks if task.state not in resting}
    [leaked] = of(CleanUp, a_snapshot(*tasks, worktree_errors=11, survivors={"gh-8": (4711,)}))
    assert leaked.keep == clean.keep | {"gh-8"}
    [asked] = of(CleanUp, a_snapshot(*tasks, requests=(a_request(RequestKind.CLEAN, ""),)))
    assert asked.keep == {task.id for task in tasks if task.state is not TaskState.DONE}   # a person's words are milder


def test_a_worktree_goes_a_day_after_its_work_is_over():
    done = a_task(1, TaskState.DONE, worktree="trees/gh-1", state_since=NOW - timedelta(days=1))
    failed = a_task(2, TaskState.FAILED, worktree="trees/gh-2", state_since=NOW - timedelta(days=9))
    assert [one.task.id for one in of(Tidy, a_snapshot(done, failed))] == ["gh-1"]
    closed = a_snapshot(done, failed, issues={2: an_issue(2, state="closed")}, now=NOW - timedelta(seconds=1))
    assert [one.task.id for one in of(Tidy, closed)] == ["gh-2"]
    assert living(closed) == {"gh-1"}   # a second before its day is over
    unlisted = replace(closed, issues={})   # closed while we were away: a full listing holds open ones only
    assert [one.task.id for one in of(Tidy, unlisted)] == ["gh-2"]
    assert of(Tidy, replace(unlisted, listed_at=None)) == []   # nothing was listed yet: nothing is known
    assert living(replace(closed, now=NOW)) == frozenset()


def test_an_issue_that_github_no_longer_lists_takes_its_task_back():
    task, attempt = a_running()
    running = a_snapshot(task, attempts={"gh-1": (attempt,)}, views={"gh-1": a_view()}, issues={})
    assert [one.reason for one in of(StopWorker, running)] == ["issue_closed"]
    assert [one.to for one in of(Move, a_snapshot(a_task(), issues={}))] == [TaskState.CANCELLED]
    assert of(Move, a_snapshot(a_task(), issues={}, listed_at=None)) == []


def test_a_person_who_names_a_provider_that_failed_it_gets_it():
    task = a_task(provider="command", spent=("command", "claude"))
    [move] = plan(a_snapshot(task, requests=(a_request(RequestKind.RETRY, provider="claude"),))).actions
    assert (move.changes["provider"], move.changes["spent"]) == ("claude", ())


def ended(number: int, state: TaskState = TaskState.FAILED):
    return a_task(number, state, worktree=f"/w/gh-{number}")


def clean(*names: str):
    return a_request(RequestKind.CLEAN, "", tasks=" ".join(names))


@pytest.mark.req("D76")
def test_the_worktrees_of_the_named_failed_and_cancelled_tasks_go_and_no_others():
    tasks = (ended(1), ended(2, TaskState.CANCELLED), ended(3), ended(4, TaskState.IN_REVIEW))
    snapshot = a_snapshot(*tasks, requests=(clean("gh-1", "gh-2", "gh-4", "gh-9"),))
    assert [one.task.id for one in of(Tidy, snapshot)] == ["gh-1", "gh-2"]
    assert of(Answer, snapshot) == []
    assert of(CleanUp, snapshot) == []


def test_a_named_clean_is_answered_once_nothing_is_left_and_says_what_was_left_alone():
    tasks = (a_task(1, TaskState.FAILED), ended(4, TaskState.IN_REVIEW))
    [answer] = of(Answer, a_snapshot(*tasks, requests=(clean("gh-1", "gh-4"),)))
    assert answer.words == "no worktree of 1 ended tasks is left; left alone: gh-4"


def stuck(ago: float, rest: float = 60) -> Untidied:
    at = NOW - timedelta(seconds=ago)
    return Untidied(at, "Permission denied: /w/gh-1/x", at + timedelta(seconds=rest))


@pytest.mark.parametrize(("ago", "rest", "tried"), [(30, 60, False), (60, 60, True), (90, 60, True)])
def test_a_worktree_that_could_not_be_removed_rests_and_others_go_meanwhile(ago, rest, tried):
    done = [a_task(number, TaskState.DONE, worktree=f"/w/gh-{number}", state_since=NOW - timedelta(days=9))
            for number in (1, 2)]
    snapshot = a_snapshot(*done, untidied={"gh-1": stuck(ago, rest)})
    assert [one.task.id for one in of(Tidy, snapshot)] == (["gh-1", "gh-2"] if tried else ["gh-2"])


def test_a_named_clean_tries_it_at_once_and_says_why_it_did_not_go():
    request = replace(clean("gh-1", "gh-2"), asked_at=NOW - timedelta(seconds=5))
    tasks = (ended(1), a_task(2, TaskState.FAILED))
    before = a_snapshot(*tasks, requests=(request,), untidied={"gh-1": stuck(ago=6)})
    assert ([one.task.id for one in of(Tidy, before)], of(Answer, before)) == (["gh-1"], [])
    after = a_snapshot(*tasks, requests=(request,), untidied={"gh-1": stuck(ago=4)})
    [answer] = of(Answer, after)
    assert (of(Tidy, after), answer.words) == (
        [], "no worktree of 1 ended tasks is left; gh-1 was not removed: Permission denied: /w/gh-1/x")


def test_a_clock_that_was_set_back_makes_no_named_clean_try_for_ever():
    request = replace(clean("gh-1"), asked_at=NOW + timedelta(hours=1))
    assert [one.task.id for one in of(Tidy, a_snapshot(ended(1), requests=(request,)))] == ["gh-1"]
    after = a_snapshot(ended(1), requests=(request,), untidied={"gh-1": stuck(ago=0)})
    assert (of(Tidy, after), len(of(Answer, after))) == ([], 1)


def test_the_worktree_of_a_task_whose_processes_live_on_stays():
    snapshot = a_snapshot(ended(1), survivors={"gh-1": (7,)}, requests=(clean("gh-1"),))
    assert of(Tidy, snapshot) == []
