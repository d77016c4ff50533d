"""Tasks that outlived the loss of the memory: their words are pinned anew before another start, and what a person had
decided is not turned into new work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from coordinator.domain.issue import Issue, PullState, Vet
from coordinator.domain.task import Task, TaskState
from coordinator.planning import trust
from coordinator.planning.actions import Move, VetIssue, Wait
from coordinator.planning.snapshot import Snapshot

_S = TaskState
_MET = {PullState.OPEN: (_S.IN_REVIEW, "pr_open"), PullState.MERGED: (_S.DONE, "merged"),
        PullState.CLOSED: (_S.BLOCKED, "pr_closed")}  # fmt: skip
_FORGOTTEN = "the memory was lost; its run files tell of attempt {}, and no pull request of what became of it"


def unpinned(task: Task) -> bool:
    """Whether the words of its issue, and who approved them, were lost with the memory."""
    return task.issue is not None and not task.pin.actor


def pinned_anew(s: Snapshot, issue: Issue, task: Task) -> Iterator[Move | VetIssue]:
    """As if the issue were taken up for the first time: who set the label last must be trusted now."""
    vet = s.vets.get(issue.number)
    if vet is None or trust.stale(s, issue):
        if trust.may_ask(s, issue):
            yield VetIssue(issue)
    elif trust.doubt(vet, s.policy) is None:
        pin, event = trust.pin_of(issue, vet, task.attempts), max(vet.retry_event_id, task.last_retry_event_id)
        yield Move(task, None, changes={"pin": pin, "last_retry_event_id": event})


def hindrance(s: Snapshot, task: Task) -> Wait | None:
    """What keeps such a task from starting."""
    if not unpinned(task):
        return None
    issue = s.issue_of(task)
    vet = s.vets.get(issue.number) if issue is not None else None
    doubt = trust.doubt(vet, s.policy) if issue is not None and vet is not None and not trust.stale(s, issue) else None
    if doubt is not None:
        return Wait(task.id, doubt.code, doubt.words, trust.cure(s.policy))
    return Wait(task.id, "vetting", "the memory was rebuilt: who set the label is asked again",
                s.github_words or "nothing: it is asked at the next tick")


def set_since(vet: Vet, task: Task) -> bool:
    """Whether the label was set after what the task knows of. Where the event was lost its time tells."""
    if task.pin.label_event_id:
        return vet.label_event_id > task.pin.label_event_id
    return vet.labelled_at is not None and vet.labelled_at > task.state_since


def met_before(s: Snapshot, task: Task) -> Task:
    """The task of an issue of whose earlier work only run files tell: as its pull request stands, else a person's."""
    attempts = s.recalled.get(task.id)
    if attempts is None:
        return task
    task = replace(task, attempts=attempts)
    ours = [pull for pull in s.pulls.values() if pull.head_ref == task.branch]
    if not ours:
        return replace(task, state=_S.BLOCKED, reason="store_rebuilt", detail=_FORGOTTEN.format(attempts),
                       completed_at=s.now)
    pull = max(ours, key=lambda one: (one.state is PullState.OPEN, one.number))
    state, reason = _MET[pull.state]
    return replace(task, state=state, reason=reason, detail=f"#{pull.number} was found", pr_number=pull.number,
                   pr_url=pull.url, pr_head_sha=pull.head_sha, pr_draft=pull.draft, completed_at=s.now)
