"""One word to a person about one cause: a line that can be searched for, and the ways the operator configured."""

from __future__ import annotations

from coordinator.engine.contacts import Message, Ways, hand_over
from coordinator.engine.facts import Notified
from coordinator.engine.world import World
from coordinator.planning.actions import Notify
from coordinator.wording import escalation


def notify(action: Notify, world: World) -> Notified:
    """Says it in the log and tells the operator. A way that fails is said, and not tried again."""
    line = world.mask(escalation.headline(action.words, action.cure))
    world.say(line)
    seen = action.picture
    bundle = (*seen.evidence,
              *escalation.bundle(seen.active, seen.slots, seen.waiting, dict(seen.failing), "workers"))
    about = {"COORDINATOR_CAUSE": action.key, "COORDINATOR_REPOSITORY": world.repository_name}
    message = Message(line, tuple(world.mask(one) for one in bundle), about)
    for failed in hand_over(world.options.contacts, message,
                            Ways(world.probe, world.notifier, world.environ, world.root)):
        world.say(world.mask(failed))
    return Notified((action.key, *action.along))
