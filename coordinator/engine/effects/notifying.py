"""One word to a person about one cause: a line that can be searched for, and the operator's own command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from coordinator.engine.facts import Notified
from coordinator.engine.world import World
from coordinator.planning.actions import Notify
from coordinator.ports import Probe

PATIENCE = 30.0
"""Seconds the operator's command may take."""


def notify(action: Notify, world: World) -> Notified:
    """Says it in the log and runs `notify.command` with the words on stdin. A command that fails is said, and
    not tried again: a broken notifier must not become a second flood."""
    line = f"ESCALATE: {action.words} → {action.cure}"
    world.say(line)
    about = {"COORDINATOR_CAUSE": action.key, "COORDINATOR_REPOSITORY": world.repository_name}
    failed = hand_over(world.options.notify, line, about, world.probe, world.environ, world.root)
    if failed:
        world.say(failed)
    return Notified(action.key)


def hand_over(command: str, line: str, about: Mapping[str, str], probe: Probe, environ: Mapping[str, str],
              cwd: Path | None = None) -> str:
    """Runs the operator's command, if there is one, with the line on stdin and what it is about in its environment. How
    it failed, or ""."""
    if not command:
        return ""
    keep = {name: environ[name] for name in ("PATH", "HOME", "LANG") if name in environ}
    try:
        argv = shlex.split(command)
    except ValueError as wrong:
        return f"notify.command cannot be understood: {wrong}: {command}"
    code, _, err = probe.run(argv, timeout=PATIENCE, env={**keep, **about}, cwd=cwd, stdin=line + "\n")
    return f"notify.command ended with {code}: {err.strip()[-300:]}" if code else ""
