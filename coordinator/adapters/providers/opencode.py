"""opencode: `opencode run --format json`, the prompt on stdin. What is said here of the CLI was measured on 1.18.33.

What it would ask a person about it refuses when nobody is there, and ends with exit code 0: --auto lets all pass that
its configuration does not deny. Its errors and why it waits stand in its own log alone, which is sent to stderr. A
repository's own opencode.json could lead the key to another address, so only the user's configuration counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coordinator.adapters.providers import opencode_models as models
from coordinator.adapters.providers.cli import CliProvider, first_set
from coordinator.adapters.providers.environment import KEYS
from coordinator.domain.walls import Own
from coordinator.ports import AuthUnresolved, Choice, Credentials, NoModel, Probe, Readiness, Settings

LIST_TIMEOUT = 12.0

_AUTH = ("ZHIPU_API_KEY", "OPENCODE_API_KEY", "OPENCODE_AUTH_CONTENT")
_FILES = ("opencode.json", "opencode.jsonc", "config.json")
_SHOWN = ("AGENTS.md", "agent", "agents", "command", "commands", "mode", "modes", "plugin", "plugins", "skill",
          "skills")
_FOLDERS = (("XDG_DATA_HOME", ".local/share"), ("XDG_CONFIG_HOME", ".config"))
_OWN_PROVIDER = '"provider"'


class OpenCode(CliProvider):
    """The `opencode` provider."""

    name = "opencode"
    program = "opencode"
    install = "npm install -g opencode-ai"
    supported = ((1, 18, 0), (2, 0, 0))
    own = KEYS["opencode"]
    fixed: Mapping[str, str] = {"OPENCODE_DISABLE_AUTOUPDATE": "1", "OPENCODE_DISABLE_PROJECT_CONFIG": "1"}

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """A key of the environment, else the CLI's own login, else a provider of its configuration, whose key is the
        operator's affair (`environment` in coordinator.toml lets it pass)."""
        del settings
        environ = probe.environ()
        found = first_set(environ, _AUTH)
        if found:
            return Credentials(found, "environment")
        login = _folder(environ, "XDG_DATA_HOME", ".local/share") / "auth.json"
        if '"' in (probe.read(login) or ""):
            return Credentials("login", "login", str(login))
        if _OWN_PROVIDER in environ.get("OPENCODE_CONFIG_CONTENT", ""):
            return Credentials("OPENCODE_CONFIG_CONTENT", "configuration")
        for path in _configurations(environ):
            if _OWN_PROVIDER in (probe.read(path) or ""):
                return Credentials(path.name, "configuration", str(path))
        raise AuthUnresolved(
            "opencode_auth_missing",
            "opencode: no credentials: ZHIPU_API_KEY and OPENCODE_API_KEY are unset, nobody is logged in, and its "
            "configuration names no provider",
            "opencode auth login",
        )

    def argv(self, settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
        return (
            settings.binary or self.program, "run", "--format", "json", "--print-logs", "--log-level", "ERROR",
            "--auto", "--model", self.model(settings, environ), *settings.args,
        )  # fmt: skip

    def model(self, settings: Settings, environ: Mapping[str, str]) -> str:
        return models.wish(settings, environ).order[0]

    def choose(self, probe: Probe, settings: Settings) -> Choice:
        return models.choose(models.wish(settings, probe.environ()), self._listed(probe, settings))

    def at_home(self, environ: Mapping[str, str]) -> Own:
        data, settings = (_folder(environ, *where) for where in _FOLDERS)
        named = [Path(environ[name]) for name in ("OPENCODE_CONFIG", "OPENCODE_CONFIG_DIR") if environ.get(name)]
        return Own((data, settings), (*named, *(settings / name for name in (*_FILES, *_SHOWN))), (data / "auth.json",))

    def own_lines(self, probe: Probe, settings: Settings) -> tuple[Readiness, ...]:
        asked, listed = models.wish(settings, probe.environ()), self._listed(probe, settings)
        try:
            chosen = models.choose(asked, listed)
        except NoModel as none:
            return (Readiness(ok=False, words=none.words, reason=none.reason, cure=none.cure, code=none.code),)
        instead = f" in place of {asked.order[0]}" if chosen.fallback_reason else ""
        unseen = "" if listed is not None else ", unseen: `opencode models` gave no list"
        return (Readiness(ok=True, words=f"opencode: model {chosen.model}{instead}{unseen}"),)

    def _listed(self, probe: Probe, settings: Settings) -> tuple[str, ...] | None:
        env = self.env(probe.environ(), settings, Credentials())
        text = probe.recent([settings.binary or self.program, "models"], timeout=LIST_TIMEOUT, env=env)
        return None if text is None else models.listed_in(text)


def _folder(environ: Mapping[str, str], variable: str, below_home: str) -> Path:
    base = environ.get(variable, "")
    return (Path(base) if base.startswith("/") else Path(environ.get("HOME") or "/") / below_home) / "opencode"


def _configurations(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """The files in which the CLI looks for its configuration."""
    named = [Path(environ["OPENCODE_CONFIG"])] if environ.get("OPENCODE_CONFIG") else []
    folders = [_folder(environ, "XDG_CONFIG_HOME", ".config")]
    folders += [Path(environ["OPENCODE_CONFIG_DIR"])] if environ.get("OPENCODE_CONFIG_DIR") else []
    return (*named, *(folder / name for folder in folders for name in _FILES))
