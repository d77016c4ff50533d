"""Errors that people can do something about, in words with a cure and an exit code; all others are bugs of ours."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """An expected error in words, with its cure and exit code."""

    words: str
    cure: tuple[str, ...]
    code: int


def expected(error: Exception) -> Known | None:
    """The words for an error that people can do something about; None for a bug of ours."""
    from coordinator.app import InUse, NoRepository, NoToken
    from coordinator.app.plans import BadPlanFile

    if isinstance(error, BadPlanFile):
        return Known(str(error), ("Nothing was started.",), 1)
    if isinstance(error, NoRepository):
        return Known(str(error), (), 1)
    if isinstance(error, NoToken):
        return Known(str(error), ("`coordinator doctor` shows what the token may do.",), 10)
    if isinstance(error, InUse):
        return Known(str(error), ("One at a time: `coordinator status` shows what it does.",), 1)
    from coordinator.config import ConfigError

    if isinstance(error, ConfigError):
        return Known(error.words, (error.cure,), 64)
    from coordinator import ports

    if isinstance(error, ports.StoreError | ports.GitHubError | ports.GitError):
        return Known(error.words, ("`coordinator doctor` names causes and cures.",), 1)
    if isinstance(error, ports.NewerSchema):
        return Known(str(error), ("Install the newer coordinator; nothing was touched.",), 1)
    from coordinator.adapters.system.prompts import BadPrompt

    if isinstance(error, BadPrompt):
        return Known(error.words, (error.cure, "Nothing was started."), 1)
    if isinstance(error, OSError) and error.strerror:
        name = str(error.filename or "")
        cure = (f"Look at it with: ls -ld {shlex.quote(name)}",) if name else ()
        return Known(f"{error.strerror}: {name}".rstrip(": "), cure, 1)
    return None
