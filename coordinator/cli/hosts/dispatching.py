"""dispatch: one command on another host, its output as it comes, its exit code ours; also named dx-dispatch."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from coordinator.cli.commands import bare
from coordinator.cli.hosts.common import JsonFlag, configured, spoken, table
from coordinator.cli.program import run_program
from coordinator.cli.trouble import USAGE, Trouble

NAME = "dx-dispatch"
_WORDS = {"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]}
"""What stands behind the host is the command's, options included."""


def add_to(app: typer.Typer) -> None:
    app.command(context_settings=_WORDS)(dispatch)


def dx_dispatch() -> int:
    """One command and no others: `dx-dispatch HOST "COMMAND"`."""
    app = bare(NAME, "")
    add_to(app)
    return run_program(app, NAME, sys.argv[1:])


def dispatch(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A name of [hosts].")] = "",
    command: Annotated[list[str] | None, typer.Argument(
        metavar="-- COMMAND...", help="One word is a line for the shell there; several are quoted.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="What was dispatched, and how it ended.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Run one command on another host, with that host's own environment; its exit code is ours.

    26: the host is out of reach, or its gate is closed. Ctrl-C ends the command there."""
    if listed:
        return _list(as_json=as_json)
    words = (command or [])[1:] if (command or [])[:1] == ["--"] else command or []
    if not host or not any(word.strip() for word in words):
        what = "a command is missing" if host else "a host and a command are missing"
        raise Trouble(what, "coordinator dispatch HOST -- COMMAND, or --list", code=USAGE)
    if as_json:
        raise Trouble("--json goes with --list", "The output of a command is passed on as it is.", code=USAGE)
    from coordinator.app import dispatching

    config = configured()
    sys.stdout.flush()
    with spoken():
        return dispatching.dispatch(config, host, words, os.environ, _show, _say)


def _show(data: bytes) -> None:
    sys.stderr.flush()
    sys.stderr.buffer.write(data)
    sys.stderr.buffer.flush()


def _say(words: str) -> None:
    print(words, file=sys.stderr)


def _list(*, as_json: bool) -> int:
    from dataclasses import asdict

    from coordinator.app import dispatching

    outcomes = dispatching.recorded(os.environ)
    if as_json:
        from coordinator.cli.jobs.reading import print_json

        print_json([asdict(one) for one in outcomes])
        return 0
    if not outcomes:
        print("nothing was dispatched yet")
        return 0
    ended = ["-" if one.exit_code is None else str(one.exit_code) for one in outcomes]
    table(("AT", "HOST", "ENDED", "EXIT", "TOOK", "COMMAND"),
          [[one.at, one.host, one.how, code, f"{one.seconds:.1f}s", one.command]
           for one, code in zip(outcomes, ended, strict=True)])  # fmt: skip
    return 0
