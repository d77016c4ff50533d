"""Asking GitHub what changed, and who set a label."""

from __future__ import annotations

import json
from collections.abc import Iterable

from coordinator.domain.issue import Issue, LabelEvent, PullRequest, Vet
from coordinator.domain.task import issue_task_id
from coordinator.engine.facts import Polled, Vetted
from coordinator.engine.world import World
from coordinator.planning.actions import Poll, VetIssue
from coordinator.planning.rules.adopt import ONE_CHANGE
from coordinator.planning.snapshot import NO_LABEL


def poll(action: Poll, world: World) -> Polled:
    """One conditional request for issues and, when pull requests are awaited, one for them."""
    cursor = None if action.full else world.store.cursor()
    listing = world.github.changed_issues(cursor)
    pulls: tuple[PullRequest, ...] = ()
    if action.pulls:
        pulls = world.github.recent_pulls(world.store.pulls()).pulls
    login = world.policy.login or world.github.facts().login
    return Polled(listing, pulls, world.clock.now(), login, _no_label(world, listing.issues))


def _no_label(world: World, issues: Iterable[Issue]) -> bool:
    """Whether the trigger label is missing in the repository: asked when an issue has lost it, and while it is."""
    name, known = world.policy.labels.auto, world.store.issues()
    lost = any(name not in issue.labels and name in known[issue.number].labels
               for issue in issues if issue.open and issue.number in known)
    return (lost or bool(world.store.document(NO_LABEL))) and not world.github.label_exists(name)


def vet(action: VetIssue, world: World) -> Vetted:
    """Who set the trigger and the retry label last, what they may do, and what blocks the issue."""
    issue, names = action.issue, world.policy.labels
    asked = world.clock.now()
    events = world.github.label_events(issue.number)
    auto, retry = last_added(events, names.auto), last_added(events, names.retry)
    blockers = world.github.blockers(issue.number) if issue.blocked_by_count else ()
    return Vetted(
        Vet(
            number=issue.number,
            issue_updated_at=issue.updated_at,
            label_event_id=auto.id if auto else 0,
            actor=auto.actor if auto else "",
            permission=permission(world, auto),
            blocked_by=blockers,
            retry_event_id=retry.id if retry else 0,
            retry_actor=retry.actor if retry else "",
            retry_permission=permission(world, retry),
            labelled_at=auto.at if auto else None,
            sure=asked - issue.updated_at >= ONE_CHANGE,
        ),
        issue,
        _of_lost_work(issue, world),
    )


def _of_lost_work(issue: Issue, world: World) -> tuple[PullRequest, ...]:
    """The pull requests of an issue whose earlier work the memory lost."""
    task_id = issue_task_id(issue.number)
    lost = json.loads(world.store.document("recalled") or "{}")
    return world.github.pulls_of_branch(f"rpi/{task_id}") if task_id in lost else ()


def last_added(events: tuple[LabelEvent, ...], label: str) -> LabelEvent | None:
    return next((event for event in reversed(events) if event.label == label and event.added), None)


def permission(world: World, event: LabelEvent | None) -> str:
    if event is None or not event.actor:
        return "none"
    if event.actor in world.policy.trust_users or event.actor in world.policy.trust_bots:
        return "listed"
    return world.github.permission(event.actor)
