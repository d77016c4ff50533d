"""Plan files as one group of commands: `coordinator plan …`."""

from __future__ import annotations

import typer

from coordinator.cli.commands import bare, fill

_HERE = "coordinator.cli.plans"
HELP = "Plan files: many tasks as one undertaking."
COMMANDS = {
    **dict.fromkeys(("check", "show"), f"{_HERE}.checking"),
    "new": f"{_HERE}.making",
    **dict.fromkeys(("run", "resume"), f"{_HERE}.running"),
    "status": f"{_HERE}.looking",
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    made = bare("plan", HELP)
    made.callback()(_named)
    fill(made, COMMANDS, ())
    app.add_typer(made, name="plan")


def _named() -> None:
    """Plan files: many tasks as one undertaking."""
