"""A task in review follows its pull request: merged is done, closed needs a person."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.issue import PullState
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Move, Wait
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Move | Wait]:
    for task in s.tasks.values():
        if task.state is not TaskState.IN_REVIEW or task.pr_number is None:
            continue
        pull = s.pulls.get(task.pr_number)
        if pull is not None and pull.state is PullState.MERGED:
            yield Move(task, TaskState.DONE, "merged", f"#{pull.number} was merged")
        elif pull is not None and pull.state is PullState.CLOSED:
            yield Move(task, TaskState.BLOCKED, "pr_closed", f"#{pull.number} was closed without merging")
        else:
            yield Wait(task.id, "review", f"PR #{task.pr_number} waits for a reviewer", f"review {task.pr_url}")
