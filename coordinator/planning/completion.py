"""The completion table: what an ended attempt means for its task, and which pull request carries the work.

docs/completion.md shows the same table for people, one row a case; tests/unit/test_plan_completion.py walks every row.
Decided by what was observed: the result event, commits, the branch, pull requests. Never by an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import PullRequest, PullState
from coordinator.domain.outcome import Ending, Evidence
from coordinator.domain.reasons import PARKING, REASONS
from coordinator.domain.task import Task, TaskState
from coordinator.planning.actions import Settlement
from coordinator.planning.limits.circuit import FARTHEST
from coordinator.planning.limits.ladder import rungs
from coordinator.planning.policy import Policy
from coordinator.planning.restart import blocked_by


class Course(StrEnum):
    """What to do about the pull request."""

    OPEN = "open"
    ADOPT = "adopt"
    MERGED = "merged"
    CLOSED = "closed"


@dataclass(frozen=True)
class Choice:
    course: Course
    pull: PullRequest | None = None
    words: str = ""


def choose_pull(
    branch: str,
    head_sha: str,
    of_branch: Sequence[PullRequest],
    with_commit: Sequence[PullRequest],
) -> Choice:
    """The pull request that stands for this work, out of those of our branch and those that carry the commit.

    An open one of our branch wins (lowest number; a draft is as good), then a merged or closed one of our
    branch at exactly this commit, then one on another branch that carries the commit. A closed or merged one
    at another commit is history: new work wants a new pull request.
    """
    ours = sorted((pull for pull in of_branch if pull.head_ref == branch), key=lambda pull: pull.number)
    others = sorted((pull for pull in with_commit if pull.head_ref != branch), key=lambda pull: pull.number)
    live = [pull for pull in ours if pull.state is PullState.OPEN]
    if live:
        more = f"; #{live[1].number} is open for it too" if len(live) > 1 else ""
        return Choice(Course.ADOPT, live[0], f"#{live[0].number} stands on the branch{more}")
    for state, course in ((PullState.MERGED, Course.MERGED), (PullState.CLOSED, Course.CLOSED)):
        for pull in ours:
            if pull.state is state and pull.head_sha == head_sha:
                return Choice(course, pull, f"#{pull.number} was {state} at this commit")
    for state, course in ((PullState.OPEN, Course.ADOPT), (PullState.MERGED, Course.MERGED)):
        for pull in others:
            if pull.state is state:
                return Choice(course, pull, f"#{pull.number} on {pull.head_ref} carries the commit")
    return Choice(Course.OPEN)


def settle(task: Task, attempt: Attempt, evidence: Evidence, policy: Policy, now: datetime) -> Settlement:
    """The task's next state after an attempt ended. Total: every outcome has an answer."""
    outcome = evidence.outcome
    if outcome.ending is Ending.CANCELLED:
        return _cancelled(attempt, evidence)
    if evidence.work is not None and evidence.work.any and not evidence.work.branch_ok:
        words = f"the agent left its work beside {task.branch}: {evidence.work.head_sha[:12]} in {task.worktree}"
        return Settlement(TaskState.BLOCKED, "foreign_worktree", f"{words} does not contain that branch")
    if evidence.blocked_note:
        return Settlement(TaskState.BLOCKED, "needs_human", evidence.blocked_note[:200])
    if outcome.ending is Ending.SUCCEEDED and evidence.work is not None and evidence.work.any:
        return Settlement(TaskState.PUBLISHING, outcome.reason, draft=evidence.swept_up)
    if _carried(task, attempt, evidence):
        return Settlement(TaskState.PUBLISHING, outcome.reason)
    if outcome.ending in (Ending.SUCCEEDED, Ending.NO_CHANGE):
        return Settlement(TaskState.FAILED, "no_change", "Worker exited without creating PR")
    if outcome.ending is Ending.NEEDS_HUMAN:
        return Settlement(TaskState.BLOCKED, "needs_human", outcome.detail)
    return failure(task, attempt, outcome.reason, outcome.detail, policy, now, reset_at=outcome.reset_at)


def failure(
    task: Task,
    attempt: Attempt,
    reason: str,
    detail: str,
    policy: Policy,
    now: datetime,
    *,
    reset_at: float | None = None,
) -> Settlement:
    """After a failure: park the provider, turn to another, try again after a pause, or give it to a person."""
    if reason in PARKING:
        until = now + policy.park
        if reset_at is not None:
            away = min(max(0.0, reset_at - now.timestamp()), FARTHEST.total_seconds())
            until = max(until, now + timedelta(seconds=away))
        return Settlement(TaskState.QUEUED, reason, detail, park_until=until)
    kind = REASONS[reason]
    spends = kind.elsewhere and bool(rungs(policy, task))
    if spends and not kind.charged and _others(policy, task, attempt.provider):
        return Settlement(TaskState.QUEUED, reason, detail, spends=True)
    if not kind.again:
        return Settlement(TaskState.BLOCKED, reason, detail)
    if reason == "host_lost" and attempt.launched_at is None and len(policy.hosts) > 1:
        return Settlement(TaskState.QUEUED, reason, detail)   # nothing ran: another host is as good now as later
    if not kind.charged:
        return Settlement(TaskState.BACKOFF, reason, detail, policy.retry_at(now, attempt.number - 1, attempt.token))
    blocked = blocked_by(task.retries_used, policy.retry_max)
    if blocked:
        return Settlement(TaskState.BLOCKED, blocked, f"{reason}: {detail}")
    at = policy.retry_at(now, task.retries_used, attempt.token)
    return Settlement(TaskState.BACKOFF, reason, detail, at, charged=True, spends=spends)


def _others(policy: Policy, task: Task, failed: str) -> bool:
    """Whether another provider is left: one of the ladder, or its own, which waits for a limit to end."""
    after = replace(task, spent=(*task.spent, failed))
    return task.provider not in after.spent or bool(rungs(policy, after))


def _cancelled(attempt: Attempt, evidence: Evidence) -> Settlement:
    words = evidence.stop_note.strip() or attempt.stop_words or evidence.outcome.detail
    if attempt.stop_by == "cap":
        return Settlement(TaskState.BLOCKED, attempt.stop_reason, attempt.stop_words)
    if attempt.stop_by in ("pause", "shutdown"):
        return Settlement(TaskState.QUEUED, attempt.stop_reason, words)
    reason = attempt.stop_reason or evidence.outcome.reason
    return Settlement(TaskState.CANCELLED, reason if reason in REASONS else "manual_stop", words[:500])


def _carried(task: Task, attempt: Attempt, evidence: Evidence) -> bool:
    """A pull request made since the run began (GitHub's times are whole seconds), or the one we know, carries what
    the branch holds."""
    if evidence.work is None:
        return False
    choice = choose_pull(task.branch, evidence.work.head_sha, evidence.pulls, evidence.pulls_with_commit)
    if choice.pull is None or choice.course is Course.CLOSED:
        return False
    if evidence.outcome.ending in (Ending.SUCCEEDED, Ending.NO_CHANGE):
        return True
    began = attempt.created_at.replace(microsecond=0)
    return choice.pull.head_sha == evidence.work.head_sha and choice.pull.created_at >= began

