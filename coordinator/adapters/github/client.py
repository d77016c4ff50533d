"""ports.GitHub on the REST interface: which address answers which question, and nothing about why it is asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from coordinator.adapters.github import cursor as cursors
from coordinator.adapters.github import drafts, edits, listing, payloads
from coordinator.adapters.github.asking import PER_PAGE, Asker, listed, next_page, strange
from coordinator.adapters.github.budget import Meter
from coordinator.adapters.github.failures import server_time
from coordinator.adapters.github.payloads import Unreadable
from coordinator.adapters.github.transport import Answer, Route, Transport
from coordinator.domain.hub import Budget, Listing, PullListing, RepoFacts
from coordinator.domain.issue import Comment, History, Issue, LabelEvent, PullRequest, Remarks
from coordinator.domain.labels import Spelling
from coordinator.ports import Clock, Forbidden, NotThere, Refused, TryLater

AS_IS = Spelling(prefixes=())
API_URL = "https://api.github.com"
PERMISSION_AGE = timedelta(minutes=10)
_IN_TROUBLE = 3
"""Pull requests that cannot be served in one listing: it is not theirs any more, but GitHub's."""
Read = TypeVar("Read")


class GitHubClient:
    """One repository. `token` is asked anew for each request, so that a renewed one is used at once; it stands in
    no message and no repr. `timeout` is in seconds, for connecting and for each wait on the answer. `head_owner` is
    the account of the fork our branches are pushed to, None where they are pushed to the repository itself. Labels are
    told in this `spelling`."""

    def __init__(self, repo: str, *, token: Callable[[], str], clock: Clock, api_url: str = API_URL,
                 timeout: float = 20.0, reserve: int = 500, ca_bundle: str | None = None, proxy: str | None = None,
                 head_owner: str | None = None, spelling: Spelling = AS_IS) -> None:
        self._repo = repo
        self._clock = clock
        self._meter = Meter(reserve)
        self._transport = Transport(Route(api_url.rstrip("/"), timeout, ca_bundle, proxy), token)
        self._ask = Asker(repo, self._transport, self._meter, clock)
        self._owner = repo.partition("/")[0]
        self._head_owner = head_owner or self._owner
        self._spelling = spelling
        self._permissions: dict[str, tuple[datetime, str]] = {}

    def __repr__(self) -> str:
        return f"GitHubClient({self._repo})"

    def close(self) -> None:
        self._transport.close()

    def budget(self) -> Budget:
        return self._meter.budget

    def facts(self) -> RepoFacts:
        answer = self._ask.get("")
        told = _read(answer, self._repo, payloads.fields)
        scopes = answer.headers.get("x-oauth-scopes")
        rights = told.get("permissions") or {}
        return RepoFacts(
            full_name=payloads.text(told, "full_name"),
            default_branch=payloads.text(told, "default_branch"),
            clone_url=payloads.text(told, "clone_url"),
            login=self._login(),
            can_push=rights.get("push") is True,
            scopes=None if scopes is None else tuple(name.strip() for name in scopes.split(",") if name.strip()),
            server_time=server_time(answer.headers),
        )

    def lacking(self, issue: int | None) -> tuple[tuple[str, str], ...]:
        """(path, GitHub's words) of what this token may not write; comments are tried on `issue`. An empty request
        changes nothing: who may write hears what it lacks (422), who may not hears that (403, 404)."""
        tried = ["pulls", "labels", *([f"issues/{issue}/comments"] if issue is not None else [])]
        return tuple((path, words) for path in tried if (words := self._denied(path)))

    def _denied(self, path: str) -> str:
        try:
            self._ask.write("POST", path, {})
        except (Forbidden, NotThere) as error:
            return error.words
        except Refused:
            pass
        return ""

    def _login(self) -> str:
        """Empty for the token of an app's installation, which has no account to show."""
        try:
            return payloads.login(self._ask.get("/user").data)
        except Forbidden:
            return ""

    # issues

    def changed_issues(self, cursor: str | None) -> Listing:
        known = cursors.read(cursor, self._repo)
        if known is None:
            return listing.everything(self._ask, self._repo, self._issue)
        return listing.since(self._ask, known, self._issue)

    def issue(self, number: int) -> Issue:
        return self._issue(self._ask.get(f"issues/{number}").data)

    def label_events(self, number: int) -> tuple[LabelEvent, ...]:
        path = f"issues/{number}/events"
        told = _of(path, self._ask.all(path, new_work=True), payloads.label_events)
        return tuple(replace(event, label=self._spelling.of(event.label)) for event in told)

    def _issue(self, data: Any) -> Issue:
        told = _of("issues", data, payloads.issue)
        return replace(told, labels=self._spelling.all(told.labels))

    def history(self, number: int) -> History:
        return _of("graphql", self._ask.graphql(edits.HISTORY, number, new_work=True), edits.history)

    def remarks(self, number: int) -> Remarks:
        page = _of("graphql", self._ask.graphql(edits.REMARKS, number), edits.remarks)
        total, told = page.total, page.remarks
        for _ in range(edits.PAGES_OF_COMMENTS - 1):
            if not page.more or not page.before:
                break
            page = _of("graphql", self._ask.graphql(edits.REMARKS, number, before=page.before), edits.remarks)
            told = page.remarks + told
        return Remarks(told, max(total - len(told), 1) if page.more else 0)

    def permission(self, login: str) -> str:
        now = self._clock.now()
        at, known = self._permissions.get(login.lower(), (now, ""))
        if known and now - at < PERMISSION_AGE:
            return known
        path = f"collaborators/{quote(login, safe='')}/permission"
        try:
            told = _read(self._ask.get(path, new_work=True), path, payloads.permission)
        except NotThere:
            told = "none"
        self._permissions[login.lower()] = (now, told)
        return told

    def blockers(self, number: int) -> tuple[int, ...]:
        path = f"issues/{number}/dependencies/blocked_by"
        return tuple(self._issue(one).number for one in self._ask.all(path, new_work=True))

    # pull requests

    def recent_pulls(self, known: Mapping[int, PullRequest], awaited: Collection[int] = ()) -> PullListing:
        """Where nothing is known yet, the hundred updated last: older ones are found by their branch. Whole
        pages are compared with `known`, also after a 304, so that an answer that was never kept is given again."""
        query = {"state": "all", "sort": "updated", "direction": "desc", "per_page": PER_PAGE}
        answer = self._ask.get("pulls", query)
        found: list[PullRequest] = []
        seen: set[int] = set()
        while True:
            page = [_pull(one) for one in listed(answer, "pulls")]
            fresh = [pull for pull in page if known.get(pull.number) != pull]
            found += fresh
            seen |= {pull.number for pull in page}
            following = next_page(answer)
            if following is None or not known or len(fresh) < len(page):
                break
            answer = self._ask.get(following)
        found += [pull for pull in self._pulls_at(sorted({*awaited} - seen)) if known.get(pull.number) != pull]
        return PullListing(changed=bool(found), pulls=tuple(found))

    def _pulls_at(self, numbers: Sequence[int]) -> Iterator[PullRequest]:
        """One that GitHub has no more, or cannot serve, keeps none of the others from being followed. Raises TryLater
        where it cannot serve several."""
        trouble = 0
        for number in numbers:
            try:
                yield _pull(self._ask.get(f"pulls/{number}").data)
            except (NotThere, Forbidden, Refused):
                continue
            except TryLater:
                trouble += 1
                if trouble == _IN_TROUBLE:
                    raise

    def pulls_of_branch(self, branch: str) -> tuple[PullRequest, ...]:
        """GitHub ignores a head it cannot read, so the answer is held against the branch once more."""
        query = {"state": "all", "head": f"{self._head_owner}:{branch}", "sort": "created", "direction": "desc"}
        found = [_pull(one) for one in self._ask.all("pulls", query)]
        ours = {self._head_owner.lower(), ""}
        return tuple(pull for pull in found if pull.head_ref == branch and pull.head_owner.lower() in ours)

    def pulls_with_commit(self, sha: str) -> tuple[PullRequest, ...]:
        try:
            return tuple(_pull(one) for one in self._ask.all(f"commits/{quote(sha, safe='')}/pulls"))
        except (NotThere, Refused):
            return ()

    def open_pull(self, *, branch: str, base: str, title: str, body: str, draft: bool) -> PullRequest:
        forked = self._head_owner.lower() != self._owner.lower()
        head = f"{self._head_owner}:{branch}" if forked else branch
        asked = {"title": title, "head": head, "base": base, "body": body, "draft": draft}
        return _pull(self._ask.write("POST", "pulls", asked))

    def make_draft(self, number: int) -> None:
        ident = _of("graphql", self._ask.graphql(drafts.WHICH, number), drafts.which)
        if ident:
            self._ask.order(f"draft {number}", drafts.CONVERT, {"pullRequestId": ident})

    # comments and labels

    def comments(self, number: int) -> tuple[Comment, ...]:
        return tuple(_comment(one) for one in self._ask.all(f"issues/{number}/comments"))

    def add_comment(self, number: int, body: str) -> Comment:
        return _comment(self._ask.write("POST", f"issues/{number}/comments", {"body": body}))

    def edit_comment(self, comment_id: int, body: str) -> None:
        self._ask.write("PATCH", f"issues/comments/{comment_id}", {"body": body})

    def add_labels(self, number: int, names: Sequence[str]) -> None:
        if names:
            self._ask.write("POST", f"issues/{number}/labels", {"labels": list(names)})

    def remove_label(self, number: int, name: str) -> None:
        try:
            self._ask.write("DELETE", f"issues/{number}/labels/{quote(name, safe='')}")
        except NotThere:
            return  # taken away already, by a person or by us before a crash

    def create_label(self, name: str, color: str, description: str) -> bool:
        try:
            self._ask.write("POST", "labels", {"name": name, "color": color, "description": description})
        except Refused:
            if self.label_exists(name):
                return False
            raise
        return True

    def label_exists(self, name: str) -> bool:
        try:
            self._ask.get(f"labels/{quote(name, safe='')}")
        except NotThere:
            return False
        return True


def _of(path: str, data: Any, read: Callable[[Any], Read]) -> Read:
    try:
        return read(data)
    except Unreadable as error:
        raise strange(path, error) from error


def _read(answer: Answer, path: str, read: Callable[[Any], Read]) -> Read:
    return _of(path, answer.data, read)


def _pull(data: Any) -> PullRequest:
    return _of("pulls", data, payloads.pull)


def _comment(data: Any) -> Comment:
    return _of("comments", data, payloads.comment)
