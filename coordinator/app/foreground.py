"""Builders for what runs in front of a person: one agent without run files, one command asked again and again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.planning.polling import Look, Rules, check_limit, judge

if TYPE_CHECKING:
    from coordinator.ports import Command, Credentials, Readiness, Settings

__all__ = [
    "Foreground", "Look", "Rules", "become", "check", "check_limit", "judge", "masked", "prepare", "ready",
]  # fmt: skip


@dataclass(frozen=True)
class Foreground:
    """An agent about to be started in this process's place."""

    command: Command
    credentials: Credentials
    prompt: str


def ready(provider: str, model: str, environ: Mapping[str, str]) -> Readiness:
    """Whether the agent can be started: asked before anything is. Raises ConfigError."""
    from coordinator.adapters.providers import provider as named
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app.gates import without_tokens

    return named(provider).ready(SystemProbe(without_tokens(environ)), _settings(provider, model, environ))


def prepare(provider: str, prompt: str, prompt_file: str, model: str, environ: Mapping[str, str]) -> Foreground:
    """How the agent is started here. Raises AuthUnresolved, ConfigError; ValueError for bad settings."""
    from coordinator.adapters.providers import provider as named
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app.gates import without_tokens
    from coordinator.ports import RunSpec

    agent, cleaned, settings = named(provider), without_tokens(environ), _settings(provider, model, environ)
    credentials = agent.credentials(SystemProbe(cleaned), settings)
    command = agent.command(RunSpec(
        task_id="headless", attempt=1, prompt=prompt, prompt_file=Path(prompt_file or "/dev/stdin").absolute(),
        worktree=Path.cwd(), session_id="", settings=settings, environ=cleaned,
        as_root=os.geteuid() == 0, credentials=credentials,
    ))  # fmt: skip
    return Foreground(command, credentials, prompt)


def become(run: Foreground) -> None:
    """This process becomes the agent. Raises OSError when it cannot be started; else never returns."""
    from coordinator.adapters.system import foreground

    stdin = run.prompt if run.command.stdin == "prompt" else ""
    foreground.become(run.command.argv, env=run.command.env, stdin=stdin)


def check(command: str, environ: Mapping[str, str], limit: float) -> tuple[int, str]:
    """Exit code (124 = no answer within `limit` seconds) and output of the user's own command, the last megabyte."""
    from coordinator.adapters.system.run import run

    ran = run(["/bin/sh", "-c", command], env=environ, timeout=limit, last=1 << 20)
    return ran.code, ran.out if not ran.err else f"{ran.out.rstrip()}\n{ran.err}"


def masked(text: str, environ: Mapping[str, str]) -> str:
    """The text without what the environment keeps secret."""
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(environ)).text(text)


def _settings(provider: str, model: str, environ: Mapping[str, str]) -> Settings:
    from coordinator.app import provider_settings
    from coordinator.app.jobs import configuration
    from coordinator.ports import Settings

    given = provider_settings(configuration(environ)).get(provider, Settings())
    return replace(given, model=model or given.model)
