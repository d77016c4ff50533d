"""A stage whose work a person must approve: the label counts when somebody who may set it did so after the stage."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.task import TaskState
from coordinator.planning.actions import AskApproval, approval_lane
from coordinator.planning.snapshot import Snapshot
from coordinator.planning.stages import APPROVAL
from coordinator.planning.trust import ONE_CHANGE


def rule(s: Snapshot) -> Iterator[AskApproval]:
    for task in s.tasks.values():
        issue, attempt = s.issue_of(task), s.attempt(task.id)
        if task.state is not TaskState.QUEUED or task.reason != APPROVAL or issue is None or attempt is None:
            continue
        told = s.refused.get(task.id)
        known = told is not None and told.issue_updated_at == issue.updated_at
        unsure = told is not None and not told.sure and s.now - issue.updated_at >= ONE_CHANGE
        set_now = s.policy.labels.approved in issue.labels
        if set_now and (not known or unsure) and s.github_ok and s.free(approval_lane(task.id)):
            yield AskApproval(task, attempt, issue)
