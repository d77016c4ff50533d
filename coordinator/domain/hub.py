"""What GitHub tells of a repository as a whole, and of how often it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coordinator.domain.issue import Issue, PullRequest


@dataclass(frozen=True)
class Listing:
    """`changed` False = 304, `issues` empty, `cursor` as before. The cursor is opaque text to be stored
    together with the issues; `full` = this was a complete listing of all open issues."""

    changed: bool
    issues: tuple[Issue, ...]
    cursor: str
    full: bool = False


@dataclass(frozen=True)
class PullListing:
    changed: bool
    pulls: tuple[PullRequest, ...]


@dataclass(frozen=True)
class RepoFacts:
    """What GitHub says of the repository and of us. `scopes` None = a fine-grained token shows none."""

    full_name: str
    default_branch: str
    clone_url: str
    login: str
    can_push: bool
    scopes: tuple[str, ...] | None
    server_time: datetime | None = None


@dataclass(frozen=True)
class Budget:
    """The primary rate limit as last seen, and our own counts since the process started."""

    remaining: int | None = None
    limit: int | None = None
    reset_at: datetime | None = None
    requests: int = 0
    not_modified: int = 0
