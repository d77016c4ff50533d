"""Finished work goes out: push the branch, then find or open its pull request. Kept work is pushed without one."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import NEEDS_PERSON, Task, TaskState
from coordinator.planning.actions import Publish, Push, Wait, keep_lane, work_lane
from coordinator.planning.snapshot import Snapshot

NOT_PUSHED_FOR = frozenset({"push_refused", "secret_found", "not_scanned", "protected_path", "submodule_commit",
                            "pr_closed", "foreign_worktree"})
"""Reasons after which kept work stays local: the remote said no, or a person did."""


def rule(s: Snapshot) -> Iterator[Push | Publish | Wait]:
    for task in s.tasks.values():
        attempt = s.attempt(task.id)
        if attempt is None:
            continue
        if task.state is TaskState.PUBLISHING and not task.plan:
            yield from _publish(s, task, attempt)
        elif keeps(s, task, attempt) and s.github_ok and s.free(work_lane(task.id)) and s.free(keep_lane(task.id)):
            yield Push(task, attempt, wip=True)


def _publish(s: Snapshot, task: Task, attempt: Attempt) -> Iterator[Push | Publish | Wait]:
    lane = work_lane(task.id)
    if not s.github_ok:
        yield Wait(task.id, "github", f"cannot publish yet: {s.github_words}", "coordinator doctor", s.github_until)
    elif not s.free(lane):
        yield Wait(task.id, "publishing", "its work is being pushed and its pull request opened",
                   until=s.holdoff.get(lane))
    elif attempt.commits and attempt.head_sha != task.pushed_sha:
        yield Push(task, attempt, wip=False)
    else:
        yield Publish(task, attempt)


def keeps(s: Snapshot, task: Task, attempt: Attempt) -> bool:
    """Stopped, timed-out and blocked work of an issue goes to its branch, so that it cannot be lost here."""
    return (
        s.policy.push_wip
        and task.issue is not None
        and task.state in NEEDS_PERSON
        and task.reason not in NOT_PUSHED_FOR
        and attempt.commits > 0
        and bool(attempt.head_sha)
        and attempt.head_sha != task.pushed_sha
        and not task.withheld
    )
