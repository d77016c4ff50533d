"""What an escalation needs besides the run files: which programs are here, and a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.adapters.system.probe import SystemProbe

PROGRAMS = ("git", "claude", "opencode", "gemini", "codex", "bd")
_PATIENCE = 10.0


def versions(environ: Mapping[str, str]) -> Iterator[str]:
    """One line a program: ours, the interpreter, git, and what agents are started by. They get no secret to print."""
    import platform
    import sys

    from coordinator import __version__
    from coordinator.adapters.system.probe import SystemProbe

    yield f"coordinator {__version__}"
    yield f"python {platform.python_version()} ({sys.executable})"
    plain = {key: environ[key] for key in ("PATH", "HOME", "LANG") if key in environ}
    probe = SystemProbe(plain)
    for name in PROGRAMS:
        place = probe.which(name)
        yield f"{name}: {_version(probe, place)} ({place})" if place else f"{name}: not on PATH"


def _version(probe: SystemProbe, place: str) -> str:
    code, out, err = probe.run([place, "--version"], timeout=_PATIENCE)
    first = next(iter((out or err).strip().splitlines()), "")
    return first[:200] if code == 0 and first else f"gave no version (exit {code}) {first[:200]}".rstrip()


def room(folder: Path) -> str:
    """What is free where the folder lies."""
    from coordinator.adapters.system.files import SystemFiles
    from coordinator.domain.room import Floors, levels

    while not folder.is_dir() and folder.parent != folder:
        folder = folder.parent
    try:
        found = SystemFiles().room(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    words = ", ".join(one.words for one in levels(found, Floors()))
    return f"{folder}: {words}"


def keep(output: str, text: str) -> Path:
    """Writes it for its owner's eyes alone, 0600, and returns where: `output`, or in the folder for temporary files
    under a name that nobody can guess and wait at. A link in the place is replaced, never followed. Raises OSError."""
    from coordinator.adapters.system.seam import crossing
    from coordinator.runfiles import atomic

    fresh = f"coordinator-diagnosis-{secrets.token_hex(6)}.txt"
    folder = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the name is fresh, and its file ours alone
    path = (Path(output) if output else Path(folder) / fresh).absolute()
    with crossing("file", str(path)):
        atomic.write(str(path), text.encode("utf-8", "replace"), 0o600)
    return path
