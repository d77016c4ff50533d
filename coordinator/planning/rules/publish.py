"""Finished work goes out: push the branch, then find or open its pull request. Kept work is pushed without one."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import NEEDS_PERSON, Task, TaskState
from coordinator.planning import stages
from coordinator.planning.actions import Publish, Push, Wait, keep_lane, work_lane
from coordinator.planning.snapshot import Snapshot

NOT_PUSHED_FOR = frozenset({"push_refused", "secret_found", "not_scanned", "protected_path", "submodule_commit",
                            "lfs_objects", "pr_closed", "foreign_worktree"})
"""Reasons after which kept work stays local: the remote said no, or a person did."""
REFUSED = frozenset({"push_refused", "pr_refused"})
"""Reasons for which work that was judged good did not come out: another session would add nothing to it."""


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


def only_refused(s: Snapshot, task: Task) -> bool:
    """Whether its work is done and stands on its branch here, and the remote or GitHub would not have it."""
    attempt = s.attempt(task.id)
    refused = task.state is TaskState.BLOCKED and task.reason in REFUSED and not task.plan
    return refused and attempt is not None and attempt.ending in stages.WELL and bool(attempt.head_sha)


def anew(s: Snapshot, task: Task) -> dict[str, object]:
    """What it takes to bring such work out once more. A branch that is where we pushed it is pushed all the same: since
    then somebody may have deleted it there."""
    attempt = s.attempt(task.id)
    there = attempt is not None and attempt.head_sha == task.pushed_sha
    return {"pushed_sha": "", "completed_at": None} if there else {"completed_at": None}


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
