"""Asking GitHub what changed, who set a label, and who edited the words since."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

from coordinator.domain.issue import GHOST, Issue, LabelEvent, PullRequest, Vet
from coordinator.domain.task import issue_task_id
from coordinator.engine.facts import EffectFailed, Polled, Vetted
from coordinator.engine.world import World
from coordinator.planning.actions import Poll, VetIssue
from coordinator.planning.snapshot import NO_LABEL
from coordinator.planning.trust import ONE_CHANGE
from coordinator.ports import Forbidden, NotThere, Refused, TryLater


def poll(action: Poll, world: World) -> Polled:
    """One conditional request for issues and, when pull requests are awaited, one for them; where all is listed anew
    each of those that the newest pages do not name is asked for too: it may have been merged while nobody looked."""
    cursor = None if action.full else world.store.cursor()
    listing = world.github.changed_issues(cursor)
    pulls: tuple[PullRequest, ...] = ()
    if action.awaited:
        pulls = world.github.recent_pulls(world.store.pulls(), action.awaited if action.full else ()).pulls
    login = world.policy.login or world.github.facts().login
    return Polled(listing, pulls, world.clock.now(), login, _no_label(world, listing.issues))


def _no_label(world: World, issues: Iterable[Issue]) -> bool:
    """Whether the trigger label is missing in the repository: asked when an issue has lost it, and while it is."""
    name, known = world.policy.labels.auto, world.store.issues()
    lost = any(name not in issue.labels and name in known[issue.number].labels
               for issue in issues if issue.open and issue.number in known)
    return (lost or bool(world.store.document(NO_LABEL))) and not world.github.label_exists(name)


def vet(action: VetIssue, world: World) -> Vetted | EffectFailed:
    """Who set the trigger and the retry label last, what they may do, who edited the words since, and what blocks it.
    Edits are asked about whoever set the labels: who may start work can change while the answer still holds."""
    issue, names = action.issue, world.policy.labels
    asked = world.clock.now()
    events = world.github.label_events(issue.number)
    auto, retry = last_added(events, names.auto), last_added(events, names.retry)
    blockers = world.github.blockers(issue.number) if issue.blocked_by_count else ()
    before = world.store.vets().get(issue.number)
    same = before is not None and (before.label_event_id, before.retry_event_id) == (_id(auto), _id(retry))
    vet = Vet(
        number=issue.number,
        issue_updated_at=issue.updated_at,
        label_event_id=_id(auto),
        actor=auto.actor if auto else "",
        permission=permission(world, auto),
        blocked_by=blockers,
        retry_event_id=_id(retry),
        retry_actor=retry.actor if retry else "",
        retry_permission=permission(world, retry),
        labelled_at=auto.at if auto else None,
        retried_at=retry.at if retry else None,
        sure=asked - issue.updated_at >= ONE_CHANGE,
        sha256=issue.sha256,
        asked_at=asked,
        times=before.times + 1 if before is not None and same else 1,
    )
    set_at = [event.at for event in (auto, retry) if event is not None]
    if not set_at:
        return Vetted(vet, issue, _of_lost_work(issue, world))
    try:
        history = world.github.history(issue.number)
    except TryLater as error:   # of this question alone: whoever edits often must not make all others rest
        return EffectFailed(action, error.words)
    except (Forbidden, NotThere, Refused) as error:
        return Vetted(replace(vet, blind=error.words), issue, _of_lost_work(issue, world))
    if (history.title, history.body) != (issue.title, issue.body):
        return EffectFailed(action, "its words are no longer those that were seen: they are looked at anew")
    since = [edit for edit in history.edits if edit.at >= min(set_at)]
    edits = tuple(replace(edit, permission=permission_of(world, edit.editor)) for edit in since)
    vet = replace(vet, edits=edits, missing_until=history.missing_until)
    return Vetted(vet, issue, _of_lost_work(issue, world))


def _id(event: LabelEvent | None) -> int:
    return event.id if event else 0


def _of_lost_work(issue: Issue, world: World) -> tuple[PullRequest, ...]:
    """The pull requests of an issue whose earlier work the memory lost."""
    task_id = issue_task_id(issue.number)
    lost = json.loads(world.store.document("recalled") or "{}")
    return world.github.pulls_of_branch(f"rpi/{task_id}") if task_id in lost else ()


def last_added(events: tuple[LabelEvent, ...], label: str) -> LabelEvent | None:
    return next((event for event in reversed(events) if event.label == label and event.added), None)


def permission(world: World, event: LabelEvent | None) -> str:
    return permission_of(world, event.actor if event else "")


def permission_of(world: World, login: str) -> str:
    """What an account may do; `listed` where the configuration names it, "none" for one that is not known."""
    if login in ("", GHOST):
        return "none"
    return "listed" if world.policy.listed(login) else world.github.permission(login)
