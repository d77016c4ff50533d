"""How the operator is reached: the command and the addresses of `[notify]`, each told one message."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.ports import Notifier, Probe

PATIENCE = 30.0
"""Seconds the operator's command may take."""


@dataclass(frozen=True)
class Contacts:
    """What `[notify]` names; the addresses hold tokens and are never shown."""

    command: str = ""
    urls: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Message:
    """`line` says what and which command mends it, `bundle` what else a person wants to know before acting; `about`
    goes into the command's environment."""

    line: str
    bundle: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "\n".join((self.line, *self.bundle)) + "\n"


@dataclass(frozen=True)
class Ways:
    """What reaches people: a probe that runs the command, and a notifier for addresses (None where none can be)."""

    probe: Probe
    notifier: Notifier | None
    environ: Mapping[str, str]
    cwd: Path | None = None


def hand_over(contacts: Contacts, message: Message, ways: Ways) -> tuple[str, ...]:
    """Tells the operator by every way there is. How each failed; it is not tried again, since a broken notifier must
    not become a second flood."""
    failed = [_run(contacts.command, message, ways)] if contacts.command else []
    if contacts.urls and ways.notifier is not None:
        title = " ".join(("Coordinator", message.about.get("COORDINATOR_REPOSITORY", ""))).strip()
        failed.append(ways.notifier.send(contacts.urls, title, message.text))
    return tuple(words for words in failed if words)


def _run(command: str, message: Message, ways: Ways) -> str:
    keep = {name: ways.environ[name] for name in ("PATH", "HOME", "LANG") if name in ways.environ}
    try:
        argv = shlex.split(command)
    except ValueError as wrong:
        return f"notify.command cannot be understood: {wrong}: {command}"
    code, _, err = ways.probe.run(argv, timeout=PATIENCE, env={**keep, **message.about}, cwd=ways.cwd,
                                  stdin=message.text)
    return f"notify.command ended with {code}: {err.strip()[-300:]}" if code else ""
