"""A task and the one table of its moves. `Task.move` refuses every edge that is not in the table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

TASK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class TaskState(StrEnum):
    QUEUED = "QUEUED"
    PREPARING = "PREPARING"
    RUNNING = "RUNNING"
    PUBLISHING = "PUBLISHING"
    IN_REVIEW = "IN_REVIEW"
    DONE = "DONE"
    BACKOFF = "BACKOFF"
    BLOCKED = "BLOCKED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


_S = TaskState
MOVES: dict[TaskState, frozenset[TaskState]] = {
    _S.QUEUED: frozenset({_S.PREPARING, _S.IN_REVIEW, _S.CANCELLED, _S.BLOCKED}),
    _S.PREPARING: frozenset({_S.RUNNING, _S.QUEUED, _S.BACKOFF, _S.BLOCKED, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.PUBLISHING, _S.QUEUED, _S.BACKOFF, _S.BLOCKED, _S.FAILED, _S.CANCELLED}),
    _S.PUBLISHING: frozenset({_S.IN_REVIEW, _S.DONE, _S.BACKOFF, _S.BLOCKED, _S.CANCELLED}),
    _S.IN_REVIEW: frozenset({_S.DONE, _S.QUEUED, _S.BLOCKED, _S.CANCELLED}),
    _S.BACKOFF: frozenset({_S.QUEUED, _S.IN_REVIEW, _S.BLOCKED, _S.CANCELLED}),
    _S.BLOCKED: frozenset({_S.QUEUED, _S.PUBLISHING, _S.IN_REVIEW, _S.DONE}),
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.CANCELLED: frozenset({_S.QUEUED}),
    _S.DONE: frozenset(),
}
"""The moves. From BLOCKED, FAILED and CANCELLED only a person moves a task: to the queue, or, where its work was held
back, out with it as it is; where its pull request was closed, back to review by opening it again. From QUEUED and
BACKOFF it comes to review where another coordinator brought it there."""

HOLDS_SLOT = frozenset({_S.PREPARING, _S.RUNNING})
ACTIVE = frozenset({_S.PREPARING, _S.RUNNING, _S.PUBLISHING})
PENDING = frozenset({_S.QUEUED, _S.BACKOFF})
COMPLETED = frozenset({_S.IN_REVIEW, _S.DONE})
NEEDS_PERSON = frozenset({_S.BLOCKED, _S.FAILED, _S.CANCELLED})
ENDED = frozenset({_S.DONE}) | NEEDS_PERSON
UNSTARTED = PENDING
_WITH_WHAT_IT_HAS = frozenset({_S.PUBLISHING, _S.IN_REVIEW})


class IllegalMove(Exception):
    """An edge that is not in MOVES: a bug of ours, never an operator's fault."""


@dataclass(frozen=True)
class Pin:
    """What was approved when the label was set: the prompt is rendered from these words alone.

    `label_event_id` is the event that approved it; for a task without an issue, the request that asked for it.
    `begun` is how many attempts had been begun when the words were pinned.
    """

    title: str
    body: str
    sha256: str
    label_event_id: int
    actor: str
    labelled_at: datetime | None = None
    begun: int = 0


@dataclass(frozen=True)
class Task:
    """One piece of work. `version` grows by one with every saved move (compare-and-swap).

    `priority` is 0 (first) to 3; `attempts` counts sessions ever begun, `retries_used` those charged to the
    retry budget since a person last set the task going. `retry_at` is when BACKOFF ends. `pushed_sha` is the
    last commit of the branch that we pushed; `pr_*` record the pull request that was found or opened; `spent` are
    the providers that failed it since a person last set it going, as another one need not. `plan` is the plan it
    belongs to ("" = none) and `repo` the checkout it is worked on in ("" = the managed one). `stage` is the place in
    its workflow, from 0, and `sent_back` how often a later stage sent it back. `cleared` is what a person let pass, as
    `reason:commit`; `withheld` why its kept work is not pushed. `last_retry_event_id` is the newest event of a
    label that has set it going again, a retry or an approval. `revived` counts how often it left BLOCKED with what it
    has, to be published or reviewed, since its last attempt began.
    """

    id: str
    pin: Pin
    branch: str
    created_at: datetime
    updated_at: datetime
    state_since: datetime
    issue: int | None = None
    state: TaskState = TaskState.QUEUED
    priority: int = 2
    reason: str = ""
    detail: str = ""
    version: int = 0
    provider: str = ""
    template: str = "default"
    model: str = ""
    fresh: bool = False
    depends_on: tuple[int, ...] = ()
    attempts: int = 0
    retries_used: int = 0
    retry_at: datetime | None = None
    base_sha: str = ""
    pushed_sha: str = ""
    pr_number: int | None = None
    pr_url: str = ""
    pr_head_sha: str = ""
    pr_draft: bool = False
    worktree: str = ""
    last_retry_event_id: int = 0
    spent: tuple[str, ...] = ()
    plan: str = ""
    repo: str = ""
    workflow: str = ""
    stage: int = 0
    sent_back: int = 0
    completed_at: datetime | None = None
    tidied: bool = False
    cleared: tuple[str, ...] = ()
    withheld: str = ""
    revived: int = 0

    @property
    def title(self) -> str:
        return self.pin.title

    def move(self, to: TaskState, at: datetime, *, reason: str = "", detail: str = "") -> Task:
        """The task in its next state, at version + 1. Raises IllegalMove for an edge outside the table."""
        if to not in MOVES[self.state]:
            raise IllegalMove(f"{self.id}: {self.state} -> {to} is not a move (reason {reason or 'none'})")
        return replace(
            self,
            state=to,
            reason=reason,
            detail=detail,
            version=self.version + 1,
            updated_at=at,
            state_since=at,
            retry_at=None,
            revived=0 if to is _S.PREPARING else self.revived + (self.state is _S.BLOCKED and to in _WITH_WHAT_IT_HAS),
        )


BRANCHES = "rpi/"
"""What the branches of issues' tasks begin with."""


def issue_task_id(number: int) -> str:
    return f"gh-{number}"
