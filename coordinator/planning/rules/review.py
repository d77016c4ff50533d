"""A task in review follows its pull request: merged is done, closed needs a person. What a person closed is followed
further: opened again, or replaced by another of the same branch, it is in review again."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.issue import PullRequest, PullState
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Move, Wait
from coordinator.planning.snapshot import Snapshot

_S = TaskState
CLOSED = "pr_closed"


def rule(s: Snapshot) -> Iterator[Move | Wait]:
    for task in s.tasks.values():
        if task.pr_number is None or not (task.state is _S.IN_REVIEW or _closed(task)):
            continue
        own = s.pulls.get(task.pr_number)
        pull = _successor(s, own) if own is not None and own.state is PullState.CLOSED else own
        if pull is not None and pull.state is PullState.MERGED:
            yield Move(task, _S.DONE, "merged", f"#{pull.number} was merged", _known(s, task, pull))
        elif pull is not None and pull.number != task.pr_number:
            to = None if task.state is _S.IN_REVIEW else _S.IN_REVIEW
            words = f"#{pull.number} stands in place of #{task.pr_number}"
            yield Move(task, to, "pr_open", words, {**_known(s, task, pull), "detail": words})
        elif _closed(task):
            if pull is not None:
                yield Move(task, _S.IN_REVIEW, "pr_open", f"#{pull.number} was opened again", _known(s, task, pull))
        elif own is not None and own.state is PullState.CLOSED:
            yield Move(task, _S.BLOCKED, CLOSED, f"#{own.number} was closed without merging")
        else:
            yield Wait(task.id, "review", f"PR #{task.pr_number} waits for a reviewer", f"review {task.pr_url}")


def awaited(s: Snapshot) -> tuple[int, ...]:
    """The numbers of the pull requests whose news would move a task, ascending. Of one that was closed for as long as
    its issue is open."""
    return tuple(sorted({task.pr_number for task in s.tasks.values()
                         if task.pr_number is not None and (task.state is _S.IN_REVIEW or _open_yet(s, task))}))


def _open_yet(s: Snapshot, task: Task) -> bool:
    issue = s.issue_of(task)
    return _closed(task) and issue is not None and issue.open


def _closed(task: Task) -> bool:
    return task.state is _S.BLOCKED and task.reason == CLOSED


def _successor(s: Snapshot, own: PullRequest) -> PullRequest | None:
    """The newest pull request that was opened since of the same branch and not closed. Its holder counts too: in a fork
    anybody may call a branch like ours."""
    of_branch = (pull for pull in s.pulls.values() if pull.number > own.number and pull.state is not PullState.CLOSED
                 and (pull.head_owner, pull.head_ref) == (own.head_owner, own.head_ref))
    return max(of_branch, key=lambda pull: pull.number, default=None) if own.head_owner else None


def _known(s: Snapshot, task: Task, pull: PullRequest) -> dict[str, object]:
    """What the task knows of the pull request that counts now. Another one was not told yet what it carries."""
    if pull.number != task.pr_number:
        return {"pr_number": pull.number, "pr_url": pull.url, "pr_draft": pull.draft, "pr_head_sha": "",
                "completed_at": s.now}
    return {"completed_at": s.now} if _closed(task) else {}
