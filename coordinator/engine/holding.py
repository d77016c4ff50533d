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
    """Where it stands after a step; whoever has just taken it lists all issues anew. What another left comes first: a
    death before that finds a claim that is not written down, and reads it again."""
    now, hold = world.clock.now(), fact.hold
    if fact.left is not None and world.claimant is not None:
        come_into(world.store, fact.left)
        world.claimant.inherited()
        hold = world.claimant.hold(now)
    if hold.open:
        kept = {"sha": fact.sha, "generation": hold.generation}
        world.store.keep_document(CLAIM, json.dumps(kept))
    if fact.taken:
        words = f"the claim on the repository is ours (generation {hold.generation})"
        words += f", taken from {fact.of.who}" if fact.of is not None else ""
        world.store.log(Event("", now, "claim", words))
        memory.poll_due, memory.listed_at, memory.claim_words = True, None, ""
        world.say(words)
    elif not hold.open and hold.words != memory.claim_words:
        memory.claim_words = hold.words
        world.store.log(Event("", now, "claim", hold.words))
        world.say(f"{hold.words}: here nothing is started and nothing is written to GitHub")
