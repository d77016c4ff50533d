"""The command `coordinator`: which commands there are, and in which module each stands.

Each command imports what it needs when it runs: `status` in a `watch` loop must start in a blink.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from coordinator.cli.commands import bare, fill
from coordinator.cli.program import run_program

HELP = "Labelled GitHub issues become pull requests."
COMMANDS = {
    **dict.fromkeys(("run",), "coordinator.cli.running"),
    **dict.fromkeys(("status", "why", "view"), "coordinator.cli.reading"),
    **dict.fromkeys(("stop", "retry", "pause", "resume", "rebuild", "clean", "reset-errors", "request"),
                    "coordinator.cli.asking"),
    "init": "coordinator.cli.setting_up",
    "doctor": "coordinator.cli.checking",
    "config": "coordinator.cli.configuring",
    "rehearse": "coordinator.cli.rehearsing",
    "plan": "coordinator.cli.plans.group",
    "job": "coordinator.cli.jobs.group",
    "batch": "coordinator.cli.batches.group",
    "hosts": "coordinator.cli.hosts.group",
    "dispatch": "coordinator.cli.hosts.dispatching",
    "wait": "coordinator.cli.jobs.waiting",
    "version": "coordinator.cli.main",
}  # fmt: skip


HOLDERS = ("run", "plan", "doctor", "init", "clean")
"""Commands that ask for the GitHub token; one that is a coordinator for its own request alone takes it in by itself.
The others hand a person's commands that person's environment."""


def add_to(app: typer.Typer) -> None:
    app.command()(version)


def version() -> None:
    """Print the version."""
    from coordinator import __version__

    print(f"coordinator {__version__}")


def program(argv: Sequence[str] = ()) -> typer.Typer:
    """The program as this command line needs it; whole for none."""
    app = bare("coordinator", HELP)
    app.callback()(_named)
    fill(app, COMMANDS, argv)
    return app


def _named(ctx: typer.Context) -> None:
    """Labelled GitHub issues become pull requests."""
    if ctx.invoked_subcommand in HOLDERS:
        from coordinator.app import take_in

        take_in()


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command of `coordinator` and returns its exit code. Never raises."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["job"]:
        from coordinator.app.faces import COORDINATOR
        from coordinator.cli.jobs.faces import run_as

        return run_as(COORDINATOR, words[1:])
    return run_program(program(words), "coordinator", words)
