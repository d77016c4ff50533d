"""What GitHub tells us, in our own words: issues, label events, comments and pull requests."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

GHOST = "ghost"
"""GitHub's name for the author of what a deleted account wrote. Nobody is trusted under it."""
GONE = "gone"
"""The state of an issue that was moved to another repository or deleted."""


@dataclass(frozen=True)
class Issue:
    """One issue as last seen. `state` is open, closed or GONE; `updated_at` is GitHub's, to the second."""

    number: int
    title: str
    body: str
    state: str
    labels: frozenset[str]
    author: str
    url: str
    created_at: datetime
    updated_at: datetime
    assignees: tuple[str, ...] = ()
    is_pull: bool = False
    blocked_by_count: int = 0

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of its words."""
        return fingerprint(self.title, self.body)

    @property
    def open(self) -> bool:
        return self.state == "open"

    @property
    def over(self) -> str:
        """What ended it, in words."""
        return "the issue was moved away or deleted" if self.state == GONE else "the issue was closed"


@dataclass(frozen=True)
class LabelEvent:
    """Somebody set or took away a label. `id` is GitHub's event id and grows with time."""

    id: int
    label: str
    actor: str
    added: bool
    at: datetime


@dataclass(frozen=True)
class Comment:
    id: int
    author: str
    body: str
    url: str
    created_at: datetime


@dataclass(frozen=True)
class Edit:
    """Somebody changed a title or a body. `editor` "" where GitHub does not tell who; `permission` as in Vet."""

    at: datetime
    editor: str
    permission: str = ""


@dataclass(frozen=True)
class History:
    """Title and body of one moment, and who changed them since they were first written. Edits up to `missing_until`
    may be missing: there were more than GitHub tells at once."""

    title: str
    body: str
    edits: tuple[Edit, ...] = ()
    missing_until: datetime | None = None


@dataclass(frozen=True)
class Remark:
    """A comment with all who changed it since, None where that cannot be told."""

    author: str
    body: str
    created_at: datetime
    editors: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Remarks:
    """The newest comments, oldest first, and how many older ones were not looked at."""

    told: tuple[Remark, ...] = ()
    older: int = 0


class PullState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True)
class PullRequest:
    """A pull request. `head_owner` is the account that holds the head branch ("" when it was deleted)."""

    number: int
    url: str
    state: PullState
    draft: bool
    title: str
    author: str
    head_ref: str
    head_sha: str
    head_owner: str
    base_ref: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Vet:
    """What had to be asked about one labelled issue before it may start, true for `issue_updated_at`.

    `actor` is who set the trigger label last, `permission` what GitHub says of them
    (admin, maintain, write, triage, read, none). `blocked_by` are the numbers of GitHub's own relation. `sure`:
    asked so late that no further change can carry the same `issue_updated_at`, which counts whole seconds.
    `edits` are those of title and body that may count against it, `missing_until` as in History, `blind` why nobody can
    tell of edits, "" where somebody did. `sha256` is the fingerprint of the words that were looked at; `times` how
    often it was asked for the same labels, the last time `asked_at` by our clock. All other times are GitHub's.
    """

    number: int
    issue_updated_at: datetime
    label_event_id: int
    actor: str
    permission: str
    blocked_by: tuple[int, ...]
    retry_event_id: int = 0
    retry_actor: str = ""
    retry_permission: str = ""
    sure: bool = True
    labelled_at: datetime | None = None
    retried_at: datetime | None = None
    edits: tuple[Edit, ...] = ()
    missing_until: datetime | None = None
    blind: str = ""
    sha256: str = ""
    asked_at: datetime | None = None
    times: int = 1

    def of(self, issue: Issue) -> bool:
        """Whether it still tells of this issue. The words are compared too: two changes may be of one second."""
        same = self.issue_updated_at == issue.updated_at
        return same and self.sha256 == issue.sha256


def fingerprint(title: str, body: str) -> str:
    """sha256 of what a trusted person approved by setting the label."""
    return hashlib.sha256(f"{title}\0{body}".encode("utf-8", "replace")).hexdigest()
