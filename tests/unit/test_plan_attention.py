"""What a person is told of, once a cause."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.domain.task import TaskState
from coordinator.planning.actions import CleanUp, Notify
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Parked
from tests.factories import NOW, a_snapshot, a_task


def told(snapshot) -> list[Notify]:
    return [action for action in plan(snapshot).actions if isinstance(action, Notify)]


@pytest.mark.req("A94", "E49")
def test_worktree_trouble_is_told_once_and_cleaned_up():
    snapshot = a_snapshot(worktree_errors=11)
    [notice] = told(snapshot)
    assert "11 errors" in notice.words
    assert [type(action) for action in plan(snapshot).actions if not isinstance(action, Notify)] == [CleanUp]
    assert told(a_snapshot(worktree_errors=11, notified=frozenset({notice.key}))) == []
    [again] = told(a_snapshot(worktree_errors=11, errors_reset_at="2026-03-02", notified=frozenset({notice.key})))
    assert again.key != notice.key
    assert told(a_snapshot(worktree_errors=10)) == []


@pytest.mark.parametrize("change", [
    {"survivors": {"gh-1": (4711,)}},
    {"parked": {"command": Parked(NOW + timedelta(hours=1), "usage limit")}},
])
def test_leaks_and_parked_providers_are_told(change):
    assert len(told(a_snapshot(**change))) == 1


def test_a_task_blocked_again_by_a_later_attempt_is_told_again():
    [first] = told(a_snapshot(a_task(1, TaskState.BLOCKED, reason="max_retries", attempts=2)))
    [second] = told(a_snapshot(a_task(1, TaskState.BLOCKED, reason="max_retries", attempts=4), notified={first.key}))
    assert second.cure == "coordinator why gh-1"
