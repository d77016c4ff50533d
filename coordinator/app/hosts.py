"""Builders for hosts: which there are, how they are reached, and whether one that is disabled had its gate passed.

A gate's passing is recorded in the user's state home, for the address and the gate command it was passed with.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.app.faces import state_home
from coordinator.wording import hosts as wording

if TYPE_CHECKING:
    from coordinator.adapters.executors.ssh import Ssh
    from coordinator.config import Config
    from coordinator.config.sections import Host

GATE_TIMEOUT = 600.0
_PASSED_FOR = {"address": "its address", "gate": "the gate's command"}


class NoHost(Exception):
    """The configuration has no host of this name. `cure` says which there are."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.words, self.cure = words, cure


class NotDone(Exception):
    """The host takes nothing, or what was begun there is out of sight."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.words, self.cure = words, cure


@dataclass(frozen=True)
class Passing:
    """A gate that was passed: when (ISO, UTC) and by whom."""

    at: str
    by: str


def host_of(config: Config, name: str) -> Host:
    """Raises NoHost."""
    if name in config.hosts:
        return config.hosts[name]
    if not config.hosts:
        raise NoHost(f"there is no host {name!r}, and no other",
                     "Write [hosts.NAME] with its address into coordinator.toml or the user's own configuration.")
    raise NoHost(f"there is no host {name!r}", f"Known are {', '.join(config.hosts)}: coordinator hosts list")


def in_order(config: Config) -> tuple[str, ...]:
    """Names of all hosts, the default first, then as they were written."""
    return tuple(sorted(config.hosts, key=lambda name: not config.hosts[name].default))


def enabled(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The hosts that take work without a gate, the default first. Raises ConfigError."""
    from coordinator.app.jobs import configuration

    config = configuration(environ)
    return tuple(name for name in in_order(config) if config.hosts[name].enabled)


def default_of(config: Config) -> str:
    """The default host's name; "" for none."""
    return next((name for name, host in config.hosts.items() if host.default), "")


def reach(host: Host, environ: Mapping[str, str]) -> Ssh:
    """Nothing is connected before the first command."""
    from coordinator.adapters.executors.ssh import Ssh, control_folder

    return Ssh(host.address, host.ssh, control_folder(environ), environ)


def gates(config: Config, environ: Mapping[str, str]) -> Mapping[str, str]:
    """For each host "" where it takes work, else words that say why not and what to do."""
    return {name: _closed(config, name, environ) for name in config.hosts}


def passing(config: Config, name: str, environ: Mapping[str, str]) -> Passing | None:
    """When and by whom the gate was passed that is in force; None where none is."""
    found = _recorded(name, environ)
    if not found or _moved(config.hosts[name], found):
        return None
    return Passing(str(found.get("at", "")), str(found.get("by", "")))


def record(config: Config, name: str, environ: Mapping[str, str]) -> Passing:
    """The gate of this host was passed just now. Raises OSError."""
    import getpass
    import socket

    from coordinator.adapters.system.notebook import Notebook
    from coordinator.app import now

    host = config.hosts[name]
    made = Passing(now().isoformat(timespec="seconds"), f"{getpass.getuser()}@{socket.gethostname()}")
    noted = {"host": name, "address": host.address, "gate": host.gate, "at": made.at, "by": made.by}
    text = json.dumps(noted, indent=2)
    Notebook(_note(name, environ)).change(lambda _: f"{text}\n")
    return made


def close(name: str, environ: Mapping[str, str]) -> bool:
    """Forgets that the gate was passed; whether it had been. Raises OSError."""
    from coordinator.adapters.system.notebook import Notebook

    if not _recorded(name, environ):
        return False
    Notebook(_note(name, environ)).change(lambda _: "{}\n")
    return True


def _closed(config: Config, name: str, environ: Mapping[str, str]) -> str:
    host = config.hosts[name]
    if host.enabled:
        return ""
    found = _recorded(name, environ)
    moved = _moved(host, found)
    if found and not moved:
        return ""
    why = wording.changed(moved) if found else wording.NEVER_PASSED
    return wording.closed(name, why, host.gate_doc, default_of(config))


def _moved(host: Host, found: Mapping[str, Any]) -> list[str]:
    """What is another than it was when the gate was passed, in words."""
    return [words for key, words in _PASSED_FOR.items() if found.get(key) != getattr(host, key)]


def _recorded(name: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """What was noted; nothing where that cannot be read: a gate is closed in doubt."""
    from coordinator.runfiles import atomic

    try:
        found = json.loads(atomic.read(str(_note(name, environ))) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _note(name: str, environ: Mapping[str, str]) -> Path:
    return state_home(environ) / "coordinator" / "hosts" / f"{name}.json"
