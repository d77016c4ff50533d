"""What is said of hosts: whether they take work, why one does not, how a command there ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def command_on(host: str, command: str = "") -> str:
    """What a person types here to have it run there."""
    return f"coordinator dispatch {host} -- {command}".rstrip()


def closed(host: str, why: str, doc: str, default: str) -> str:
    """Why a host takes no work, and what does instead."""
    read = f"read {doc}, then: " if doc else ""
    other = f"; the default host is {default}" if default and default != host else ""
    return f"{host} is disabled and {why}; {read}coordinator hosts gate {host}{other}"


NEVER_PASSED = "its gate was never passed"


def changed(what: Sequence[str]) -> str:
    verb = "have" if len(what) > 1 else "has"
    return f"its gate was passed before {' and '.join(what)} {verb} changed"


def elsewhere(hosts: Sequence[str], command: str) -> str:
    """Where else to look when nothing is here."""
    return "other hosts may hold some: " + "; ".join(command_on(host, command) for host in hosts)
