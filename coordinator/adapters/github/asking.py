"""Asking one repository: budget before, errors after, ETags remembered between, writes through the seam."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from coordinator.adapters.github.budget import Meter
from coordinator.adapters.github.edits import refusals
from coordinator.adapters.github.failures import failure, refused_by_graphql
from coordinator.adapters.github.payloads import Unreadable, items
from coordinator.adapters.github.transport import Answer, Transport
from coordinator.adapters.system.seam import crossing
from coordinator.ports import Clock, Limited, TryLater

PER_PAGE = 100
_REMEMBERED = 128
"""Answers kept for If-None-Match; the oldest used goes first."""
_NEXT = re.compile(r'<([^>]+)>;[^,]*rel="?next"?')


class Asker:
    """`path` is below the repository (`issues/5`), from the API's root with a leading slash, or a whole URL."""

    def __init__(self, repo: str, transport: Transport, meter: Meter, clock: Clock) -> None:
        self._repo = repo
        self._transport = transport
        self._meter = meter
        self._clock = clock
        self._memory: OrderedDict[str, Answer] = OrderedDict()
        self._guard = Lock()

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, new_work: bool = False) -> Answer:
        """A 304 gives the remembered answer again, with status 304."""
        url = self._url(path, query)
        known = self._memory.get(url)
        answer = self._ask("GET", url, headers=_condition(known.headers.get("etag", "") if known else ""),
                           new_work=new_work)
        if answer.status == 304 and known is not None:
            self._remember(url, known)   # other threads may have pushed it out meanwhile
            return Answer(304, {**known.headers, **answer.headers}, known.data)
        if "etag" in answer.headers:
            self._remember(url, answer)
        return answer

    def _remember(self, url: str, answer: Answer) -> None:
        with self._guard:
            self._memory.pop(url, None)
            self._memory[url] = answer
            while len(self._memory) > _REMEMBERED:
                self._memory.popitem(last=False)

    def look(self, path: str, query: Mapping[str, Any], etag: str) -> Answer:
        """A conditional request whose ETag the caller keeps; a 304 has no data."""
        return self._ask("GET", self._url(path, query), headers=_condition(etag))

    def pages(self, path: str, query: Mapping[str, Any] | None = None, *,
              new_work: bool = False) -> Iterator[list[dict[str, Any]]]:
        """Every page, by the Link header, whatever form its addresses have."""
        answer = self.get(path, {**(query or {}), "per_page": PER_PAGE}, new_work=new_work)
        yield listed(answer, path)
        while (following := next_page(answer)) is not None:
            answer = self.get(following, new_work=new_work)
            yield listed(answer, path)

    def all(self, path: str, query: Mapping[str, Any] | None = None, *, new_work: bool = False) -> list[dict[str, Any]]:
        return [one for page in self.pages(path, query, new_work=new_work) for one in page]

    def write(self, verb: str, path: str, body: Any = None) -> Any:
        with crossing("github", f"{verb} {path}"):
            return self._ask(verb, self._url(path), body=body).data

    def graphql(self, query: str, number: int, *, new_work: bool = False, **more: str) -> Any:
        """The data that answers a query about one issue. Raises NotThere, Refused, TryLater, and Reserved where the
        hour's points are used up: GraphQL counts apart from all else, which need not wait."""
        owner, _, name = self._repo.partition("/")
        return self._graphql(query, {"owner": owner, "name": name, "number": number, **more}, new_work=new_work)

    def order(self, what: str, query: str, wanted: Mapping[str, Any]) -> Any:
        """The same for a mutation with this input: a write, called `what` in the crossing."""
        with crossing("github", what):
            return self._graphql(query, {"input": dict(wanted)}, new_work=False)

    def _graphql(self, query: str, variables: Mapping[str, Any], *, new_work: bool) -> Any:
        asked = {"query": query, "variables": dict(variables)}
        answer = self._ask("POST", self._transport.graphql_url, body=asked, new_work=new_work)
        try:
            wrong = tuple(refusals(answer.data))
        except Unreadable as error:
            raise strange("graphql", error) from error
        if wrong:
            raise refused_by_graphql(wrong, answer.headers, self._clock.now())
        return answer.data.get("data")

    def _ask(self, verb: str, url: str, *, body: Any = None, headers: Mapping[str, str] | None = None,
             new_work: bool = False) -> Answer:
        self._meter.check(self._clock.now(), new_work=new_work)
        answer = self._transport.send(verb, url, body, headers)
        now = self._clock.now()
        self._meter.note(answer.status, answer.headers, now)
        if answer.status in {304, 200, 201, 204}:
            return answer
        wrong = failure(f"{verb} {url.partition('?')[0]}", answer.status, answer.headers, answer.data, now)
        if isinstance(wrong, Limited):
            self._meter.close(wrong)
        raise wrong

    def _url(self, path: str, query: Mapping[str, Any] | None = None) -> str:
        below = f"/repos/{self._repo}/{path}" if path else f"/repos/{self._repo}"
        whole = path if path.startswith(("/", "http://", "https://")) else below
        return f"{whole}?{urlencode(query)}" if query else whole


def _condition(etag: str) -> dict[str, str]:
    return {"If-None-Match": etag} if etag else {}


def next_page(answer: Answer) -> str | None:
    found = _NEXT.search(answer.headers.get("link", ""))
    return found[1] if found else None


def listed(answer: Answer, path: str) -> list[dict[str, Any]]:
    try:
        return items(answer.data)
    except Unreadable as error:
        raise strange(path, error) from error


def strange(path: str, error: Unreadable) -> TryLater:
    return TryLater(f"GET {path}: the answer is not what GitHub gives there ({error}); "
                    "a proxy or another server may stand between")
