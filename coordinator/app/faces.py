"""The names under which the job runner is installed: each is the same program with other defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

JOBS_VARIABLE = "COORDINATOR_JOBS_DIR"


@dataclass(frozen=True)
class Face:
    """`folder` is the name's own job folder ("" = the repository's, else the user's); `flat`: run files lie in it
    itself, not in a folder for each provider. `provider` is started where none is named. `spelling` is the name whose
    words are written and printed ("" = ours). `gated`: work is started under allowed folders alone."""

    name: str
    folder: str = ""
    flat: bool = False
    provider: str = "claude"
    spelling: str = ""
    gated: bool = False


COORDINATOR = Face("coordinator job")
# Older runners' places. Made 0700, and another user's is refused.
CC_GLM_JOB = Face("cc-glm-job", "/tmp/cc-glm-jobs", flat=True, provider="cc-glm", spelling="cc-glm-job")  # noqa: S108
DX_RUNNER = Face("dx-runner", "/tmp/dx-runner", provider="claude", spelling="dx-runner", gated=True)  # noqa: S108


@dataclass(frozen=True)
class Where:
    """A job folder and its layout. `notice` is said once: why it is not the folder that was expected."""

    folder: Path
    flat: bool
    notice: str = ""


def where(face: Face, log_dir: str, environ: Mapping[str, str]) -> Where:
    """`--log-dir` (flat), COORDINATOR_JOBS_DIR, the name's own, the repository's, the user's. Touches nothing."""
    if log_dir:
        return Where(Path(log_dir).absolute(), flat=True)
    if environ.get(JOBS_VARIABLE):
        return Where(Path(environ[JOBS_VARIABLE]).absolute(), flat=False)
    if face.folder:
        return _ours(Where(Path(face.folder), face.flat))
    from coordinator.config.rooting import FILE, find_root

    root = find_root(Path.cwd())
    if root is not None and (root / FILE).is_file():
        return Where(root / ".coordinator" / "jobs", flat=False)
    return Where(state_home(environ) / "coordinator" / "jobs", flat=False)


def _ours(place: Where) -> Where:
    """Another user may have made the folder in /tmp first: then ours stands beside it."""
    try:
        owner = place.folder.lstat().st_uid
    except OSError:
        return place
    if owner == os.geteuid():
        return place
    beside = place.folder.with_name(f"{place.folder.name}-{os.geteuid()}")
    words = f"{place.folder} belongs to user id {owner}: your jobs are in {beside}"
    return replace(place, folder=beside, notice="" if beside.is_dir() else words)


def state_home(environ: Mapping[str, str]) -> Path:
    """The XDG rule: an empty or relative XDG_STATE_HOME counts as unset."""
    base = environ.get("XDG_STATE_HOME", "")
    return Path(base) if base.startswith("/") else Path(environ.get("HOME") or "/") / ".local" / "state"
