"""Tasks of plan files after their agent: what passes its gate is merged into the plan's branch, and a plan that is
merged whole is delivered, one push and one pull request a repository."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.planfile import Undertaking
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Deliver, Join, Look, Wait, look_lane, plan_lane, work_lane
from coordinator.planning.plans import delivering
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Join | Deliver | Look | Wait]:
    for task in s.tasks.values():
        if task.plan and task.state is TaskState.PUBLISHING:
            yield from _join(s, task)
    for under in s.plans.values():
        tasks = _tasks(s, under)
        if delivering.whole(under, tasks):
            for name in under.deliveries:
                yield from _deliver(s, under, name)
        else:
            yield from _look(s, tasks)


def _tasks(s: Snapshot, under: Undertaking) -> list[Task]:
    return [task for one in under.plan.tasks if (task := s.tasks.get(under.key(one))) is not None]


def _join(s: Snapshot, task: Task) -> Iterator[Join | Wait]:
    attempt, lane = s.attempt(task.id), work_lane(task.id)
    if attempt is not None and s.free(lane) and not _going_out(s, task):
        yield Join(task, attempt)
    yield Wait(task.id, "joining", "its work is validated and merged into the plan's branch",
               until=s.holdoff.get(lane))


def _going_out(s: Snapshot, task: Task) -> bool:
    """Whether its plan's branch is being pushed: what comes in meanwhile would go out though nobody decided on it."""
    under = s.plans.get(task.plan)
    one = under.task_of(task.id) if under is not None else None
    return under is not None and one is not None and plan_lane(under.id, one.repo) in s.busy


def _deliver(s: Snapshot, under: Undertaking, name: str) -> Iterator[Deliver]:
    action = Deliver(under.id, name, delivering.load(under))
    if delivering.awaited(under.deliveries[name]) and s.free(action.lane):
        yield action


def _look(s: Snapshot, tasks: list[Task]) -> Iterator[Look]:
    """Which files running tasks have changed so far, while another of the plan waits to start."""
    if not any(task.state is TaskState.QUEUED for task in tasks):
        return
    for task in tasks:
        attempt = s.attempt(task.id)
        running = task.state is TaskState.RUNNING and attempt is not None and attempt.prepared_at is not None
        if running and attempt is not None and s.free(look_lane(task.id)) and task.id not in s.evidence:
            yield Look(task, attempt)
