"""One REST call as values: what came in, what goes out, and the record of both."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from .git_payloads import GitPayloads
from .world import Issue, Refused, Repository, Token, World, invalid

PER_PAGE = 30
PER_PAGE_MOST = 100


@dataclass(frozen=True)
class Exchange:
    """A request that was answered (or cut): what tests read and what is checked against the description.

    Bodies are parsed JSON; None stands for no body and for git's packs. `status` 0 means cut off;
    `canned` that a test's `intercept` answered in our place.
    """

    method: str
    path: str
    query: dict[str, str]
    request_headers: dict[str, str]
    request_body: Any
    login: str | None
    status: int
    response_headers: dict[str, str]
    response_body: Any
    canned: bool = False


# What `StandIn.intercept` may answer: go on, a canned answer, or a connection cut before or after the deed.
Canned = tuple[int, Mapping[str, str], Any]
Interception = str | Canned | None
Intercept = Callable[[str, str], Interception]


@dataclass(frozen=True)
class Incoming:
    """A request as it was read; header names are in small letters, `path` is still quoted."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    content: bytes

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False).encode()


@dataclass
class Call:
    """A request on its way to a route. `login` is None for somebody who shows no token."""

    world: World
    payloads: GitPayloads
    method: str
    path: str
    query: dict[str, str]
    content: bytes
    login: str | None = None
    token: Token | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    found: Repository | None = None

    @property
    def repository(self) -> Repository:
        if self.found is None:
            raise Refused(404, "Not Found")
        return self.found

    @property
    def by(self) -> str:
        if self.login is None:
            raise Refused(401, "Requires authentication")
        return self.login

    def issue(self) -> Issue:
        return self.repository.issue(int(self.arguments["number"]))

    def json(self) -> Any:
        """The parsed body; an empty one is an empty object."""
        if not self.content:
            return {}
        try:
            return json.loads(self.content)
        except ValueError as error:
            raise Refused(400, "Problems parsing JSON") from error

    def fields(self) -> dict[str, Any]:
        body = self.json()
        if not isinstance(body, dict):
            raise Refused(422, "Invalid request.\n\nFor 'links/0/schema', it is not an object.")
        return body

    def allows(self, level: str) -> bool:
        return self.world.allows(self.repository, self.login, level)

    def choice(self, name: str, default: str, *others: str) -> str:
        value = self.query.get(name, default)
        if value not in (default, *others):
            raise invalid("Search", name)
        return value

    def page(self, items: list[Any], show: Callable[[Any], Any]) -> Reply:
        """One page of `items`, with Link headers that name the repository by its id, as GitHub's do."""
        size = max(1, min(PER_PAGE_MOST, _whole(self.query.get("per_page"), PER_PAGE)))
        number = max(1, _whole(self.query.get("page"), 1))
        last = max(1, -(-len(items) // size))
        shown = [show(item) for item in items[(number - 1) * size : number * size]]
        links = self._links(number, last)
        return Reply(200, shown, {"Link": links} if links else {})

    def _links(self, number: int, last: int) -> str:
        targets = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        if number >= last:
            targets = {"prev": min(number - 1, last), "first": 1}
        if number <= 1:
            targets = {name: page for name, page in targets.items() if name in ("next", "last")}
        address = self._by_id()
        pages = {name: urlencode({**self.query, "page": page}) for name, page in targets.items()}
        return ", ".join(f'<{address}?{query}>; rel="{name}"' for name, query in pages.items())

    def _by_id(self) -> str:
        if self.found is None:
            return f"{self.payloads.base}{self.path}"
        tail = self.path.split("/", 4)[4:]
        return "/".join([f"{self.payloads.base}/repositories/{self.found.id}", *tail])


def text(fields: dict[str, Any], resource: str, name: str) -> str | None:
    """A string field of the body, None when absent or null; anything else is refused."""
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise invalid(resource, name)


def needed(fields: dict[str, Any], name: str) -> str:
    """A string field that must be there, refused with GitHub's words when it is not."""
    value = fields.get(name)
    if not isinstance(value, str):
        raise Refused(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
    return value


def names(value: Any, resource: str, name: str) -> list[str]:
    """A list of names, given as strings or as objects with a `name`."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise invalid(resource, name)
    found = [item.get("name") if isinstance(item, dict) else item for item in value]
    if not all(isinstance(item, str) for item in found):
        raise invalid(resource, name)
    return [str(item) for item in found]


def _whole(value: str | None, default: int) -> int:
    try:
        return int(value or default)
    except ValueError:
        return default
