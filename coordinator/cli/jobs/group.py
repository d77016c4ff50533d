"""The job runner as one group of commands: `coordinator job …`, and the same under the older runners' names."""

from __future__ import annotations

import typer

from coordinator.cli.jobs import acting

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def group(help_text: str) -> typer.Typer:
    """A fresh group with every command; who calls it puts the name into the context."""
    made = typer.Typer(help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
                       pretty_exceptions_enable=False, context_settings=_SETTINGS)  # fmt: skip
    for register in (acting,):
        register.add_to(made)
    return made
