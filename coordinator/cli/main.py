"""The command `coordinator`: one list of commands.

Each command imports what it needs when it runs: `status` in a `watch` loop must start in a blink.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from coordinator.cli import asking, checking, configuring, reading, rehearsing, running, setting_up
from coordinator.cli.jobs.group import group
from coordinator.cli.program import run_program

app = typer.Typer(
    name="coordinator",
    help="Labelled GitHub issues become pull requests.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for register in (running, reading, asking, setting_up, checking, configuring, rehearsing):
    register.add_to(app)


app.add_typer(group("Agent jobs started by hand: start, watch, stop, restart, judge."), name="job")


@app.command()
def version() -> None:
    """Print the version."""
    from coordinator import __version__

    print(f"coordinator {__version__}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command of `coordinator` and returns its exit code. Never raises."""
    return run_program(app, "coordinator", sys.argv[1:] if argv is None else argv)
