"""Codex: `codex exec --json`, the prompt on stdin. What is said here of the CLI was measured on 0.169.0.

Its own sandbox is switched off: in a linked worktree it would keep the agent from committing, since git's folder lies
in the main checkout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coordinator.adapters.providers import preflight
from coordinator.adapters.providers.cli import CliProvider, first_set
from coordinator.domain.walls import Own
from coordinator.ports import AuthUnresolved, Credentials, Probe, Settings

_AUTH = ("CODEX_API_KEY", "OPENAI_API_KEY")
_SHOWN = ("config.toml", "AGENTS.md", "prompts", "rules", "skills")


class Codex(CliProvider):
    """The `codex` provider."""

    name = "codex"
    program = "codex"
    install = "npm install -g @openai/codex"
    supported = ((0, 150, 0), (1, 0, 0))
    own = ("OPENAI_*", "CODEX_*")
    stop_signal = "INT"

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """A key of the environment, else the CLI's own login, else a provider of its configuration file, whose key is
        the operator's affair (`environment` in coordinator.toml lets it pass)."""
        del settings
        found = first_set(probe.environ(), _AUTH)
        if found:
            return Credentials(found, "environment")
        home = preflight.home(probe, "CODEX_HOME", ".codex")
        if probe.read(home / "auth.json"):
            return Credentials("login", "login", str(home / "auth.json"))
        if "model_provider" in (probe.read(home / "config.toml") or ""):
            return Credentials("config.toml", "configuration", str(home / "config.toml"))
        raise AuthUnresolved(
            "codex_auth_missing",
            "codex: no credentials: CODEX_API_KEY and OPENAI_API_KEY are unset and nobody is logged in",
            "codex login",
        )

    def at_home(self, environ: Mapping[str, str]) -> Own:
        folder = Path(environ.get("CODEX_HOME") or Path(environ.get("HOME") or "/") / ".codex")
        return Own((folder,), tuple(folder / name for name in _SHOWN), (folder / "auth.json",))

    def argv(self, settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
        del environ
        words = [settings.binary or self.program, "exec", "--json", "--skip-git-repo-check", "--color", "never"]
        if settings.model:
            words += ["--model", settings.model]
        return (*words, "--dangerously-bypass-approvals-and-sandbox", *settings.args, "-")
