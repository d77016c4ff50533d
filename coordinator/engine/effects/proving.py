"""One answer of a provider in an empty folder: the proof without which it stands in for no other."""

from __future__ import annotations

from coordinator.engine.facts import Proved
from coordinator.engine.world import World
from coordinator.planning.actions import Prove
from coordinator.planning.snapshot import Gate
from coordinator.ports import Settings


def prove(action: Prove, world: World) -> Proved:
    """Its whole preflight, the live question included; the first line that fails is why not."""
    provider = world.providers[action.provider]
    settings = world.options.providers.get(action.provider, Settings())
    lines = provider.preflight(world.probe, settings, live=True)
    failed = next((line for line in lines if not line.ok), None)
    cure = (failed.cure if failed is not None else "") or "coordinator doctor --live"
    no = Gate(failed.reason, world.mask(failed.words), cure) if failed is not None else None
    return Proved(action.provider, no, world.clock.now())
