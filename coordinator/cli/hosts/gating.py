"""hosts gate: lets a host that is disabled take work, once its check and its gate's command went well there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.hosts.checking import show_lines
from coordinator.cli.hosts.common import AWAY, configured, spoken
from coordinator.cli.trouble import Trouble

if TYPE_CHECKING:
    from coordinator.config import Config


def add_to(app: typer.Typer) -> None:
    app.command()(gate)


def gate(
    name: Annotated[str, typer.Argument(metavar="HOST")],
    shut: Annotated[bool, typer.Option("--close", help="Forget that it was passed: the host takes no work.")] = False,
) -> None:
    """Pass the gate of a host that is disabled: the check, then the gate's own command there. Recorded for its address
    and that command; when one of them changes it is closed again."""
    from coordinator.app import hosts

    config = configured()
    with spoken():
        host = hosts.host_of(config, name)
    if shut:
        print(f"the gate of {name} is closed" if hosts.close(name, os.environ) else f"the gate of {name} was not open")
        return
    if host.enabled:
        print(f"{name} is enabled: it takes work without a gate")
        return
    _examine(config, name)
    passed = hosts.record(config, name, os.environ)
    print(f"the gate of {name} is open, passed by {passed.by} at {passed.at}; shut it again: coordinator hosts gate "
          f"{name} --close")


def _examine(config: Config, name: str) -> None:
    """Raises Trouble with what is missing."""
    from coordinator.app import host_checks

    [report] = host_checks.check(config, [name], os.environ)
    show_lines(report, len(name))
    if report.missing:
        missing = "; ".join(line.words for line in report.missing)
        raise Trouble(f"the gate of {name} stays closed: {missing}", *_instead(config, name), code=AWAY)
    if config.hosts[name].gate:
        _run_gate(config, name)


def _run_gate(config: Config, name: str) -> None:
    from coordinator.app import host_checks
    from coordinator.cli.jobs.reading import shown

    with spoken():
        ended = host_checks.run_gate(config, name, os.environ)
    for line in ended.said.splitlines():
        print(f"gate  {name}  {shown(line)}")
    if ended.code:
        words = f"the gate of {name} stays closed: `{config.hosts[name].gate}` ended with {ended.code} there"
        raise Trouble(words, *_instead(config, name), code=AWAY)


def _instead(config: Config, name: str) -> list[str]:
    """Where the gate is explained, and which host takes work without one."""
    from coordinator.app import hosts

    doc, default = config.hosts[name].gate_doc, hosts.default_of(config)
    cures = [f"What it wants is explained in {doc}" if doc else f"Mend it, then: coordinator hosts gate {name}"]
    return [*cures, f"Meanwhile the default host is {default}."] if default and default != name else cures
