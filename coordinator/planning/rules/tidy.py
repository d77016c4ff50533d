"""Worktrees that are no longer needed go after their grace time; a troubled root is cleaned up; once a day what
has become too old is swept out."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.request import Request
from coordinator.domain.task import ACTIVE, NEEDS_PERSON, PENDING, Task, TaskState
from coordinator.planning.actions import CLEAN_LANE, Answer, CleanUp, Sweep, Tidy, work_lane
from coordinator.planning.rules.dispatch import gone
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Tidy | CleanUp | Sweep]:
    if s.worktree_errors > s.policy.max_worktree_errors and s.free(CLEAN_LANE):
        yield CleanUp(keep=needed(s), why=f"{s.worktree_errors} worktree errors")
    for task in s.tasks.values():
        if _ripe(s, task) and not task.tidied and task.worktree and s.free(work_lane(task.id)):
            yield Tidy(task)
    due = s.swept_at is None or s.now - s.swept_at >= s.policy.sweep
    if due and not s.draining and s.free(CLEAN_LANE):
        yield Sweep()


def asked(s: Snapshot, request: Request) -> Iterator[Tidy | Answer]:
    """What a person wants tidied before its grace time: the worktrees of the ended tasks that are named, of no other
    and of none that is wanted still."""
    named = [s.tasks[name] for name in request.args["tasks"].split() if name in s.tasks]
    over = [task for task in named if task.state in NEEDS_PERSON and task.id not in {*s.views, *s.survivors}]
    left = [task for task in over if task.worktree]
    for task in left:
        if s.free(work_lane(task.id)):
            yield Tidy(task)
    if not left:
        others = [task.id for task in named if task not in over]
        kept = f"; left alone: {', '.join(others)}" if others else ""
        yield Answer(request, f"no worktree of {len(over)} ended tasks is left{kept}")


def living(s: Snapshot) -> frozenset[str]:
    """Tasks whose worktree must not be touched: all that may still be worked on, and what is in its grace time."""
    return frozenset(task.id for task in s.tasks.values() if not _ripe(s, task))


def needed(s: Snapshot) -> frozenset[str]:
    """Tasks whose worktree must not be touched even in a troubled root, where no grace time counts: worked on or
    published now, or next in line. What a person must look at first has its branch, and its changes a rescue ref."""
    return frozenset(task.id for task in s.tasks.values() if task.state in ACTIVE | PENDING or task.id in s.survivors)


def _ripe(s: Snapshot, task: Task) -> bool:
    if _delivered(s, task):   # a grace time is for work that a person may still look at in its worktree
        return True
    return _over(s, task) and s.now - task.state_since >= s.policy.tidy_after


def _delivered(s: Snapshot, task: Task) -> bool:
    """Whether a plan's task is merged, and its plan's branch with it on the remote."""
    under = s.plans.get(task.plan)
    one = under.task_of(task.id) if under is not None else None
    delivery = under.deliveries.get(one.repo) if under is not None and one is not None else None
    return task.state is TaskState.DONE and delivery is not None and delivery.delivered_at is not None


def _over(s: Snapshot, task: Task) -> bool:
    return task.state is TaskState.DONE or _closed(s, task)


def _closed(s: Snapshot, task: Task) -> bool:
    """Its issue was closed, or is not among the open ones any more: closed or moved while we were away."""
    issue = s.issue_of(task)
    return task.state in NEEDS_PERSON and (gone(s, task) if issue is None else not issue.open)
