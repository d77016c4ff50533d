"""GLM through the claude CLI: the same program and walls, another maker's address, model and key.

It prints plain text unless a stream is asked for, so a run without a result is judged by its exit code. The key is in
the worker's environment alone: never in argv, in a run file or in words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from coordinator.adapters.providers import claude, preflight
from coordinator.adapters.providers.command import events_or_words
from coordinator.adapters.providers.environment import KEYS, others_keys, worker_env
from coordinator.adapters.providers.judging import judge
from coordinator.domain.outcome import Outcome
from coordinator.ports import (
    AuthUnresolved,
    Command,
    Credentials,
    Finished,
    Probe,
    Readiness,
    RunSpec,
    Said,
    Settings,
)
from coordinator.runfiles.masking import mask

BASE_URL = "https://api.z.ai/api/anthropic"
MODEL = "glm-5"
TIMEOUT_MS = "3000000"

DIRECT, FILE, KEY, URI = "CC_GLM_AUTH_TOKEN", "CC_GLM_TOKEN_FILE", "ZAI_API_KEY", "CC_GLM_OP_URI"
"""Where a key may come from, the first that is set goes; the last names a secret that 1Password keeps."""

_MISSING = "cc_glm_auth_missing"
_NO_KEY, _BAD_FILE = 10, 11
_VISIBLE = re.compile(r"[!-~]+")
_OP = "op://"

# The user's own settings file may set a key or an address, and would go before the environment.
_SOURCES = ""

# What claude knows of its own behaviour passes; every way to another account than the one resolved here does not.
_OWN = (
    "CLAUDE_CODE_*",
    "CLAUDE_CONFIG_DIR",
    "BASH_*_TIMEOUT_MS",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "MAX_THINKING_TOKENS",
)
_NEVER = ("CLAUDE_CODE_USE_*", *KEYS["cc-glm"], *others_keys("cc-glm"))


class CcGlm:
    """The `cc-glm` provider."""

    name = "cc-glm"

    def credentials(self, probe: Probe, settings: Settings) -> Credentials:
        """CC_GLM_AUTH_TOKEN, the file CC_GLM_TOKEN_FILE, ZAI_API_KEY. What is set and cannot be used is said; it is
        never passed over for another."""
        del settings
        environ = probe.environ()
        if environ.get(DIRECT, "").strip():
            return _found(DIRECT, "token", environ[DIRECT])
        if environ.get(FILE, "").strip():
            return _of_file(probe, _path(environ))
        if environ.get(KEY, "").strip():
            return _found(KEY, "key", environ[KEY])
        if environ.get(URI, "").strip():
            raise _sealed(URI, environ[URI].strip())
        raise _failed(f"{DIRECT}, {FILE} and {KEY} are unset", f"export {DIRECT}=...")

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a setting that cannot work."""
        claude.refuse_skipping(spec)
        if not spec.credentials.env:   # the CLI would send its own login to another maker's address
            raise ValueError("cc-glm: a worker without a key of its own is not started")
        settings, wires = _with_model(spec.settings, spec.environ), _wires(spec.environ)
        speaks = "claude" if spec.stream else "text"
        return Command(
            argv=claude.argv(settings, spec.session_id, speaks=speaks, sources=_SOURCES),
            env=_env(spec.environ, settings, wires, spec.credentials),
            stdin="prompt",
            stop_signal="INT",
            auth_source=spec.credentials.source,
            model=settings.model,
            speaks=speaks,
            facts={
                "auth_mode": spec.credentials.mode,
                "base_url": mask(wires["ANTHROPIC_BASE_URL"]),
                "timeout_ms": wires["API_TIMEOUT_MS"],
            },
        )

    def events(self, line: bytes) -> tuple[Said, ...]:
        return events_or_words(line)

    def judge(self, run: Finished) -> Outcome:
        return judge(self.name, run)

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        lines = (self._binary(probe, settings), _sound(probe.environ()), preflight.credentials(self, probe, settings))
        return preflight.first_failure(lines)

    def preflight(self, probe: Probe, settings: Settings, *, live: bool) -> tuple[Readiness, ...]:
        found = self._binary(probe, settings)
        if not found.ok:
            return (found,)
        lines = [
            preflight.version(probe, self.name, claude.program(settings), claude.SUPPORTED, claude.INSTALL),
            _sound(probe.environ()),
            preflight.credentials(self, probe, settings),
        ]
        if live and all(line.ok for line in lines):
            chosen, environ = _with_model(settings, probe.environ()), probe.environ()
            env = _env(environ, chosen, _wires(environ), self.credentials(probe, settings))
            lines.append(preflight.live_answer(probe, self, claude.argv(chosen, session_id="", sources=_SOURCES), env))
        return tuple(lines)

    def _binary(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.binary(probe, self.name, claude.program(settings), claude.INSTALL)


# --- the key ----------------------------------------------------------------------------------------


def _of_file(probe: Probe, path: Path) -> Credentials:
    stands = probe.stands(path)
    cure = f"Write the token into {path} (chmod 600), or: export {DIRECT}=..."
    if not stands:
        raise _failed(f"Token file not found: {path} ({FILE})", cure, _BAD_FILE)
    if stands != "file":
        what = "a folder" if stands == "folder" else "no regular file"
        raise _failed(f"Token file {path} ({FILE}) is {what}", cure, _BAD_FILE)
    text = probe.read(path)
    if text is None:
        raise _failed(f"Token file {path} ({FILE}) cannot be read", f"chmod u+r {path}", _BAD_FILE)
    if not text.strip():
        raise _failed(f"Token file {path} ({FILE}) is empty", cure, _BAD_FILE)
    return _found(FILE, "token_file", text, str(path), _BAD_FILE)


def _path(environ: Mapping[str, str]) -> Path:
    """The token's file; `~` is the environment's own HOME, since a quoted one is left to us by the shell."""
    text = environ[FILE].strip()
    return Path(environ.get("HOME", ""), text[2:]) if text.startswith("~/") else Path(text)


def _found(source: str, mode: str, text: str, place: str = "", code: int = _NO_KEY) -> Credentials:
    token = text.strip()
    if token.startswith(_OP):
        raise _sealed(source, token, code)
    if not _VISIBLE.fullmatch(token):
        raise _failed(
            f"the token of {place or source} holds a line break, a blank or a control character",
            "Give the token alone, on one line.",
            code,
        )
    return Credentials(source, mode, place, {"ANTHROPIC_AUTH_TOKEN": token, "ANTHROPIC_API_KEY": token})


def _sealed(source: str, uri: str, code: int = _NO_KEY) -> AuthUnresolved:
    """An op:// address instead of the secret itself."""
    words = f"{source} is an address in 1Password, which is not opened here"
    return _failed(words, f'export {DIRECT}="$(op read {_quoted(uri)})"', code)


def _quoted(uri: str) -> str:
    """The address for a command to be pasted: what could leave its quotes is not repeated."""
    return f"'{uri}'" if _VISIBLE.fullmatch(uri) and not set(uri) & set("'\"`$\\") else "op://..."


def _failed(words: str, cure: str, code: int = _NO_KEY) -> AuthUnresolved:
    return AuthUnresolved(_MISSING, f"cc-glm: AUTH TOKEN RESOLUTION FAILED: {words}", cure, code)


# --- model, address, time ---------------------------------------------------------------------------


def _with_model(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The claude CLI does not know CC_GLM_MODEL: the model is always named."""
    return replace(settings, model=settings.model or environ.get("CC_GLM_MODEL", "").strip() or MODEL)


def _wires(environ: Mapping[str, str]) -> dict[str, str]:
    """Where the CLI sends its requests and how long it waits for each. Raises ValueError."""
    url = environ.get("CC_GLM_BASE_URL", "").strip() or BASE_URL
    wait = environ.get("CC_GLM_TIMEOUT_MS", "").strip() or TIMEOUT_MS
    if not re.fullmatch(r"https?://[!-~]+", url):
        raise ValueError(f"cc-glm: CC_GLM_BASE_URL={mask(url)!r} is no address; unset it for {BASE_URL}")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", wait):
        raise ValueError(f"cc-glm: CC_GLM_TIMEOUT_MS={wait!r} is no number of milliseconds; unset it for {TIMEOUT_MS}")
    return {"ANTHROPIC_BASE_URL": url, "API_TIMEOUT_MS": wait}


def _sound(environ: Mapping[str, str]) -> Readiness:
    try:
        wires = _wires(environ)
    except ValueError as error:
        words, _, cure = str(error).partition("; ")
        return Readiness(ok=False, words=words, reason="config_error", cure=cure)
    return Readiness(ok=True, words=f"cc-glm: requests go to {mask(wires['ANTHROPIC_BASE_URL'])}")


def _env(
    environ: Mapping[str, str], settings: Settings, wires: Mapping[str, str], credentials: Credentials
) -> dict[str, str]:
    models = {f"ANTHROPIC_DEFAULT_{size}_MODEL": settings.model for size in ("OPUS", "SONNET", "HAIKU")}
    extra = {"DISABLE_AUTOUPDATER": "1", **wires, **models, **credentials.env}
    return worker_env(environ, (*_OWN, *settings.environment), extra, _NEVER)
