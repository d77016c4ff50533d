"""Saying on an issue why it is not worked on: one comment an issue, found again by its hidden marker."""

from __future__ import annotations

from dataclasses import replace

from coordinator.domain.outward import Outward
from coordinator.domain.task import issue_task_id
from coordinator.engine.effects.telling import ours
from coordinator.engine.facts import Explained
from coordinator.engine.world import World
from coordinator.planning.actions import Explain
from coordinator.ports import Forbidden, NotThere, NotYet, Refused
from coordinator.wording.comments import held_notice


def explain(action: Explain, world: World) -> Explained:
    """Looks before it speaks. Where it may not speak, as in a locked conversation, it does not try again."""
    task_id = issue_task_id(action.number)
    said = world.store.outward().get(task_id, Outward(task_id))
    notice = held_notice(task_id, action.key, action.words, action.cure)
    try:
        if not any(notice.marker in comment.body for comment in ours(world, action.number)):
            world.github.add_comment(action.number, world.mask(notice.body))
    except NotYet:
        raise
    except (Forbidden, NotThere, Refused) as error:
        world.say(f"{task_id}: it cannot be said there why it is held: {error.words}")
    return Explained(replace(said, notices=said.notices | {notice.key}), action.words)
