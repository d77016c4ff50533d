"""Whom it obeys: whether the words of an issue are those that somebody with permission approved by setting the label.

Only GitHub's times are compared with each other; a tie, and whatever GitHub does not tell, counts against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.issue import GHOST, Issue, Vet
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.planning.actions import Wait, vet_lane
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

ONE_CHANGE = timedelta(seconds=2)
"""GitHub's times count whole seconds: what was asked earlier after a change may have missed a second one."""
BLIND_AGAIN = timedelta(hours=1)
"""When GitHub is asked again after it could not tell who edited an issue."""
AT_ONCE = 3
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(minutes=5)
"""An issue that keeps changing under the same labels is asked about at once so many times, then after a pause that is
doubled each time: everybody may comment on it or edit their own, and each question costs requests."""


@dataclass(frozen=True)
class Doubt:
    """Why an issue is not worked on: `untrusted` or `edited`."""

    code: str
    words: str


def doubt(vet: Vet, policy: Policy) -> Doubt | None:
    """What speaks against a labelled issue of which this is true."""
    if not policy.trusts(vet.actor, vet.permission):
        return Doubt("untrusted", f"the label was set by {_who(vet.actor, vet.permission)}, not {policy.permission}")
    return changed_since(vet, policy, vet.labelled_at)


def doubt_again(vet: Vet, policy: Policy) -> Doubt | None:
    """The same of one that is a task: a retry label that was set after the trigger label approves too."""
    if retry_counts(vet, policy) and vet.retry_event_id > vet.label_event_id:
        return changed_since(vet, policy, vet.retried_at)
    return doubt(vet, policy)


def retry_counts(vet: Vet, policy: Policy) -> bool:
    return vet.retry_event_id > 0 and policy.trusts(vet.retry_actor, vet.retry_permission)


def changed_since(vet: Vet, policy: Policy, approved_at: datetime | None) -> Doubt | None:
    """Whether title or body are other than when they were approved, as far as others than trusted people did it."""
    if vet.blind:
        return Doubt("edited", f"who edited it cannot be asked: {vet.blind}")
    if approved_at is None:
        return Doubt("edited", "GitHub does not tell when the label was set")
    if vet.missing_until is not None and vet.missing_until >= approved_at:
        return Doubt("edited", "it was edited more often since than GitHub tells at once")
    for edit in vet.edits:
        if edit.at >= approved_at and not policy.trusts(edit.editor, edit.permission):
            who = _who(edit.editor, edit.permission)
            return Doubt("edited", f"it was edited at {edit.at:%Y-%m-%d %H:%M} UTC, after the label was set, by {who}")
    return None


def pin_of(issue: Issue, vet: Vet, begun: int = 0) -> Pin:
    """The words as they stand, and who approved them."""
    return Pin(issue.title, issue.body, issue.sha256, vet.label_event_id, vet.actor, vet.labelled_at, begun)


def cure(policy: Policy) -> str:
    """What lifts every doubt."""
    return f"somebody with {policy.permission} permission reads it and sets the label {policy.labels.auto} anew"


def _who(login: str, permission: str) -> str:
    if login in ("", GHOST):
        return "an account that is not known"
    return f"@{login}, who has {permission or 'no'} permission"


# --- asking ---------------------------------------------------------------------------------------------


def stale(s: Snapshot, issue: Issue) -> bool:
    """Whether what was asked about an issue is no longer true of it, or was no answer and is old."""
    vet = s.vets.get(issue.number)
    if vet is None or not vet.of(issue):
        return True
    return bool(vet.blind) and vet.asked_at is not None and abs(s.now - vet.asked_at) >= BLIND_AGAIN


def may_ask(s: Snapshot, issue: Issue) -> bool:
    """Whether GitHub may be asked about an issue for the sake of new work."""
    return s.github_ok and s.reserve is None and s.free(vet_lane(issue.number)) and s.now >= asked_again_at(s, issue)


def asked_again_at(s: Snapshot, issue: Issue) -> datetime:
    """The end of the pause after the last question; `now` where there is none, or our clock was set back."""
    vet = s.vets.get(issue.number)
    if vet is None or vet.asked_at is None or vet.times <= AT_ONCE or vet.asked_at > s.now:
        return s.now
    doubled: timedelta = FIRST_PAUSE * 2 ** min(vet.times - AT_ONCE - 1, 10)
    return vet.asked_at + min(doubled, LONGEST_PAUSE)


# --- what is a task already -------------------------------------------------------------------------------


def unstarted(s: Snapshot, task: Task) -> bool:
    """Queued or being prepared, and no worker was started on the words as they are pinned now."""
    if task.state not in (TaskState.QUEUED, TaskState.PREPARING) or task.issue is None:
        return False
    return not any(one.number > task.pin.begun and one.launched_at for one in s.attempts.get(task.id, ()))


def other_words(issue: Issue, task: Task) -> bool:
    return issue.title != task.pin.title or issue.body != task.pin.body


def hold(s: Snapshot, task: Task) -> Wait | None:
    """What keeps unstarted work from starting: its words are other than the pinned ones, or nobody who may approves."""
    issue = s.issue_of(task)
    if issue is None or not unstarted(s, task):
        return None
    if stale(s, issue):
        return asking(s, task, issue) if other_words(issue, task) else None
    found = doubt_again(s.vets[issue.number], s.policy)
    return Wait(task.id, found.code, found.words, cure(s.policy)) if found else None


def unseen(s: Snapshot, task: Task) -> Wait | None:
    """Keeps back what may have been changed or closed while no coordinator ran: all issues are looked at first."""
    if task.issue is None or not s.policy.intake or s.listed_at is not None:
        return None
    return Wait(task.id, "vetting", "its issue was not looked at since the coordinator started",
                s.github_words or "nothing: it is looked at next")


def overtaken(s: Snapshot, task: Task) -> str:
    """Why what is being prepared is not what its issue asks for by now; "" where nothing tells so."""
    issue = s.issue_of(task)
    if issue is None or not unstarted(s, task):
        return ""
    if other_words(issue, task):
        return "its words were changed before it was started"
    if stale(s, issue):
        return ""
    vet = s.vets[issue.number]
    found = doubt_again(vet, s.policy)
    if found is not None:
        return found.words
    return "its label was set anew before it was started" if vet.label_event_id != task.pin.label_event_id else ""


def asking(s: Snapshot, task: Task, issue: Issue) -> Wait:
    lane = vet_lane(issue.number)
    until = max(asked_again_at(s, issue), s.holdoff.get(lane, s.now))
    return Wait(task.id, "vetting", "who edited it and who set its label is being asked", s.github_words,
                until if until > s.now else None)
