"""dispatch: one command on another host, its output as it comes, its exit code ours; or as a batch job of Slurm, which
is submitted and not waited for. Also named dx-dispatch."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from coordinator.cli.commands import bare
from coordinator.cli.hosts.common import AWAY, JsonFlag, configured, spoken, table
from coordinator.cli.program import INTERRUPTED, run_program
from coordinator.cli.trouble import GENERAL, USAGE, Trouble
from coordinator.domain.worker import SLURM

if TYPE_CHECKING:
    from coordinator.app.batch_dispatching import Wish
    from coordinator.config import Config

NAME = "dx-dispatch"
_WORDS = {"allow_interspersed_args": False, "help_option_names": ["-h", "--help"]}
"""What stands behind the host is the command's, options included."""
_CODES = {"wrong": USAGE, "refused": GENERAL, "interrupted": INTERRUPTED}


class _Dispatch(TyperCommand):
    """Behind the word slurm options are still ours, up to the first other word or `--`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        words = self._behind(ctx, args)
        if words[:1] == [SLURM]:
            command = self._behind(ctx, words[1:])
            before, ours = args[:len(args) - len(words)], words[1:len(words) - len(command)]
            args = [*_undashed(before), *_undashed(ours), SLURM, "--", *command]
        return super().parse_args(ctx, args)

    def _behind(self, ctx: Any, args: list[str]) -> list[str]:
        """All from the first word on that is no option."""
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        host, command = found.get("host"), found.get("command")
        return [host, *(command if isinstance(command, (list, tuple)) else ())] if isinstance(host, str) else []


def _undashed(options: list[str]) -> list[str]:
    return options[:-1] if options[-1:] == ["--"] else options


def add_to(app: typer.Typer) -> None:
    app.command(context_settings=_WORDS, cls=_Dispatch)(dispatch)


def dx_dispatch() -> int:
    """One command and no others: `dx-dispatch HOST "COMMAND"`."""
    app = bare(NAME, "")
    add_to(app)
    return run_program(app, NAME, sys.argv[1:])


def dispatch(
    host: Annotated[str, typer.Argument(metavar="HOST", help="A name of [hosts], or slurm.")] = "",
    command: Annotated[list[str] | None, typer.Argument(
        metavar="-- COMMAND...", help="One word is a line for the shell there; several are quoted.")] = None,
    after: Annotated[list[str] | None, typer.Option(
        metavar="JOB", help="slurm: this job must have ended well first; may be given several times.")] = None,
    array: Annotated[str, typer.Option(metavar="SPEC", help="slurm: an array with these indices, as 0-7%2.")] = "",
    name: Annotated[str, typer.Option(metavar="WORD", help="slurm: the job's name; else dispatch.")] = "",
    workdir: Annotated[str, typer.Option(
        metavar="DIR", help="slurm: where it begins and leaves its output; else the home there.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="What was dispatched, and how it ended.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Run one command on another host, with that host's own environment; its exit code is ours.

    26: the host is out of reach, or its gate is closed. Ctrl-C ends the command there. With slurm for a host it becomes
    a batch job: its id is printed, and it is not waited for."""
    if listed:
        return _list(as_json=as_json)
    words = (command or [])[1:] if (command or [])[:1] == ["--"] else command or []
    if not host or not any(word.strip() for word in words):
        what = "a command is missing" if host else "a host and a command are missing"
        raise Trouble(what, "coordinator dispatch HOST -- COMMAND, or --list", code=USAGE)
    from coordinator.app.batch_dispatching import NAME as USUAL
    from coordinator.app.batch_dispatching import Wish

    if host == SLURM:
        wish = Wish(tuple(after or ()), array, name or USUAL, workdir)
        return _submit(configured(), words, wish, as_json=as_json)
    if as_json:
        raise Trouble("--json goes with --list or slurm", "The output of a command is passed on as it is.", code=USAGE)
    if after or array or name or workdir:
        raise Trouble("--after, --array, --name and --workdir go with slurm", "coordinator dispatch slurm -- COMMAND",
                      code=USAGE)
    from coordinator.app import dispatching

    config = configured()
    sys.stdout.flush()
    with spoken():
        return dispatching.dispatch(config, host, words, os.environ, _show, _say)


def _submit(config: Config, words: list[str], wish: Wish, *, as_json: bool) -> int:
    from dataclasses import asdict

    from coordinator.app import batch_dispatching

    try:
        with spoken():
            made = batch_dispatching.submit(config, words, wish, os.environ, _say)
    except batch_dispatching.NotSubmitted as error:
        raise Trouble(error.words, error.cure, code=_CODES.get(error.how, AWAY)) from error
    if as_json:
        from coordinator.cli.jobs.reading import print_json

        print_json(asdict(made))
        return 0
    print(made.id)
    _say(f"submitted as {made.name}; its output: {made.output}")
    _say(f"watch it: coordinator batch watch --slurm --jobs {made.id}")
    return 0


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
          [[one.at, one.host, f"{one.how} as {one.id}" if one.id else one.how, code, f"{one.seconds:.1f}s", one.command]
           for one, code in zip(outcomes, ended, strict=True)])  # fmt: skip
    return 0
