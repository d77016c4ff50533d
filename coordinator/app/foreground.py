"""Builders for what runs in front of a person: one agent without run files, one command asked again and again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.planning.polling import NO_ANSWER, Look, Rules, check_limit, judge

if TYPE_CHECKING:
    from coordinator.ports import Command, Credentials, Readiness, Settings

__all__ = ["NO_ANSWER", "Agent", "Foreground", "Look", "Rules", "become", "check", "check_limit", "judge", "masked",
           "masked_data"]


@dataclass(frozen=True)
class Foreground:
    """An agent about to be started in this process's place."""

    command: Command
    credentials: Credentials
    prompt: str


class Agent:
    """An agent of this provider as this host can start it; what it asks the host once it knows afterwards. `say` is
    given lines for people. Raises ConfigError."""

    def __init__(self, provider: str, model: str, environ: Mapping[str, str], say: Callable[[str], None]) -> None:
        from coordinator.adapters.providers import provider as named
        from coordinator.adapters.system.probe import SystemProbe
        from coordinator.app.credentials import without_tokens

        self._agent, self._environ = named(provider), without_tokens(environ)
        self._probe, self._settings = SystemProbe(self._environ, say), _settings(provider, model, environ)

    def ready(self) -> Readiness:
        """Whether it can be started: asked before anything is."""
        from coordinator.ports import NoModel, Readiness

        line = self._agent.ready(self._probe, self._settings)
        if line.ok:
            try:
                self._agent.choose(self._probe, self._settings)
            except NoModel as none:
                return Readiness(ok=False, words=none.words, reason=none.reason, cure=none.cure, code=none.code)
        return line

    def prepare(self, prompt: str, prompt_file: str) -> Foreground:
        """How it is started here. Raises NotReady; ValueError for bad settings."""
        from coordinator.ports import RunSpec

        settings = replace(self._settings, model=self._agent.choose(self._probe, self._settings).model)
        credentials = self._agent.credentials(self._probe, settings)
        command = self._agent.command(RunSpec(
            task_id="headless", attempt=1, prompt=prompt, prompt_file=Path(prompt_file or "/dev/stdin").absolute(),
            worktree=Path.cwd(), session_id="", settings=settings, environ=self._environ,
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


def masked_data(data: Any, environ: Mapping[str, str]) -> Any:
    """The same of plain data, value by value."""
    from coordinator.runfiles.masking import Masker, secrets_in

    return Masker(secrets_in(environ)).value(data)


def _settings(provider: str, model: str, environ: Mapping[str, str]) -> Settings:
    from coordinator.app import provider_settings
    from coordinator.app.jobs import configuration
    from coordinator.ports import Settings

    given = provider_settings(configuration(environ)).get(provider, Settings())
    return replace(given, model=model or given.model)
