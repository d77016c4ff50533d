"""Worktrees that are no longer needed go after their grace time; a troubled root is cleaned up; once a day what
has become too old is swept out. Where room is short, merged work goes at once."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.request import Request
from coordinator.domain.room import OF_A_FOLDER
from coordinator.domain.task import ACTIVE, NEEDS_PERSON, PENDING, Task, TaskState
from coordinator.planning.actions import CLEAN_LANE, Answer, CleanUp, Reclaim, Sweep, Tidy, room_lane, work_lane
from coordinator.planning.berths import LOCAL
from coordinator.planning.rules.dispatch import gone
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Tidy | CleanUp | Sweep | Reclaim]:
    if s.worktree_errors > s.policy.max_worktree_errors and s.free(CLEAN_LANE):
        yield CleanUp(keep=needed(s), why=f"{s.worktree_errors} worktree errors")
    for task in s.tasks.values():
        if _ripe(s, task) and not task.tidied and task.worktree and s.free(work_lane(task.id)) and not _rests(s, task):
            yield Tidy(task)
    yield from _room(s)
    due = s.swept_at is None or s.now - s.swept_at >= s.policy.sweep
    if due and not s.draining and s.free(CLEAN_LANE):
        yield Sweep()


def _rests(s: Snapshot, task: Task) -> bool:
    known = s.untidied.get(task.id)
    return known is not None and known.until > s.now


def _room(s: Snapshot) -> Iterator[Reclaim]:
    """The janitor, before anybody is called: at once where files are what there is too little room for, then again
    after a rest. In the folder of plans' worktrees nothing is merged work."""
    for host, gates in {LOCAL: s.floors, **{name: held for name, held in s.short.items() if name}}.items():
        why = "; ".join(one.words for one in gates if one.code in OF_A_FOLDER and not one.elsewhere)
        if why and s.free(room_lane(host)) and (host or s.free(CLEAN_LANE)):
            yield Reclaim(host, reclaimable(s, host), why)


def reclaimable(s: Snapshot, host: str) -> tuple[Task, ...]:
    """Merged work whose worktree there nobody needs to look at any more: its last attempt ended well, nobody stopped
    it, and no process of it is left. Whether the tree is clean is found out when it is removed."""
    return tuple(task for task in s.tasks.values() if _merged(s, task) and task.id not in {*s.views, *s.survivors}
                 and s.free(work_lane(task.id)) and _stands(s, task, host))


def _merged(s: Snapshot, task: Task) -> bool:
    pull, last = s.pulls.get(task.pr_number or 0), s.attempt(task.id)
    return (task.state is TaskState.DONE and pull is not None and pull.state is PullState.MERGED
            and last is not None and last.ending is Ending.SUCCEEDED)


def _stands(s: Snapshot, task: Task, host: str) -> bool:
    if host:
        return any(one.host == host for one in s.attempts.get(task.id, ()))
    return bool(task.worktree) and not task.tidied


def asked(s: Snapshot, request: Request) -> Iterator[Tidy | Answer]:
    """What a person wants tidied before its grace time: the worktrees of the ended tasks that are named, of no other
    and of none that is wanted still."""
    named = [s.tasks[name] for name in request.args["tasks"].split() if name in s.tasks]
    over = [task for task in named if task.state in NEEDS_PERSON and task.id not in {*s.views, *s.survivors}]
    since = min(request.asked_at, s.now)   # of a clock that was set back
    stuck = {task.id: known.words for task in over
             if task.worktree and (known := s.untidied.get(task.id)) is not None and known.at >= since}
    left = [task for task in over if task.worktree and task.id not in stuck]
    for task in left:
        if s.free(work_lane(task.id)):
            yield Tidy(task)
    if not left:
        others = [task.id for task in named if task not in over]
        kept = f"; left alone: {', '.join(others)}" if others else ""
        kept += "".join(f"; {task_id} was not removed: {words}" for task_id, words in stuck.items())
        yield Answer(request, f"no worktree of {len(over) - len(stuck)} ended tasks is left{kept}")


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
