"""GLM through the claude CLI: the same program and walls, another maker's address, model and key.

It prints plain text unless a stream is asked for, so a run without a result is judged by its exit code. The key is in
the worker's environment alone: never in argv, in a run file or in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from coordinator.adapters.providers import claude, glm_key, preflight
from coordinator.adapters.providers.command import events_or_words
from coordinator.adapters.providers.environment import KEYS, others_keys, worker_env
from coordinator.adapters.providers.judging import judge
from coordinator.domain.outcome import Outcome
from coordinator.domain.walls import Own
from coordinator.ports import (
    Choice,
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
from coordinator.runfiles.tongues import CLAUDE

BASE_URL = "https://api.z.ai/api/anthropic"
MODEL = "glm-5"
TIMEOUT_MS = "3000000"

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
        return glm_key.resolve(probe, settings)

    def choose(self, probe: Probe, settings: Settings) -> Choice:
        del probe
        return Choice(settings.model)

    def command(self, spec: RunSpec) -> Command:
        """Raises ValueError for a setting that cannot work."""
        claude.refuse_skipping(spec)
        known, speaks = spec.credentials, "claude" if spec.stream else "text"
        settings, env = _led(spec.settings, spec.environ, known)
        return Command(
            argv=claude.argv(settings, spec.session_id, speaks=speaks, sources=_sources(known)),
            env=env,
            stdin="prompt",
            stop_signal="INT",
            auth_source=known.source,
            model=settings.model,
            speaks=speaks,
            facts={
                "auth_mode": known.mode,
                "base_url": mask(env.get("ANTHROPIC_BASE_URL", "")),
                "timeout_ms": env.get("API_TIMEOUT_MS", ""),
            },
            own=_at_home(spec.environ, known),
        )

    def events(self, line: bytes) -> tuple[Said, ...]:
        return events_or_words(line)

    def judge(self, run: Finished) -> Outcome:
        return judge(self.name, run, CLAUDE) if run.streamed else judge(self.name, run, plain=True)

    def ready(self, probe: Probe, settings: Settings) -> Readiness:
        questions: tuple[Callable[[], Readiness], ...] = (
            lambda: self._binary(probe, settings),
            lambda: _sound(probe.environ()),
            lambda: preflight.credentials(self, probe, settings),
        )
        return preflight.first_failure(ask() for ask in questions)   # the last may take a while: not asked in vain

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
            known = self.credentials(probe, settings)
            chosen, env = _led(settings, probe.environ(), known)
            argv = claude.argv(chosen, session_id="", sources=_sources(known))
            lines.append(preflight.live_answer(probe, self, argv, env))
        return tuple(lines)

    def _binary(self, probe: Probe, settings: Settings) -> Readiness:
        return preflight.binary(probe, self.name, claude.program(settings), claude.INSTALL)


# --- model, address, time ---------------------------------------------------------------------------


def _led(settings: Settings, environ: Mapping[str, str], known: Credentials) -> tuple[Settings, dict[str, str]]:
    """The settings with their model, and the agent's whole environment. Raises ValueError.

    A login of claude's own is never sent to another maker's address: with it, address and model are its owner's, unless
    a model is asked for."""
    asked = settings.model or environ.get("CC_GLM_MODEL", "").strip()
    if known.alone:
        bypass = replace(settings, model=asked)
        return bypass, claude.claude_env(environ, bypass)
    if not known.env:
        raise ValueError("cc-glm: a worker without a key of its own is not started")
    named = replace(settings, model=asked or MODEL)   # always named: the CLI does not know CC_GLM_MODEL
    return named, _env(environ, named, _wires(environ), known)


def _at_home(environ: Mapping[str, str], known: Credentials) -> Own:
    """With a key of its own neither the user's settings nor their login are its business."""
    whole = claude.at_home(environ)
    return Own(whole.folders) if known.env else whole


def _sources(known: Credentials) -> str:
    """Whose settings files count: the user's may set a key or an address, which would go before the environment."""
    return "user" if known.alone else ""


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
