"""A task follows its pull request: merged, closed, and what a person makes of one that was closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.issue import PullRequest, PullState
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Move, Poll
from coordinator.planning.plan import plan
from tests.factories import NOW, a_pull, a_snapshot, a_task, an_issue

S, P = TaskState, PullState


def of_review(**changes: object) -> Task:
    return a_task(1, S.IN_REVIEW, reason="pr_open", pr_number=7, pr_head_sha="h" * 40, **changes)


def of_closed(**changes: object) -> Task:
    return a_task(1, S.BLOCKED, **{"reason": "pr_closed", "pr_number": 7, "pr_head_sha": "h" * 40, **changes})


def moved(task: Task, *pulls: PullRequest) -> tuple[Task, Move | None]:
    """The task after the rule, and the move that took it there."""
    made = plan(a_snapshot(task, pulls={pull.number: pull for pull in pulls}))
    [move] = [action for action in made.actions if isinstance(action, Move)] or [None]
    if move is None:
        return task, None
    after = task.move(move.to, NOW, reason=move.reason, detail=move.detail) if move.to is not None else task
    return replace(after, **move.changes), move


CLOSED = a_pull(7, P.CLOSED)
ELSEWHERE = [a_pull(9, head_owner="stranger"), a_pull(9, head_ref="rpi/gh-11"), a_pull(6), a_pull(9, P.CLOSED)]


@pytest.mark.parametrize(("task", "pulls", "state", "reason", "number"), [
    (of_review(), (), S.IN_REVIEW, "pr_open", 7),
    (of_review(), (a_pull(7),), S.IN_REVIEW, "pr_open", 7),
    (of_review(), (a_pull(7, P.MERGED),), S.DONE, "merged", 7),
    (of_review(), (CLOSED,), S.BLOCKED, "pr_closed", 7),
    (of_review(), (a_pull(7), a_pull(9)), S.IN_REVIEW, "pr_open", 7),
    (of_review(), (CLOSED, a_pull(9)), S.IN_REVIEW, "pr_open", 9),
    (of_review(), (CLOSED, a_pull(9, P.MERGED)), S.DONE, "merged", 9),
    *((of_review(), (CLOSED, other), S.BLOCKED, "pr_closed", 7) for other in ELSEWHERE),
    (of_closed(), (), S.BLOCKED, "pr_closed", 7),
    (of_closed(), (CLOSED,), S.BLOCKED, "pr_closed", 7),
    (of_closed(), (a_pull(7),), S.IN_REVIEW, "pr_open", 7),
    (of_closed(), (a_pull(7, P.MERGED),), S.DONE, "merged", 7),
    (of_closed(), (CLOSED, a_pull(9)), S.IN_REVIEW, "pr_open", 9),
    (of_closed(), (CLOSED, a_pull(8, P.MERGED), a_pull(9)), S.IN_REVIEW, "pr_open", 9),
    (of_closed(), (CLOSED, a_pull(9, P.MERGED)), S.DONE, "merged", 9),
    *((of_closed(), (CLOSED, other), S.BLOCKED, "pr_closed", 7) for other in ELSEWHERE),
    (of_closed(), (a_pull(7, P.CLOSED, head_owner=""), a_pull(9, head_owner="")), S.BLOCKED, "pr_closed", 7),
    (of_closed(reason="push_refused"), (a_pull(7),), S.BLOCKED, "push_refused", 7),
    (of_closed(pr_number=None), (a_pull(9),), S.BLOCKED, "pr_closed", None),
])
def test_where_a_pull_request_takes_its_task(task, pulls, state, reason, number):
    after, _ = moved(task, *pulls)
    assert (after.state, after.reason, after.pr_number) == (state, reason, number)


@pytest.mark.parametrize("task", [of_review(), of_closed()])
def test_of_another_pull_request_nothing_is_taken_for_told(task):
    after, move = moved(task, CLOSED, a_pull(9, draft=True))
    assert (after.pr_url, after.pr_draft, after.pr_head_sha, after.completed_at) == (
        "https://github.test/pull/9", True, "", NOW)
    assert after.detail == "#9 stands in place of #7"
    assert move is not None
    assert move.to is (None if task.state is S.IN_REVIEW else S.IN_REVIEW)


def test_one_that_was_opened_again_is_known_as_it_was():
    after, _ = moved(of_closed(), a_pull(7))
    assert (after.pr_head_sha, after.completed_at, after.detail) == ("h" * 40, NOW, "#7 was opened again")


@pytest.mark.parametrize(("task", "issue", "asked"), [
    (of_review(), an_issue(1), (7,)), (of_review(), an_issue(1, state="closed"), (7,)),
    (of_closed(), an_issue(1), (7,)), (of_closed(), an_issue(1, state="closed"), ()),
    (of_closed(reason="push_refused"), an_issue(1), ()), (a_task(1, S.DONE, pr_number=7), an_issue(1), ()),
])
def test_pull_requests_are_asked_for_while_news_of_one_would_move_a_task(task, issue, asked):
    made = plan(a_snapshot(task, issues={1: issue}, poll_due=True, listed_at=NOW - timedelta(minutes=1)))
    [poll] = [action for action in made.actions if isinstance(action, Poll)]
    assert poll.awaited == asked
