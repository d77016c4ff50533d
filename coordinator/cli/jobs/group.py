"""The job runner as one group of commands: `coordinator job …`, and the same under the older runners' names."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from coordinator.app.faces import COORDINATOR, Face
from coordinator.cli.commands import bare, fill

_HERE = "coordinator.cli.jobs"
COMMANDS = {
    **dict.fromkeys(("status", "health", "check", "tail", "report"), f"{_HERE}.reading"),
    **dict.fromkeys(("start", "restart", "stop", "finalize", "prune", "unblock", "set-override"), f"{_HERE}.acting"),
    "watchdog": f"{_HERE}.watching",
    **dict.fromkeys(("preflight", "beads-gate"), f"{_HERE}.gates"),
    "headless": f"{_HERE}.headless",
    "batch": f"{_HERE}.batching",
    "diagnose": f"{_HERE}.diagnosing",
}  # fmt: skip


def add_to(app: typer.Typer) -> None:
    app.add_typer(group(COORDINATOR), name="job")


def group(face: Face, argv: Sequence[str] = ()) -> typer.Typer:
    """The program under this name, as this command line needs it; whole for none."""
    made = bare(face.name, "Agent jobs started by hand: start, watch, stop, restart, judge.")

    @made.callback(invoke_without_command=True)
    def named(
        ctx: typer.Context, version: bool = typer.Option(False, "--version", "-V", help="Print the version.")
    ) -> None:
        """Agent jobs started by hand: start, watch, stop, restart, judge."""
        ctx.find_root().obj = face
        if version:
            from coordinator import __version__

            print(f"{face.name} {__version__}")
            raise typer.Exit

    fill(made, COMMANDS, argv)
    return made
