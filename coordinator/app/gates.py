"""Builders for the gates before work: is a provider ready, are the beads in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app.credentials import without_tokens

if TYPE_CHECKING:
    from coordinator.planning.beads import Gate, Wanted
    from coordinator.ports import Readiness

__all__ = ["Gate", "Readiness", "Wanted", "beads_gate", "beads_wanted", "known_provider", "preflight"]

EXTERNAL, REMOTE = "bd", "stars-end/bd"
"""Where the beads of all lie below HOME, and what their origin must contain, where the environment says nothing."""


def preflight(
    name: str, environ: Mapping[str, str], say: Callable[[str], None], *, live: bool
) -> tuple[Readiness, ...]:
    """One line a question, the first bad one last where nothing can be asked after it. An answer of the agent is asked
    for once a day, or when `live`. Raises UnknownProvider, ConfigError."""
    from coordinator.adapters.providers import provider
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.adapters.system.proving import proven
    from coordinator.app import now, provider_settings
    from coordinator.app.faces import state_home
    from coordinator.app.jobs import configuration
    from coordinator.ports import Settings

    settings = provider_settings(configuration(environ)).get(name, Settings())
    probe, note = SystemProbe(without_tokens(environ), say), state_home(environ) / "coordinator" / "preflight.json"
    return tuple(proven(provider(name), probe, settings, note, now(), live=live))


def known_provider(name: str) -> str:
    """Words that list the providers when there is none of this name, else ""."""
    from coordinator.app import provider_names

    names = sorted(provider_names())
    return "" if name in names else f"Known are {', '.join(names)}."


def beads_wanted(repo: Path, environ: Mapping[str, str], *, probe_id: str, write: bool, flush: bool) -> Wanted:
    """What the beads gate examines, the environment's wishes included."""
    from coordinator.planning.beads import Wanted

    named, home = environ.get("BEADS_REPO_PATH", "").strip(), Path(environ.get("HOME") or "/")
    external = home / named.removeprefix("~/") if named.startswith("~/") else Path(named) if named else home / EXTERNAL
    return Wanted(
        repo=repo.absolute(),
        external=external.absolute(),
        remote=environ.get("BEADS_REPO_REMOTE_SUBSTR", "").strip() or REMOTE,
        probe_id=probe_id,
        write=write,
        flush=flush,
        strict=environ.get("BEADS_FLUSH_STRICT", "").strip() == "1",
    )


def beads_gate(wanted: Wanted, environ: Mapping[str, str]) -> Gate:
    """Asks until there is a verdict; what it holds is masked."""
    from coordinator.adapters.system.beads import BeadsHost
    from coordinator.planning.beads import Answer, Ask, next_step
    from coordinator.runfiles.masking import Masker, secrets_in

    host, answers = BeadsHost(environ), dict[str, Answer]()
    step = next_step(wanted, answers)
    while isinstance(step, Ask):
        if step.program:
            heard = host.find(step.program)
        elif step.argv:
            heard = host.run(step.where, step.argv)
        else:
            heard = host.text(step.where, step.files)
        answers[step.name] = Answer(*heard)
        step = next_step(wanted, answers)
    return _masked(step, Masker(secrets_in(environ)).text)


def _masked(gate: Gate, mask: Callable[[str], str]) -> Gate:
    from dataclasses import replace

    return replace(
        gate,
        details=mask(gate.details),
        cure=mask(gate.cure),
        external_remote=mask(gate.external_remote),
        warnings=tuple(map(mask, gate.warnings)),
    )
