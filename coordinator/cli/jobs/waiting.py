"""wait: asks a command again and again until its output says done or failed, or the time is used up. One line at the
end, so that whoever waits for it reads no log."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.usage import OldUsage, misused
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from coordinator.app.foreground import Rules

INTERRUPTED = 130
LONGEST = 28800


def add_to(app: typer.Typer, name: str = "wait") -> None:
    app.command(name, cls=OldUsage)(wait)


def wait(
    check_cmd: Annotated[str, typer.Option("--check-cmd", metavar="COMMAND", help="What is asked; sh runs it.")],
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
    """Wait until a command's output says that something is done.

    0 done, 1 time or checks used up, 2 failed (or wrong usage), 130 interrupted. A count of zero ("0 failed") is no
    failure."""
    from coordinator.app import foreground

    if not check_cmd.strip():
        raise misused("--check-cmd is empty", "wait")
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
