"""doctor: one line a question, each fault with the command that mends it; exit 21 when one must be mended."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from coordinator.cli.trouble import NOT_READY

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    live: Annotated[bool, typer.Option("--live", help="Ask the agent for an answer, whatever was known.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of level, words, cure.")] = False,
) -> int:
    """Check everything that a run needs, without changing it."""
    from coordinator import app
    from coordinator.app import host

    checks = host.examine_host(app.place(), os.environ, live=live)
    failed = False
    collected = []
    for one in checks:
        failed = failed or one.level == "fail"
        if as_json:
            collected.append({"level": one.level, "words": one.words, "cure": one.cure})
        else:
            _print(one.level, one.words, one.cure)
    if as_json:
        import json

        print(json.dumps(collected, ensure_ascii=False, indent=2))
    return NOT_READY if failed else 0


def _print(level: str, words: str, cure: str) -> None:
    from coordinator.cli.views.fitting import clean

    arrow = f"  → {clean(cure)}" if cure else ""
    rest = f"{clean(words)}{arrow}"
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        print(f"{level:<4}  {rest}", flush=True)
        return
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False, soft_wrap=True).print(Text(f"{level:<4}", style=_STYLES[level]), Text(f" {rest}"))
