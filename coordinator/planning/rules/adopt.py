"""Intake: which labelled issues become tasks, and which ended tasks a person sets going again by label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from coordinator.domain.issue import Issue, Vet, fingerprint
from coordinator.domain.task import NEEDS_PERSON, Pin, Task, TaskState, issue_task_id
from coordinator.domain.workflow import BUILD
from coordinator.planning import dependencies, stages
from coordinator.planning.actions import VET_LANES, Adopt, Held, Move, VetIssue, Wait, vet_lane
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

_PRIORITY = re.compile(r"priority:p([0-3])", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}")
"""Names of providers and models: `claude`, `opus[1m]`, `anthropic/claude-sonnet-4`, `llama3:8b`."""
DEFAULT_PRIORITY = 2
ONE_CHANGE = timedelta(seconds=2)
"""GitHub's times count whole seconds: what was asked earlier after a change may have missed a second one."""


VETS_AT_ONCE = 10
"""Issues asked about in one turn: each costs two or three requests, and what may start should not wait for all."""

Proposal = Adopt | Move | VetIssue | Held | Wait


def rule(s: Snapshot) -> Iterator[Proposal]:
    left = VETS_AT_ONCE - sum(lane.startswith(VET_LANES) for lane in s.busy)
    for proposal in _proposals(s):
        if isinstance(proposal, VetIssue):
            left -= 1
        if left >= 0 or not isinstance(proposal, VetIssue):
            yield proposal


def _proposals(s: Snapshot) -> Iterator[Proposal]:
    fresh = []
    for issue in sorted(s.issues.values(), key=lambda issue: issue.number):
        task = s.tasks.get(issue_task_id(issue.number))
        if not wanted(issue, s.policy):
            if task is None and labelled(issue, s.policy):
                yield _paused(issue, s.policy)
            continue
        if task is None:
            fresh.append(issue)
        elif task.state in NEEDS_PERSON:
            yield from _again(s, issue, task)
        elif task.state is TaskState.QUEUED:
            yield from _blockers_changed(s, issue)
            if priority_of(issue) != task.priority:
                yield Move(task, None, changes={"priority": priority_of(issue)})
    if not s.tasks and len(fresh) > s.policy.confirm_above and not s.confirmed:
        yield from (_unconfirmed(issue, len(fresh)) for issue in fresh)
        return
    for issue in fresh:
        yield from _new(s, issue)


def wanted(issue: Issue, policy: Policy) -> bool:
    """An open issue (not a pull request) with the trigger label and without the pause label."""
    return labelled(issue, policy) and policy.labels.pause not in issue.labels


def labelled(issue: Issue, policy: Policy) -> bool:
    return issue.open and not issue.is_pull and policy.labels.auto in issue.labels


def _paused(issue: Issue, policy: Policy) -> Held:
    return Held(issue.number, issue.title, "paused", f"carries {policy.labels.pause}",
                f"take the label {policy.labels.pause} off")


def priority_of(issue: Issue) -> int:
    """0 to 3 from `priority:P0` ... `priority:P3`; the most urgent one counts; 2 without any."""
    found = [int(match[1]) for label in issue.labels if (match := _PRIORITY.fullmatch(label))]
    return min(found, default=DEFAULT_PRIORITY)


def pin_of(issue: Issue, vet: Vet) -> Pin:
    digest = fingerprint(issue.title, issue.body)
    return Pin(issue.title, issue.body, digest, vet.label_event_id, vet.actor, vet.labelled_at)


def chosen(issue: Issue, prefix: str, default: str) -> str:
    """The value of a `provider:x`, `model:x` or `workflow:x` label; the first by name when there are several. A value
    that is no name (it begins with a dash, say, and a program would read it as an option) counts as none."""
    values = sorted(label[len(prefix):] for label in issue.labels if label.startswith(prefix))
    return next((value for value in values if _NAME.fullmatch(value)), default)


def make_task(issue: Issue, vet: Vet, policy: Policy, now: datetime) -> Task:
    """The task of an issue: its words pinned, its place in the queue by the label's and its own age."""
    task_id = issue_task_id(issue.number)
    return Task(
        id=task_id,
        issue=issue.number,
        pin=pin_of(issue, vet),
        branch=f"rpi/{task_id}",
        created_at=now,
        updated_at=now,
        state_since=now,
        priority=priority_of(issue),
        provider=chosen(issue, "provider:", policy.provider),
        model=chosen(issue, "model:", ""),
        template=policy.template,
        workflow=chosen(issue, "workflow:", policy.workflow),
        depends_on=dependencies.written(issue.body),
        last_retry_event_id=vet.retry_event_id,
    )


def _new(s: Snapshot, issue: Issue) -> Iterator[Adopt | VetIssue | Held]:
    others = [login for login in issue.assignees if login != s.policy.login]
    if s.policy.respect_assignee and others:
        yield Held(issue.number, issue.title, "assigned", f"is assigned to @{others[0]}",
                   "take the assignment away, or set trust.respect_assignee = false")
        return
    vet = s.vets.get(issue.number)
    if vet is None or vet.issue_updated_at != issue.updated_at:
        if _may_ask(s, issue):
            yield VetIssue(issue)
        yield _unvetted(s, issue)
    elif not s.policy.trusts(vet.actor, vet.permission):
        who = f"@{vet.actor}" if vet.actor else "an unknown account"
        yield Held(issue.number, issue.title, "untrusted",
                   f"the label was set by {who}, who has {vet.permission} permission, not {s.policy.permission}",
                   f"somebody with {s.policy.permission} permission sets the label {s.policy.labels.auto} anew")
    else:
        yield Adopt(make_task(issue, vet, s.policy, s.now))


def _again(s: Snapshot, issue: Issue, task: Task) -> Iterator[Move | VetIssue]:
    """The label set anew, or the retry label, by somebody who may: back to the queue with new words pinned."""
    vet = s.vets.get(issue.number)
    unsure = vet is not None and not vet.sure and s.now - issue.updated_at >= ONE_CHANGE
    if vet is None or vet.issue_updated_at != issue.updated_at or unsure:
        if _may_ask(s, issue):
            yield VetIssue(issue)
        return
    anew = vet.label_event_id > task.pin.label_event_id and s.policy.trusts(vet.actor, vet.permission)
    retry = (
        s.policy.labels.retry in issue.labels
        and vet.retry_event_id > task.last_retry_event_id
        and s.policy.trusts(vet.retry_actor, vet.retry_permission)
    )
    if anew or retry:
        workflow = chosen(issue, "workflow:", s.policy.workflow)
        other = workflow != (task.workflow or BUILD.name) or fingerprint(issue.title, issue.body) != task.pin.sha256
        yield Move(task, TaskState.QUEUED, detail="a person set the label", changes={
            **again(task),
            "pin": pin_of(issue, vet),
            "priority": priority_of(issue),
            "provider": chosen(issue, "provider:", s.policy.provider),
            "model": chosen(issue, "model:", ""),
            "workflow": workflow,
            **stages.again(anew=other),
            "depends_on": dependencies.written(issue.body),
            "last_retry_event_id": max(vet.retry_event_id, task.last_retry_event_id),
        })


def again(task: Task, *, fresh: bool = False, provider: str = "") -> dict[str, object]:
    """The fields that a person's retry resets: a full retry budget, and nothing of the work unless `fresh`."""
    return {"retries_used": 0, "spent": (), "fresh": fresh, "provider": provider or task.provider, "completed_at": None,
            "withheld": ""}


def _blockers_changed(s: Snapshot, issue: Issue) -> Iterator[VetIssue]:
    vet = s.vets.get(issue.number)
    stale = vet is None or vet.issue_updated_at != issue.updated_at
    known = len(vet.blocked_by) if vet is not None else 0
    if stale and (issue.blocked_by_count or known) and _may_ask(s, issue):
        yield VetIssue(issue)


def _may_ask(s: Snapshot, issue: Issue) -> bool:
    """Whether GitHub may be asked about an issue for the sake of new work."""
    return s.github_ok and s.reserve is None and s.free(vet_lane(issue.number))


def _unvetted(s: Snapshot, issue: Issue) -> Held:
    if s.reserve is not None:
        return Held(issue.number, issue.title, s.reserve.code, s.reserve.words, s.reserve.cure)
    return Held(issue.number, issue.title, "vetting", "who set the label is being asked",
                s.github_words or "nothing: it is asked at the next tick")


def _unconfirmed(issue: Issue, count: int) -> Held:
    return Held(issue.number, issue.title, "unconfirmed",
                f"first run here, and {count} issues carry the label", "coordinator run --yes")
