"""Worktrees that are no longer needed go after their grace time; a troubled root is cleaned up."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.task import NEEDS_PERSON, Task, TaskState
from coordinator.planning.actions import CLEAN_LANE, CleanUp, Tidy, work_lane
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Tidy | CleanUp]:
    if s.worktree_errors > s.policy.max_worktree_errors and s.free(CLEAN_LANE):
        yield CleanUp(keep=living(s), why=f"{s.worktree_errors} worktree errors")
    for task in s.tasks.values():
        over = task.state is TaskState.DONE or _closed(s, task)
        ripe = over and s.now - task.state_since >= s.policy.tidy_after
        if ripe and not task.tidied and task.worktree and s.free(work_lane(task.id)):
            yield Tidy(task)


def living(s: Snapshot) -> frozenset[str]:
    """Tasks whose worktree must not be touched: everything that may still be worked on."""
    return frozenset(task.id for task in s.tasks.values() if task.state is not TaskState.DONE and not _closed(s, task))


def _closed(s: Snapshot, task: Task) -> bool:
    issue = s.issue_of(task)
    return task.state in NEEDS_PERSON and issue is not None and not issue.open
