"""The claim on the repository: seen to when it is due; workers end here once another coordinator has their issues."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coordinator.domain.issue import PullRequest
from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import Running, Waiting
from coordinator.planning.actions import CLAIM_LANE, Inherit, KeepClaim, Move, StopWorker, Wait, work_lane
from coordinator.planning.snapshot import Snapshot

_S = TaskState
OVERTAKEN = frozenset({_S.QUEUED, _S.BACKOFF, _S.PUBLISHING})
"""States of a task that another coordinator may have brought to review meanwhile."""


def rule(s: Snapshot) -> Iterator[KeepClaim | StopWorker | Inherit | Wait | Move]:
    if s.claim.due is not None and s.claim.due <= s.now and s.free(CLAIM_LANE):
        yield KeepClaim()
    for task in s.tasks.values():
        if s.claim.other is not None and task.state is _S.RUNNING and task.issue is not None:
            yield from _end_worker(s, task)
        elif s.claim.open and task.state in OVERTAKEN:
            yield from _overtaken(s, task)


def _end_worker(s: Snapshot, task: Task) -> Iterator[StopWorker | Wait]:
    """Not while the holder is merely unknown: a cut of the network must not end what only this machine works on."""
    attempt = s.attempt(task.id)
    runs = isinstance(s.views.get(task.id), (Running, Waiting))
    if attempt is None or attempt.stop_asked_at is not None or not runs:
        return
    words = f"another coordinator has its issue: {s.claim.words}"
    if s.free(work_lane(task.id)):
        yield StopWorker(task, attempt, "shutdown", words, "shutdown")
    yield Wait(task.id, "stopping", f"is to be stopped: {words}", until=s.holdoff.get(work_lane(task.id)))


def _overtaken(s: Snapshot, task: Task) -> Iterator[Inherit | Wait | Move]:
    """Its pull request may stand already: that is asked before the task goes on here."""
    left = s.inheritance.branches.get(task.branch)
    if left is None or left.sha == task.pushed_sha:
        return
    lane = work_lane(task.id)
    if left.pull is None:
        if s.github_ok and s.free(lane):
            yield Inherit(task.branch, left.sha, lane, task)
        yield Wait(task.id, "moving", "what another coordinator left of it is being asked for",
                   until=s.holdoff.get(lane))
    elif (pull := s.pulls.get(left.pull)) is not None and pull.number != task.pr_number:
        yield Move(task, _S.IN_REVIEW, "pr_open", f"#{pull.number} of another coordinator stands on its branch",
                   changes=in_review(pull, left.sha))


def in_review(pull: PullRequest, sha: str) -> dict[str, Any]:
    """What a task knows of a pull request that another coordinator opened, and told of, for its branch at `sha`."""
    return {"pr_number": pull.number, "pr_url": pull.url, "pr_head_sha": pull.head_sha, "pr_draft": pull.draft,
            "pushed_sha": sha, "completed_at": None}
