"""headless: one run of an agent in the foreground. It writes no run files; the agent takes this process's place, so its
exit code, its pid and its output are the agent's own."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.common import read_prompt
from coordinator.cli.jobs.usage import MISUSED, OldUsage
from coordinator.cli.trouble import GENERAL, NO_PROVIDER, Trouble
from coordinator.cli.views.harmless import harmless

if TYPE_CHECKING:
    from coordinator.app.foreground import Foreground

AUTH_CODES = (10, 11)
STARTED = "%Y-%m-%dT%H:%M:%SZ"


def add_to(app: typer.Typer) -> None:
    app.command(cls=OldUsage)(headless)


def headless(
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the agent is sent.")] = "",
    prompt_file: Annotated[
        str, typer.Option("--prompt-file", metavar="FILE", help="Its whole content is sent instead.")
    ] = "",
    provider: Annotated[str, typer.Option(help="Which agent.")] = "cc-glm",
    model: Annotated[str, typer.Option(help="Instead of the configured one.")] = "",
) -> None:
    """Run an agent once, here and now; its exit code is returned.

    1 when it could not be started, 2 for wrong usage, 10 and 11 without credentials."""
    from coordinator.app import foreground, gates

    if bool(prompt.strip()) == bool(prompt_file):
        which = "both --prompt and --prompt-file" if prompt_file else "no prompt"
        raise Trouble(f"there is {which}", "Give --prompt TEXT, or --prompt-file FILE.", code=MISUSED)
    if not model.isprintable():
        raise Trouble(f"--model {model!r} holds a control character", "Give the model's name.", code=MISUSED)
    known = gates.known_provider(provider)
    if known:
        raise Trouble(f"there is no provider {provider!r}", known, code=NO_PROVIDER)
    text = read_prompt(prompt_file) if prompt_file else prompt
    agent = foreground.Agent(provider, model, os.environ, lambda line: print(harmless(line), file=sys.stderr))
    ready = agent.ready()
    if not ready.ok:
        raise Trouble(f"{ready.words}; nothing was started", ready.cure,
                      code=ready.code if ready.code in AUTH_CODES else GENERAL)
    try:
        run = agent.prepare(text, prompt_file)
    except ValueError as wrong:
        raise Trouble(str(wrong), "Nothing was started.") from wrong
    _report(provider, run)
    try:
        foreground.become(run)
    except OSError as error:
        raise Trouble(f"{run.command.argv[0]} could not be started: {error.strerror}") from error


def _report(provider: str, run: Foreground) -> None:
    """What is about to run, for whoever reads the log afterwards; never the key."""
    from coordinator import app

    facts = {
        "at": app.now().strftime(STARTED),
        "provider": provider,
        "model": run.command.model or "its own choice",
        "auth_source": run.command.auth_source or "its own",
        "pid": str(os.getpid()),
    }
    print(f"LAUNCH {' '.join(f'{name}={harmless(value)}' for name, value in facts.items())}", file=sys.stderr)
    if os.environ.get("CC_GLM_REPORT_AUTH_SOURCE") == "1":
        place = f" ({run.credentials.place})" if run.credentials.place else ""
        print(f"AUTH_SOURCE {run.credentials.source or 'its own'}{harmless(place)}", file=sys.stderr)
