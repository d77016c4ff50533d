"""The group `coordinator batch …`: jobs or tasks that are judged together."""

from __future__ import annotations

import typer

from coordinator.cli.commands import bare, fill

_HERE = "coordinator.cli.batches"
COMMANDS = {
    **dict.fromkeys(("status", "watch"), f"{_HERE}.looking"),
    **dict.fromkeys(("cancel", "clean", "resubmit", "resume", "hold", "note"), f"{_HERE}.acting"),
    "report": f"{_HERE}.reporting",
}


def add_to(app: typer.Typer) -> None:
    made = bare("batch", "Many jobs or tasks as one: watched, judged, ended, started again, reported.")
    fill(made, COMMANDS, ())
    app.add_typer(made, name="batch")
