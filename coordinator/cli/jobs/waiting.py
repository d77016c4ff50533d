"""wait: for a line in a file, a command's success, jobs or a batch; or, as the older poller, asks a command again and
again until its output says done or failed. One line at the end, so that whoever waits for it reads no log."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.common import FaceContext, LogDir, checked, face_of
from coordinator.cli.jobs.usage import OldUsage, misused
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from coordinator.app.faces import Face
    from coordinator.app.foreground import Rules
    from coordinator.cli.jobs.conditions import Condition

INTERRUPTED = 130
LONGEST = 28800
LONGEST_WORDS = 300


def add_to(app: typer.Typer, name: str = "wait") -> None:
    app.command(name, cls=OldUsage)(wait)


def wait(
    ctx: FaceContext,
    regex: Annotated[
        str, typer.Option("--regex", metavar="RE", help="A line that has it, with --file or --command.")] = "",
    file: Annotated[str, typer.Option("--file", metavar="F", help="In this file, which may come later.")] = "",
    command: Annotated[str, typer.Option("--command", metavar="C", help="Until sh ends it with 0.")] = "",
    job: Annotated[list[str] | None, typer.Option("--job", metavar="ID", help="Until it has ended; may be repeated.")]
    = None,
    batch: Annotated[str, typer.Option("--batch", metavar="KEY", help="prefix:P, label:L or plan:P, until all of it "
                                       "has ended.")] = "",
    timeout: Annotated[str, typer.Option("--timeout", metavar="D", help="For these: how long; 8h at most.")] = "",
    interval: Annotated[str, typer.Option("--interval", metavar="D", help="With --command: between two runs.")] = "",
    log_dir: LogDir = "",
    check_cmd: Annotated[str, typer.Option("--check-cmd", metavar="COMMAND", help="What is asked; sh runs it.")] = "",
    success_regex: Annotated[
        str, typer.Option("--success-regex", metavar="REGEX", help="Done when it is found; without it, an exit of 0.")
    ] = "",
    failure_regex: Annotated[
        list[str] | None,
        typer.Option("--failure-regex", metavar="REGEX", help="Failed when it is found; may be repeated."),
    ] = None,
    interval_seconds: Annotated[int, typer.Option("--interval-seconds", min=1, help="Between two checks.")] = 120,
    timeout_seconds: Annotated[
        int, typer.Option("--timeout-seconds", min=1, max=LONGEST, help="In all; eight hours at most.")
    ] = LONGEST,
    max_attempts: Annotated[int, typer.Option("--max-attempts", min=0, help="Checks; 0 = as many as fit.")] = 0,
    retry_on_nonzero: Annotated[
        bool, typer.Option("--retry-on-nonzero", help="A check that fails is asked again.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing before the end.")] = False,
) -> int:
    """Wait for one thing: --file with --regex, --command, --job, --batch; or --check-cmd, the older poller.

    0 met, 1 not in time, 2 wrong usage, 130 interrupted. --check-cmd: also 2 failed; a count of zero ("0 failed") is no
    failure."""
    from coordinator.app import credentials, foreground

    credentials.hide()
    asked_for = Wanted(regex, file, command, tuple(job or ()), batch, interval, log_dir)
    old = {"--success-regex": success_regex, "--failure-regex": failure_regex, "--retry-on-nonzero": retry_on_nonzero,
           "--max-attempts": max_attempts, "--check-cmd": check_cmd.strip()}
    if asked_for.any:
        mixed = next((name for name, given in old.items() if given), "")
        if mixed:
            raise misused(f"{mixed} belongs to --check-cmd, which stands alone", "wait")
        return _hold_out(asked_for.condition(face_of(ctx)), timeout, quiet=quiet)
    if "--check-cmd" not in _given(ctx):
        raise misused("Missing option '--check-cmd'; or name --file and --regex, --command, --job or --batch", "wait")
    if not check_cmd.strip():
        raise misused("--check-cmd is empty", "wait")
    if timeout or log_dir:
        raise misused(f"{'--timeout' if timeout else '--log-dir'} means nothing to --check-cmd", "wait")
    rules = foreground.Rules(
        success=_pattern("--success-regex", success_regex) if success_regex else None,
        failures=tuple(_pattern("--failure-regex", one) for one in failure_regex or ()),
        retry_on_nonzero=retry_on_nonzero,
        interval=interval_seconds,
        timeout=timeout_seconds,
        max_attempts=max_attempts,
    )
    asked: list[int] = []
    try:
        return _poll(rules, check_cmd, asked, (lambda _: None) if quiet else _aside)
    except KeyboardInterrupt:
        print(f"interrupted after {len(asked)} checks", file=sys.stderr)
        return INTERRUPTED


@dataclass(frozen=True)
class Wanted:
    """What a command line waits for, besides --check-cmd."""

    regex: str
    file: str
    command: str
    jobs: tuple[str, ...]
    batch: str
    interval: str
    log_dir: str

    @property
    def any(self) -> bool:
        return bool(self.regex or self.file or self.command or self.jobs or self.batch or self.interval)

    def condition(self, face: Face) -> Condition:
        """Raises Trouble unless exactly one thing is named."""
        from coordinator.cli.jobs import conditions

        named = [option for option, given in (("--file", self.file), ("--command", self.command), ("--job", self.jobs),
                                              ("--batch", self.batch)) if given]
        if len(named) != 1:
            raise misused(f"{' and '.join(named)}: wait for one thing" if named else
                          "--regex and --interval say how; what is waited for? --file, --command, --job or --batch",
                          "wait")
        if self.regex and named[0] not in ("--file", "--command"):
            raise misused(f"--regex means nothing to {named[0]}", "wait")
        if self.interval and not self.command:
            raise misused(f"--interval means nothing to {named[0]}: it is looked at as often as is cheap", "wait")
        pattern = _pattern("--regex", self.regex) if self.regex else None
        if self.file:
            if pattern is None:
                raise misused("--file needs --regex: which line?", "wait")
            return conditions.LineInFile(self.file, pattern)
        if self.command:
            every = _span("--interval", self.interval) if self.interval else conditions.COMMAND_EVERY
            return conditions.CommandEndsWell(self.command, pattern, every)
        if self.jobs:
            return conditions.JobsEnded(face, self.log_dir, tuple(checked(one) for one in self.jobs))
        return conditions.batch_ended(self.batch, self.log_dir)


def _hold_out(condition: Condition, timeout: str, *, quiet: bool) -> int:
    from coordinator.cli.jobs import conditions

    seconds = _span("--timeout", timeout) if timeout else float(LONGEST)
    if seconds > LONGEST:
        raise misused(f"--timeout is {timeout}: one cycle is 8h at most; start another one after it", "wait")
    began = time.monotonic()
    try:
        if not quiet:
            _aside(f"waiting, {seconds:g} s at most")
        met, words, took = conditions.hold_out(condition, seconds)
    except KeyboardInterrupt:
        print(f"interrupted after {time.monotonic() - began:.0f} s", file=sys.stderr)
        return INTERRUPTED
    words = _shown(words)[:LONGEST_WORDS]
    print(f"met after {took:.1f} s: {words}" if met else f"not met within {took:.1f} s: {words}")
    return 0 if met else 1


def _span(option: str, text: str) -> float:
    from coordinator.config.quantities import parse_duration

    try:
        found = parse_duration(text).total_seconds()
    except ValueError as wrong:
        raise misused(f"{option} {text!r} {wrong}", "wait") from wrong
    if found <= 0:
        raise misused(f"{option} is {text}: give more than 0", "wait")
    return found


def _given(ctx: typer.Context) -> set[str]:
    """The options that stand on the command line, in their first spelling."""
    return {one.opts[0] for one in ctx.command.params
            if one.name and str(ctx.get_parameter_source(one.name)).endswith("COMMANDLINE")}


def _poll(rules: Rules, command: str, asked: list[int], say: Callable[[str], None]) -> int:
    from coordinator.app import foreground

    began = time.monotonic()
    while True:
        code, text = foreground.check(command, os.environ, foreground.check_limit(rules, time.monotonic() - began))
        asked.append(code)
        elapsed = time.monotonic() - began
        verdict = foreground.judge(rules, foreground.Look(len(asked), elapsed, code, text))
        words = _shown(verdict.words)
        if verdict.end is not None:
            print(f"{words} (check {len(asked)}, {elapsed:.0f} s)")
            return int(verdict.end)
        say(f"check {len(asked)}: {words}; again in {verdict.pause:.0f} s")
        time.sleep(verdict.pause)


def _aside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _shown(words: str) -> str:
    from coordinator.app.foreground import masked

    return " ".join(harmless(masked(words, os.environ)).split())


def _pattern(option: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise misused(f"{option} {text!r} is no regular expression: {error}", "wait") from error
