"""What a command printed lately: asked once a minute, whichever of this user's processes want to know. What it printed
before stands in where it fails now, however old; a note of it is the one thing written."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from coordinator.adapters.system.files import SystemFiles

HOLDS = 60.0
"""Seconds."""


class Runs(Protocol):
    def __call__(
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None
    ) -> tuple[int, str, str]: ...


def recent(run: Runs, argv: Sequence[str], *, timeout: float, env: Mapping[str, str], notes: Path) -> str | None:
    """`notes` is the folder for the notes, one a command and environment; None when the command never ended well."""
    note = notes / hashlib.sha256(repr((tuple(argv), sorted(env.items()))).encode()).hexdigest()
    known, age = _noted(note)
    if known is not None and 0 <= age < HOLDS:
        return known
    code, out, _ = run(argv, timeout=timeout, env=env)
    if code != 0:
        return known
    _keep(note, out)
    return out


def _noted(note: Path) -> tuple[str | None, float]:
    try:
        return note.read_text("utf-8", "replace"), time.time() - note.stat().st_mtime
    except OSError:
        return None, 0.0


def _keep(note: Path, text: str) -> None:
    try:
        SystemFiles().put(note, text)
    except OSError:
        pass   # it is asked again the next time
