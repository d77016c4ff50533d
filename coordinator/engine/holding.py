"""The claim on the repository as it is written down and told of."""

from __future__ import annotations

import json

from coordinator.domain.request import Event
from coordinator.engine.facts import ClaimKept
from coordinator.engine.inheritance import come_into
from coordinator.engine.memory import Memory
from coordinator.engine.world import World

CLAIM = "claim"
"""The document that holds the claim as this memory wrote it last."""


def claim_kept(world: World, memory: Memory, fact: ClaimKept) -> None:
    """Where it stands after a step; whoever has just taken it lists all issues anew."""
    now = world.clock.now()
    if fact.left is not None:
        come_into(world.store, fact.left)
    if fact.hold.open:
        kept = {"sha": fact.sha, "generation": fact.hold.generation}
        world.store.keep_document(CLAIM, json.dumps(kept))
    if fact.taken:
        words = f"the claim on the repository is ours (generation {fact.hold.generation})"
        words += f", taken from {fact.of.who}" if fact.of is not None else ""
        world.store.log(Event("", now, "claim", words))
        memory.poll_due, memory.listed_at, memory.claim_words = True, None, ""
        world.say(words)
    elif not fact.hold.open and fact.hold.words != memory.claim_words:
        memory.claim_words = fact.hold.words
        world.store.log(Event("", now, "claim", fact.hold.words))
        world.say(f"{fact.hold.words}: here nothing is started and nothing is written to GitHub")
