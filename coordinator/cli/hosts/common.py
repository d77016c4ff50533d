"""What the commands of hosts have in common: the configuration, errors as people see them, tables."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.config import Config

AWAY = 26
"""A host is out of reach, or its gate is closed."""
JsonFlag = Annotated[bool, typer.Option("--json", help="As JSON, and nothing else on stdout.")]


def configured() -> Config:
    """That of the repository one stands in, if any, and the user's. Raises ConfigError."""
    from coordinator.app import jobs

    return jobs.configuration(os.environ)


@contextmanager
def spoken() -> Iterator[None]:
    """What goes wrong with a host becomes words, a cure and an exit code."""
    from coordinator.app.hosts import NoHost, NotDone

    try:
        yield
    except NoHost as error:
        raise Trouble(error.words, error.cure, code=USAGE) from error
    except NotDone as error:
        raise Trouble(error.words, error.cure, code=AWAY) from error


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints it; the last column may be as long as it likes where nobody looks, and is cut on a terminal."""
    import sys

    from coordinator.cli import screen
    from coordinator.cli.views.fitting import Line, clean, columns, cut, width_of

    cells = [[clean(cell) for cell in row] for row in (head, *rows)]
    widths = [max(width_of(row[at]) for row in cells) for at in range(len(head))]
    width = screen.width() if sys.stdout.isatty() else 0
    lines = [cut(line, width) if width else line for line in columns(cells, widths)]
    screen.show([Line("title" if at == 0 else "", line) for at, line in enumerate(lines)])
