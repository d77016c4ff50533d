"""What a GitHub remembers: users, tokens, repositories, issues, pull requests; plain data under one lock.

Nothing here speaks HTTP. Times are whole seconds, because GitHub's are: two changes within a second
carry the same `updated_at`, and clients must live with that.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LEVELS = ("none", "read", "triage", "write", "maintain", "admin")


class Refused(Exception):
    """A request GitHub answers with an error: status, message and the `errors` list of its body."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[dict[str, str] | str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = dict(headers or {})


def not_found() -> Refused:
    return Refused(404, "Not Found")


def invalid(resource: str, field_name: str, code: str = "invalid") -> Refused:
    """422 for a field whose value GitHub does not accept."""
    return Refused(422, "Validation Failed", [{"resource": resource, "field": field_name, "code": code}])


def gone_on(method: str, url: str) -> Refused:
    """What has another address now: GitHub answers what asks with 301, what would change something with 307."""
    return Refused(301 if method == "GET" else 307, "Moved Permanently", headers={"Location": url})


def custom(resource: str, message: str) -> Refused:
    """422 with a sentence instead of a field, as GitHub words its rules."""
    return Refused(422, "Validation Failed", [{"resource": resource, "code": "custom", "message": message}])


@dataclass
class User:
    id: int
    login: str
    permission: str
    created_at: int
    kind: str = "User"


@dataclass(frozen=True)
class Token:
    """A secret that stands for a user. `scopes` of a classic token; None for a fine-grained one.

    `grants` narrow a fine-grained token ({"issues": "write", "contents": "read"}); None grants all.
    """

    login: str
    scopes: tuple[str, ...] | None
    grants: Mapping[str, str] | None = None

    def may(self, subject: str, access: str) -> bool:
        if self.grants is None or subject == "metadata":
            return True
        held = self.grants.get(subject, "none")
        return held == "write" or (held == "read" and access == "read")


@dataclass
class Label:
    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass
class Event:
    """One line of an issue's history. `detail` holds what its kind adds (label, assignee, rename, commit)."""

    id: int
    kind: str
    actor: str
    at: int
    detail: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Edit:
    editor: str
    at: int


@dataclass
class Comment:
    id: int
    author: str
    body: str
    created_at: int
    updated_at: int
    edits: list[Edit] = field(default_factory=list)


@dataclass
class Review:
    id: int
    author: str
    body: str
    state: str
    commit_id: str
    at: int


@dataclass
class Pull:
    """The part of an issue that makes it a pull request."""

    head_repo: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    draft: bool = False
    merged_at: int | None = None
    merged_by: str | None = None
    merge_commit_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)
    judged: tuple[str, str] | None = None
    mergeable: bool | None = None


@dataclass
class Issue:
    id: int
    number: int
    title: str
    body: str | None
    author: str
    created_at: int
    updated_at: int
    state: str = "open"
    state_reason: str | None = None
    closed_at: int | None = None
    closed_by: str | None = None
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    blocked_by: list[int] = field(default_factory=list)
    pull: Pull | None = None

    def the_pull(self) -> Pull:
        """The pull request part; an issue that is none has no such address on GitHub."""
        if self.pull is None:
            raise not_found()
        return self.pull


@dataclass
class Repository:
    id: int
    owner: str
    name: str
    bare: Path
    created_at: int
    pushed_at: int
    default_branch: str = "main"
    private: bool = True
    parent: str | None = None
    delete_branch_on_merge: bool = False
    drafts: bool = True
    collaborators: dict[str, str] = field(default_factory=dict)
    labels: dict[str, Label] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    departed: dict[int, tuple[Repository, int] | None] = field(default_factory=dict)
    """Issues that were transferred, with repository and number since, or deleted (None)."""

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def issue(self, number: int) -> Issue:
        if self.departed.get(number, self) is None:
            raise Refused(410, "This issue was deleted")
        if number not in self.issues:
            raise not_found()
        return self.issues[number]

    def pulls(self) -> Iterator[tuple[Issue, Pull]]:
        for issue in self.issues.values():
            if issue.pull is not None:
                yield issue, issue.pull


class World:
    """All state of the stand-in. Every reader and writer holds `lock`."""

    def __init__(self, root: Path, clock: Callable[[], float]) -> None:
        self.root = root
        self.clock = clock
        self.lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}
        self.former: dict[str, Repository] = {}
        """Repositories by names they had before."""
        self._ids = itertools.count(1001)

    def now(self) -> int:
        return int(self.clock())

    def next_id(self) -> int:
        return next(self._ids)

    def user(self, login: str) -> User:
        found = self.users.get(login.lower())
        if found is None:
            raise not_found()
        return found

    def repository(self, full_name: str) -> Repository:
        found = self.repositories.get(full_name.lower())
        if found is None:
            raise not_found()
        return found

    def level(self, repository: Repository, login: str | None) -> int:
        """How far this user's rights reach in this repository, as an index into LEVELS."""
        if login is None:
            name = "none"
        elif login.lower() == repository.owner.lower():
            name = "admin"
        else:
            name = repository.collaborators.get(login.lower()) or self.users[login.lower()].permission
        floor = 0 if repository.private else 1
        return max(floor, LEVELS.index(name))

    def allows(self, repository: Repository, login: str | None, level: str) -> bool:
        return self.level(repository, login) >= LEVELS.index(level)
