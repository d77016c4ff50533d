"""What appeared in a repository's git while a worker ran, told once; what its owner has there by himself is known."""

from __future__ import annotations

import json
from collections.abc import Mapping

from coordinator.domain.attempt import Attempt
from coordinator.domain.request import Event
from coordinator.domain.task import Task, TaskState
from coordinator.engine.world import World

KIND = "planted"
LISTED = 20


def note(world: World, task: Task, attempt: Attempt, found: Mapping[str, str], *, ended: bool) -> None:
    """Keeps what is there now. At the end of a run, and before one while another goes on, what is new is told: it is
    nobody's but a worker's or a person's who was at it meanwhile. It is told before it counts as known: killed between
    the two, we tell it twice."""
    name = f"git:{task.repo}"
    kept = world.store.document(name)
    known = json.loads(kept) if kept else None
    if known == found:
        return
    others = any(one.state is TaskState.RUNNING and one.repo == task.repo for one in world.store.tasks())
    new = [] if known is None else sorted(key for key, digest in found.items() if known.get(key) != digest)
    if new and (ended or others):
        more = f" and {len(new) - LISTED} more" if len(new) > LISTED else ""
        words = world.mask(", ".join(new[:LISTED]) + more)
        world.store.log(Event(task.id, world.clock.now(), KIND, words[:2000], attempt.number))
        world.say(f"{task.id}: changed in git while it ran, and not obeyed by the coordinator: {words}")
    world.store.keep_document(name, json.dumps(dict(found), sort_keys=True))


def told(world: World, task: Task) -> str:
    """For the pull request: what was found while its workers ran; ""."""
    return ", ".join(dict.fromkeys(event.detail for event in world.store.events(task.id, (KIND,))))
