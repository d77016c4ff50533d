"""What the preflights of all agent CLIs have in common: each question answers with one line and its cure."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from coordinator.adapters.providers.environment import worker_env
from coordinator.domain.outcome import Ending
from coordinator.domain.reasons import provider_reason, reason
from coordinator.ports import AuthUnresolved, Finished, Probe, Provider, Readiness, Settings
from coordinator.runfiles.masking import Masker, mask, secrets_in
from coordinator.runfiles.verdict.lines import number, parse

LIVE_PROMPT = "Answer with the word ok"
LIVE_TIMEOUT = 120.0
VERSION_TIMEOUT = 20.0

Version = tuple[int, int, int]


def first_failure(lines: Iterable[Readiness]) -> Readiness:
    """The first line that is not ok, else the last."""
    last = Readiness(ok=True, words="")
    for line in lines:
        if not line.ok:
            return line
        last = line
    return last


def home(probe: Probe, override: str, folder: str) -> Path:
    """The CLI's own folder: what `override` names, else `folder` in HOME."""
    environ = probe.environ()
    return Path(environ.get(override) or Path(environ.get("HOME") or "/") / folder)


def binary(probe: Probe, name: str, program: str, cure: str) -> Readiness:
    path = probe.which(program)
    if path:
        return Readiness(ok=True, words=f"{name}: {path}")
    lame = _not_executable(probe, program)
    if lame:
        words, cure = f"{name}: {lame} is not executable", f"chmod +x {shlex.quote(lame)}"
    else:
        words = f"{name}: {program} is not installed or not on PATH"
    return Readiness(ok=False, words=words, reason=provider_reason(name, "binary_missing"), cure=cure)


def _not_executable(probe: Probe, program: str) -> str:
    """The file that would be started, were it executable."""
    folders = [""] if "/" in program else probe.environ().get("PATH", "").split(os.pathsep)
    paths = (Path(folder) / program for folder in folders)
    return next((str(path) for path in paths if probe.stands(path) == "file"), "")


def credentials(provider: Provider, probe: Probe, settings: Settings) -> Readiness:
    """Whether an agent could log in, in words that name the source and never the key."""
    try:
        found = provider.credentials(probe, settings)
    except AuthUnresolved as error:
        return Readiness(ok=False, words=error.words, reason=error.reason, cure=error.cure, code=error.code)
    place = f" ({found.place})" if found.place else ""
    return Readiness(ok=True, words=f"{provider.name}: credentials from {found.source}{place}", alone=found.alone)


def version(probe: Probe, name: str, program: str, supported: tuple[Version, Version], cure: str) -> Readiness:
    """Whether the program's version lies in `supported` (from, up to but not including)."""
    env = worker_env(probe.environ(), (), {})
    code, out, err = probe.run([program, "--version"], timeout=VERSION_TIMEOUT, env=env)
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", out)
    if code != 0 or found is None:
        words = f"{name}: `{program} --version` gave no version (exit {code}) {mask(err.strip())[:200]}".rstrip()
        return Readiness(ok=False, words=words, reason="launch_failed", cure=cure)
    major, minor, patch = (int(part) for part in found.groups())
    lowest, beyond = supported
    if lowest <= (major, minor, patch) < beyond:
        return Readiness(ok=True, words=f"{name} {found.group()}")
    span = f"{'.'.join(map(str, lowest))} to below {'.'.join(map(str, beyond))}"
    return Readiness(
        ok=False,
        words=f"{name} {found.group()} is not supported (supported: {span})",
        reason="launch_failed",
        cure=cure,
    )


def live_answer(probe: Probe, provider: Provider, argv: Sequence[str], env: Mapping[str, str]) -> Readiness:
    """One real question in a fresh folder, judged like any run: an answer without changes is what is
    wanted."""
    code, out, err = probe.run(argv, timeout=LIVE_TIMEOUT, env=env, cwd=probe.scratch(), stdin=LIVE_PROMPT)
    lines = out.encode("utf-8", "replace").splitlines()
    timed_out = code == 124
    outcome = provider.judge(
        Finished(
            code=code,
            signal=None,
            wrapper_reason="max_runtime" if timed_out else "",
            lines=lines,
            stderr_tail=err[-4000:],
            work=None,
            streamed=True,
        )
    )
    if outcome.ending is Ending.NO_CHANGE:
        return Readiness(ok=True, words=f"{provider.name}: answered{_took(lines)}{_model(outcome.model)}")
    cause = reason(outcome.reason)
    return Readiness(
        ok=False,
        words=f"{provider.name}: no answer: {cause.meaning}: {Masker(secrets_in(env)).text(outcome.detail)}",
        reason=outcome.reason,
        cure=cause.cure,
    )


def _took(lines: Iterable[bytes]) -> str:
    spent = [number(body.get("duration_ms")) for body in map(parse, lines) if body and body.get("type") == "result"]
    return f" in {spent[-1] / 1000:.1f} s" if spent and spent[-1] is not None else ""


def _model(model: str) -> str:
    return f", model {model}" if model else ""
