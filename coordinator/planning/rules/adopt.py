"""Intake: which labelled issues become tasks, and which ended tasks a person sets going again by label."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from coordinator.domain.issue import Issue, Vet
from coordinator.domain.task import BRANCHES, NEEDS_PERSON, Task, TaskState, issue_task_id
from coordinator.domain.workflow import BUILD
from coordinator.planning import dependencies, stages, trust
from coordinator.planning.actions import (
    VET_LANES,
    Adopt,
    Explain,
    Held,
    Inherit,
    Move,
    VetIssue,
    Wait,
    say_lane,
    vet_lane,
)
from coordinator.planning.policy import Policy
from coordinator.planning.rules import publish, recalled
from coordinator.planning.rules.claim import in_review
from coordinator.planning.snapshot import Snapshot

_PRIORITY = re.compile(r"priority:p([0-3])", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@\[\]-]{0,99}")
"""Names of providers and models: `claude`, `opus[1m]`, `anthropic/claude-sonnet-4`, `llama3:8b`."""
DEFAULT_PRIORITY = 2
VETS_AT_ONCE = 10
"""Issues asked about in one turn: each costs three requests or so, and what may start should not wait for all."""
EXPLAINED_A_DAY = 20
"""Issues on which it is said that they are held: a form that sets the label lets anybody make as many as they like."""
EXPLAINED = "held"
"""The key of that comment: one an issue, for ever."""

Proposal = Adopt | Move | VetIssue | Inherit | Explain | Held | Wait


def rule(s: Snapshot) -> Iterator[Proposal]:
    left: dict[type, int] = {
        VetIssue: VETS_AT_ONCE - sum(lane.startswith(VET_LANES) for lane in s.busy),
        Explain: EXPLAINED_A_DAY - s.explained,
    }
    for proposal in _proposals(s):
        kind = type(proposal)
        if kind in left:
            left[kind] -= 1
        if left.get(kind, 0) >= 0:
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
        elif recalled.unpinned(task):
            yield from recalled.pinned_anew(s, issue, task)
        elif task.state is TaskState.QUEUED:
            yield from _blockers_changed(s, issue)
            yield from _words_changed(s, issue, task)
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
        pin=trust.pin_of(issue, vet),
        branch=f"{BRANCHES}{task_id}",
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


def _new(s: Snapshot, issue: Issue) -> Iterator[Adopt | VetIssue | Inherit | Explain | Held]:
    others = [login for login in issue.assignees if login != s.policy.login]
    if s.policy.respect_assignee and others:
        yield Held(issue.number, issue.title, "assigned", f"is assigned to @{others[0]}",
                   "take the assignment away, or set trust.respect_assignee = false")
        return
    vet = s.vets.get(issue.number)
    if vet is None or trust.stale(s, issue):
        if trust.may_ask(s, issue):
            yield VetIssue(issue)
        yield _unvetted(s, issue)
        return
    doubt = trust.doubt(vet, s.policy)
    if doubt is None:
        yield from _taken_up(s, issue, recalled.met_before(s, make_task(issue, vet, s.policy, s.now)))
        return
    yield from _explain(s, issue, doubt)
    yield Held(issue.number, issue.title, doubt.code, doubt.words, trust.cure(s.policy))


def _taken_up(s: Snapshot, issue: Issue, task: Task) -> Iterator[Adopt | Inherit | Held]:
    """A task begins where another coordinator left it: with a pull request of its branch it is in review."""
    left = s.inheritance.branches.get(task.branch)
    if left is not None and left.pull is None:
        if trust.may_ask(s, issue):
            yield Inherit(task.branch, left.sha, vet_lane(issue.number))
        yield Held(issue.number, issue.title, "vetting", f"the branch {task.branch} stands already: its pull request "
                   "is being asked for", s.github_words or "nothing: it is asked at the next tick")
        return
    pull = s.pulls.get(left.pull) if left is not None and left.pull else None
    if left is not None and pull is not None:
        task = replace(task, state=TaskState.IN_REVIEW, reason="pr_open", **in_review(pull, left.sha))
    yield Adopt(task)


def _explain(s: Snapshot, issue: Issue, doubt: trust.Doubt) -> Iterator[Explain]:
    said = s.outward.get(issue_task_id(issue.number))
    unsaid = said is None or EXPLAINED not in said.notices
    if unsaid and s.github_ok and s.free(say_lane(issue_task_id(issue.number))):
        yield Explain(issue.number, doubt.words, trust.cure(s.policy), EXPLAINED)


def _words_changed(s: Snapshot, issue: Issue, task: Task) -> Iterator[Move | VetIssue | Explain]:
    """Unstarted work follows what trusted people make of it: new words are pinned, or it is held."""
    if not trust.unstarted(s, task):
        return
    other = trust.other_words(issue, task)
    vet = s.vets.get(issue.number)
    if vet is None or trust.stale(s, issue):
        if other and trust.may_ask(s, issue):
            yield VetIssue(issue)
        return
    doubt = trust.doubt_again(vet, s.policy)
    if doubt is not None:
        yield from _explain(s, issue, doubt)
    elif other or vet.label_event_id != task.pin.label_event_id:
        yield Move(task, None, detail="trusted people changed its words or its label: pinned anew", changes={
            "pin": trust.pin_of(issue, vet, task.attempts), "depends_on": dependencies.written(issue.body),
        })


def _again(s: Snapshot, issue: Issue, task: Task) -> Iterator[Move | VetIssue | Explain | Wait]:
    """The label set anew, or the retry label, by somebody who may: back to the queue with new words pinned."""
    vet = s.vets.get(issue.number)
    unsure = vet is not None and not vet.sure and s.now - issue.updated_at >= trust.ONE_CHANGE
    if vet is None or trust.stale(s, issue) or unsure:
        if trust.may_ask(s, issue):
            yield VetIssue(issue)
        return
    anew = recalled.set_since(vet, task) and s.policy.trusts(vet.actor, vet.permission)
    retry = (
        s.policy.labels.retry in issue.labels
        and vet.retry_event_id > task.last_retry_event_id
        and trust.retry_counts(vet, s.policy)
    )
    if not (anew or retry):
        return
    approvals = [at for counts, at in ((anew, vet.labelled_at), (retry, vet.retried_at)) if counts and at is not None]
    doubt = trust.changed_since(vet, s.policy, max(approvals, default=None))
    if doubt is not None:
        yield from _explain(s, issue, doubt)
        yield Wait(task.id, doubt.code, doubt.words, trust.cure(s.policy))
        return
    workflow = chosen(issue, "workflow:", s.policy.workflow)
    other = workflow != (task.workflow or BUILD.name) or issue.sha256 != task.pin.sha256
    changes = {
        **again(task),
        "pin": trust.pin_of(issue, vet, task.attempts),
        "last_retry_event_id": max(vet.retry_event_id, task.last_retry_event_id),
    }
    if publish.only_refused(s, task) and not other and not _another_agent(issue, task):
        yield Move(task, TaskState.PUBLISHING, detail="a person set the label",
                   changes={**changes, **publish.anew(s, task)})
        return
    yield Move(task, TaskState.QUEUED, detail="a person set the label", changes={
        **changes,
        "priority": priority_of(issue),
        "provider": chosen(issue, "provider:", s.policy.provider),
        "model": chosen(issue, "model:", ""),
        "workflow": workflow,
        **stages.again(anew=other),
        "depends_on": dependencies.written(issue.body),
    })


def _another_agent(issue: Issue, task: Task) -> bool:
    """Whether labels ask for another one than worked on it."""
    wanted = chosen(issue, "provider:", task.provider), chosen(issue, "model:", task.model)
    return wanted != (task.provider, task.model)


def again(task: Task, *, fresh: bool = False, provider: str = "") -> dict[str, object]:
    """The fields that a person's retry resets: a full retry budget, and nothing of the work unless `fresh`."""
    return {"retries_used": 0, "spent": (), "fresh": fresh, "provider": provider or task.provider, "completed_at": None,
            "withheld": ""}


def _blockers_changed(s: Snapshot, issue: Issue) -> Iterator[VetIssue]:
    vet = s.vets.get(issue.number)
    stale = vet is None or vet.issue_updated_at != issue.updated_at
    known = len(vet.blocked_by) if vet is not None else 0
    if stale and (issue.blocked_by_count or known) and trust.may_ask(s, issue):
        yield VetIssue(issue)


def _unvetted(s: Snapshot, issue: Issue) -> Held:
    if s.reserve is not None:
        return Held(issue.number, issue.title, s.reserve.code, s.reserve.words, s.reserve.cure)
    return Held(issue.number, issue.title, "vetting", "who set the label is being asked",
                s.github_words or "nothing: it is asked at the next tick")


def _unconfirmed(issue: Issue, count: int) -> Held:
    return Held(issue.number, issue.title, "unconfirmed",
                f"first run here, and {count} issues carry the label", "coordinator run --yes")
