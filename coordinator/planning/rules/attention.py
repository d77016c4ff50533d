"""What a person should hear of at once: each cause once, not each time it is seen."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.task import TaskState
from coordinator.planning.actions import NOTIFY_LANE, Notify
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Notify]:
    """At most one a plan: the lane is one, and what is still true is proposed again."""
    if s.free(NOTIFY_LANE):
        yield from (notice for notice in _causes(s) if notice.key not in s.notified)


def _causes(s: Snapshot) -> Iterator[Notify]:
    if s.worktree_errors > s.policy.max_worktree_errors:
        yield Notify(f"worktrees:{s.errors_reset_at or 'ever'}",
                     f"worktree trouble: {s.worktree_errors} errors; dead worktrees are being cleaned up",
                     "coordinator doctor")
    for task_id, pids in s.survivors.items():
        names = " ".join(str(pid) for pid in pids)
        yield Notify(f"leaked:{task_id}:{names}", f"{task_id}: killed, yet processes live on: {names}",
                     f"kill -9 {names}")
    for name, parked in s.parked.items():
        if parked.until > s.now:
            yield Notify(f"parked:{name}:{parked.until:%Y-%m-%d}",
                         f"{name} is parked until {parked.until:%Y-%m-%d %H:%M} UTC: {parked.words}",
                         "coordinator status")
    for task in s.tasks.values():
        if task.state is TaskState.BLOCKED:
            yield Notify(f"blocked:{task.id}:{task.attempts}:{task.reason}",
                         f"{task.id} is blocked: {task.reason}: {task.detail[:200]}", f"coordinator why {task.id}")
