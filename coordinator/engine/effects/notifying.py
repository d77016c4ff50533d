"""One word to a person about one cause: a line that can be searched for, and the operator's own command."""

from __future__ import annotations

import shlex

from coordinator.engine.facts import Notified
from coordinator.engine.world import World
from coordinator.planning.actions import Notify

PATIENCE = 30.0
"""Seconds the operator's command may take."""


def notify(action: Notify, world: World) -> Notified:
    """Says it in the log and runs `notify.command` with the words on stdin. A command that fails is said, and
    not tried again: a broken notifier must not become a second flood."""
    line = f"ESCALATE: {action.words} → {action.cure}"
    world.say(line)
    if world.options.notify:
        keep = {name: world.environ[name] for name in ("PATH", "HOME", "LANG") if name in world.environ}
        env = {**keep, "COORDINATOR_CAUSE": action.key, "COORDINATOR_REPOSITORY": world.repository_name}
        code, _, err = world.probe.run(shlex.split(world.options.notify), timeout=PATIENCE, env=env, cwd=world.root,
                                       stdin=line + "\n")
        if code:
            world.say(f"notify.command ended with {code}: {err.strip()[-300:]}")
    return Notified(action.key)
