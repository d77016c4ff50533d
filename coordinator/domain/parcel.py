"""A worktree on its way to a host that does not see our files, and home again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outbound:
    """A worktree on its way to a host that does not see our files: its HEAD on `branch`, and `files`, a commit with
    everything else that lies there ("" for nothing). `bundle` holds what the host lacks, None where it lacks nothing;
    `exclude` are patterns that no commit there may get, `shallow` commits whose parents we lack ourselves."""

    repository: str
    branch: str
    head: str
    files: str
    bundle: Path | None
    exclude: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    shallow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inbound:
    """What came home from there: where HEAD stood and on what (`on`, a ref or ""), the tip of the task's branch, and
    `files` as in Outbound. `sent` is the HEAD it went out with; `trouble` says why nothing came."""

    head: str
    tip: str
    on: str
    files: str
    sent: str
    bundle: Path | None
    trouble: str = ""
