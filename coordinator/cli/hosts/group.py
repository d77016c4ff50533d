"""The group `coordinator hosts …`: machines that workers run on by ssh."""

from __future__ import annotations

import typer

from coordinator.cli.commands import bare, fill

_HERE = "coordinator.cli.hosts"
COMMANDS = {"list": f"{_HERE}.listing", "check": f"{_HERE}.checking", "gate": f"{_HERE}.gating"}


def add_to(app: typer.Typer) -> None:
    made = bare("hosts", "The machines of [hosts]: which there are, whether they are ready, their gates.")
    made.callback()(_named)
    fill(made, COMMANDS, ())
    app.add_typer(made, name="hosts")


def _named() -> None:
    """The machines of [hosts]: which there are, whether they are ready, their gates."""
