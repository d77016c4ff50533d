"""Commands stand in tables, so that a program loads and builds the one it was called for and no other.

Building all of them costs more than most of them need to answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import typer

Table = Mapping[str, str]
"""Command word -> the module that registers it by its `add_to`."""


def bare(name: str, help_text: str) -> typer.Typer:
    """A program without commands."""
    return typer.Typer(
        name=name, help=help_text, no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False, context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip


def fill(app: typer.Typer, table: Table, argv: Sequence[str]) -> None:
    """Registers the command that `argv` begins with; all of the table's when it begins with none of them."""
    word = argv[0] if argv else ""
    wanted = (table[word],) if word in table else tuple(dict.fromkeys(table.values()))
    for module in wanted:
        add_to: Callable[[typer.Typer], None] = import_module(module).add_to
        add_to(app)
    if word in table:
        app.registered_commands = [one for one in app.registered_commands if _word(one) == word]
        app.registered_groups = [one for one in app.registered_groups if one.name == word]


def words(app: typer.Typer) -> set[str]:
    """Every word that a program answers to."""
    return {_word(one) for one in app.registered_commands} | {str(one.name) for one in app.registered_groups}


def _word(command: Any) -> str:
    return str(command.name or command.callback.__name__.replace("_", "-"))
