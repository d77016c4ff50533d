"""An agent's preflight with its proof: one real answer in a fresh folder. What a proof costs, time and tokens, is paid
once a day for each program version, source of credentials, address and model; a note of it is the one thing written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.adapters.system.files import SystemFiles
from coordinator.ports import Probe, Provider, Readiness, Settings

ANSWER_HOLDS = timedelta(days=1)

_LEADING = ("_MODEL", "_BASE_URL", "_ENDPOINT")
"""How the variables end that lead an agent to another model or address than it would ask."""


def proven(
    provider: Provider, probe: Probe, settings: Settings, note: Path, now: datetime, *, live: bool
) -> Iterator[Readiness]:
    """The preflight's lines, each when it is known. A proof that holds is not asked for again, unless `live`."""
    cheap = provider.preflight(probe, settings, live=False)
    yield from cheap
    if not all(one.ok for one in cheap):
        return
    key = f"{provider.name}: {settings.model}; " + "; ".join((*(one.words for one in cheap), _led(probe, settings)))
    known = _noted(note)
    if not live and _fresh(known.get(key, ""), now):
        yield Readiness(ok=True, words=f"{provider.name}: answered within the last day (--live asks anew)")
        return
    answer = [one for one in provider.preflight(probe, settings, live=True) if one not in cheap]
    yield from answer
    if answer and all(one.ok for one in answer):
        others = {name: at for name, at in known.items() if not name.startswith(f"{provider.name}: ")}
        _keep(note, {**others, key: now.isoformat()})


def _led(probe: Probe, settings: Settings) -> str:
    """What else decides who answers, as a digest: an address and an argument may hold a secret."""
    leading = sorted((name, value) for name, value in probe.environ().items() if name.endswith(_LEADING) and value)
    return hashlib.sha256(repr((settings, leading)).encode("utf-8", "surrogateescape")).hexdigest()


def _noted(note: Path) -> Mapping[str, str]:
    try:
        found = json.loads(SystemFiles().read(note) or "{}")
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _fresh(answered: str, now: datetime) -> bool:
    try:
        return timedelta(0) <= now - datetime.fromisoformat(answered) < ANSWER_HOLDS
    except (ValueError, TypeError):
        return False


def _keep(note: Path, answers: Mapping[str, str]) -> None:
    try:
        SystemFiles().put(note, json.dumps(answers, ensure_ascii=False) + "\n")
    except OSError:
        pass   # it is asked again the next time
