"""Asking who approved what a stage left: the label's last setter, and when it was set."""

from __future__ import annotations

from coordinator.engine.effects.polling import last_added, permission
from coordinator.engine.facts import ApprovalAsked
from coordinator.engine.world import World
from coordinator.planning.actions import AskApproval
from coordinator.planning.snapshot import Refused
from coordinator.planning.trust import ONE_CHANGE


def ask(action: AskApproval, world: World) -> ApprovalAsked:
    """It counts when set by somebody whose label starts work too, not before the stage ended, and once alone: the time
    of that end is of a host's clock, which may be slow."""
    issue, label, ended = action.issue, world.policy.labels.approved, action.attempt.ended_at
    asked = world.clock.now()
    event = last_added(world.github.label_events(issue.number), label)
    if event is None:
        words = "GitHub does not tell who set the label"
    elif event.id <= action.task.last_retry_event_id:
        words = f"{label} was set at {event.at:%H:%M} UTC and has set it going once already"
    elif ended is not None and event.at < ended.replace(microsecond=0):
        words = f"{label} was set at {event.at:%H:%M} UTC, before the stage ended at {ended:%H:%M} UTC"
    elif not world.policy.trusts(event.actor, had := permission(world, event)):
        words = f"{label} was set by @{event.actor}, who has {had} permission, not {world.policy.permission}"
    else:
        return ApprovalAsked(action.task, event.actor, None, event.id)
    return ApprovalAsked(action.task, "", Refused(issue.updated_at, words, sure=asked - issue.updated_at >= ONE_CHANGE))
