"""What is recorded of the house itself: what was cleaned and swept, and whom it told."""

from __future__ import annotations

import json

from coordinator.domain.request import Event
from coordinator.engine.facts import Cleaned, Notified, NotTidied, Swept
from coordinator.engine.memory import LONGEST_REST, Memory
from coordinator.engine.world import World
from coordinator.planning.snapshot import NO_LABEL, Untidied

CAUSES_KEPT = 9_999
"""Causes a person was told of that are remembered; far more than can be true at once."""


def label(world: World, *, gone: bool) -> None:
    """Whether the trigger label is in the repository: said when it goes and when it comes back."""
    name = world.policy.labels.auto
    if gone != bool(world.store.document(NO_LABEL)):
        world.store.keep_document(NO_LABEL, "1" if gone else None)
        world.say(f"the label {name} is {'not in the repository any more' if gone else 'there again'}")


def cleaned(world: World, fact: Cleaned) -> None:
    now = world.clock.now()
    words = f"removed {len(fact.removed)} worktrees ({fact.action.why}), kept {len(fact.kept)}"
    words += f"; {fact.swept} old files and refs went" if fact.swept else ""
    for name in fact.removed:
        world.say(f"{name}: worktree removed ({fact.action.why})")
    world.store.keep_document("errors_reset_at", now.isoformat())
    world.store.log(Event("", now, "cleaned", words))
    if fact.action.request is not None:
        world.store.answer(fact.action.request.id, words)


def swept(world: World, fact: Swept) -> None:
    now = world.clock.now()
    world.store.keep_document("swept_at", now.isoformat())
    if fact.count:
        world.store.log(Event("", now, "swept", f"{fact.count} old files and refs went"))


def not_tidied(world: World, memory: Memory, fact: NotTidied) -> None:
    """Said once: it is tried again after a long rest, and other worktrees meanwhile."""
    now, before = world.clock.now(), memory.untidied.get(fact.task.id)
    until = now + (LONGEST_REST if fact.busy else world.policy.relist)
    memory.untidied[fact.task.id] = Untidied(now, fact.words, until)
    if before is None or before.words != fact.words:
        world.store.log(Event(fact.task.id, now, "not_tidied", fact.words[:2000]))
        world.say(f"{fact.task.id}: its worktree was not removed: {fact.words}; mend that, then: coordinator clean")


def notified(world: World, fact: Notified) -> None:
    told = json.loads(world.store.document("notified") or "[]")
    world.store.keep_document("notified", json.dumps([*told, *fact.keys][-CAUSES_KEPT:]))
