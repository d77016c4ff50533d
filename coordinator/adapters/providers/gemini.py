"""Gemini: `gemini --output-format stream-json`, the prompt on stdin. What is said here was measured on 0.61.0.

It would start itself anew as a child and let every signal end in the parent: GEMINI_CLI_NO_RELAUNCH keeps it one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from coordinator.adapters.providers.cli import CliProvider, first_set
from coordinator.adapters.providers.environment import KEYS
from coordinator.domain.walls import Own
from coordinator.ports import AuthUnresolved, Credentials, Probe, Settings
from coordinator.runfiles.masking import mask

MODEL = "gemini-3-flash-preview"

_KEY = "GEMINI_API_KEY"
_AUTH = (_KEY, "GOOGLE_API_KEY")
_VERTEX = ("GOOGLE_API_KEY", "GOOGLE_CLOUD_PROJECT")
_LOGINS = ("oauth_creds.json", "gemini-credentials.json")
_SHOWN = ("settings.json", "GEMINI.md", ".env", "commands", "extensions", "google_accounts.json", "installation_id")
_ADDRESSES = {"GOOGLE_GEMINI_BASE_URL": "", "GOOGLE_VERTEX_BASE_URL": "",
              "CODE_ASSIST_ENDPOINT": "https://cloudcode-pa.googleapis.com"}
"""Where its requests go where nobody says otherwise: set, since it would read what is unset from the worktree's .env,
and a repository could lead the key to a place of its own."""

_CHECKED = {"NODE_TLS_REJECT_UNAUTHORIZED": "1"}
"""Node's own default, set likewise: with 0 and a proxy in its .env a repository could read the key on its way."""

_CHOSEN = re.compile(r'"selectedType"\s*:\s*"([^"]*)"')


class Gemini(CliProvider):
    """The `gemini` provider."""

    name = "gemini"
    program = "gemini"
    install = "npm install -g @google/gemini-cli"
    supported = ((0, 61, 0), (1, 0, 0))
    own = (*KEYS["gemini"], *_ADDRESSES, "GOOGLE_CLOUD_*", "GOOGLE_APPLICATION_CREDENTIALS")
    fixed: Mapping[str, str] = {"GEMINI_CLI_NO_RELAUNCH": "true"}

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """What the CLI itself would take: a login that its settings choose, Vertex where the environment asks for it, a
        key of the environment or of its own .env file, else a login. GOOGLE_API_KEY alone it would not look at."""
        del settings
        environ, home = probe.environ(), _home(probe.environ())
        login = next((home / name for name in _LOGINS if probe.read(home / name)), None)
        chosen = _CHOSEN.search(probe.read(home / "settings.json") or "")
        if login and chosen and chosen.group(1).startswith("oauth"):
            return Credentials("login", "login", str(login))
        if environ.get("GOOGLE_GENAI_USE_VERTEXAI") == "true" and first_set(environ, _VERTEX):
            return Credentials(first_set(environ, _VERTEX), "vertex")
        found = first_set(environ, _AUTH)
        if found:
            return Credentials(found, "environment", env={_KEY: environ[found].strip()})
        if re.search(rf"^[ \t]*(?:export[ \t]+)?{_KEY}[ \t]*=[ \t]*\S", probe.read(home / ".env") or "", re.MULTILINE):
            return Credentials(".env", "configuration", str(home / ".env"))
        if login:
            return Credentials("login", "login", str(login))
        raise AuthUnresolved(
            "gemini_auth_missing",
            f"gemini: no credentials: {_KEY} and GOOGLE_API_KEY are unset and nobody is logged in",
            f"export {_KEY}=...",
        )

    def argv(self, settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
        words = [settings.binary or self.program, "-m", self.model(settings, environ), "--output-format", "stream-json"]
        if environ.get("GEMINI_NO_YOLO", "").strip().lower() != "true":
            words.append("--yolo")
        return (*words, "--skip-trust", *settings.args)

    def model(self, settings: Settings, environ: Mapping[str, str]) -> str:
        return settings.model or environ.get("GEMINI_MODEL", "").strip() or MODEL

    def env(self, environ: Mapping[str, str], settings: Settings, credentials: Credentials) -> dict[str, str]:
        return {**_ADDRESSES, **_CHECKED, **super().env(environ, settings, credentials)}

    def at_home(self, environ: Mapping[str, str]) -> Own:
        folder, given = _home(environ), environ.get("GOOGLE_APPLICATION_CREDENTIALS", "")
        read = (*(folder / name for name in _SHOWN), *((Path(given),) if given else ()))
        return Own((folder,), read, tuple(folder / name for name in _LOGINS))

    def facts(self, environ: Mapping[str, str]) -> dict[str, str]:
        return {"base_url": mask(environ.get("GOOGLE_GEMINI_BASE_URL", ""))}


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("GEMINI_CLI_HOME") or environ.get("HOME") or "/") / ".gemini"
