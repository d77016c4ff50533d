"""The little GraphQL that REST cannot replace: who edited a title, a body or a comment, and when; and a pull request
that becomes a draft.

A small reader of the query language and a few types; a field it does not know is refused with
GitHub's own words, so that a client cannot come to rely on something that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import issues
from .payloads import maybe_time, node, time_text
from .wire import Call, Reply
from .world import Comment, Edit, Event, Issue, Refused, Repository

TOKEN = re.compile(r'\s+|,|#[^\n]*|(\.\.\.|"(?:[^"\\]|\\.)*"|-?\d+|\$?[A-Za-z_]\w*|[{}()\[\]:!=@])')
CURSOR = "cursor:v2:"
Fields = dict[str, Callable[["Field"], Any]]


class BadQuery(Exception):
    """A query GitHub would answer with an `errors` list instead of data."""


@dataclass
class Field:
    name: str
    alias: str
    arguments: dict[str, Any] = field(default_factory=dict)
    selection: list[Field] = field(default_factory=list)


class Reader:
    """Reads one operation into fields; inline fragments are melted into what surrounds them."""

    def __init__(self, query: str, variables: dict[str, Any]) -> None:
        self.tokens = [found for found in _split(query) if found]
        self.at = 0
        self.variables = variables

    def operation(self) -> list[Field]:
        while self.peek() != "{":
            self.take()
        return self.selection()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        if not token or (expected and token != expected):
            raise BadQuery(f"Parse error on {token!r}: expected {expected or 'more'}")
        self.at += 1
        return token

    def selection(self) -> list[Field]:
        self.take("{")
        found: list[Field] = []
        while self.peek() != "}":
            if self.peek() == "...":
                self.take("...")
                self.take("on")
                self.take()
                found += self.selection()
            else:
                found.append(self.one())
        self.take("}")
        return found

    def one(self) -> Field:
        alias = name = self.take()
        if self.peek() == ":":
            self.take(":")
            name = self.take()
        arguments = self.arguments() if self.peek() == "(" else {}
        selection = self.selection() if self.peek() == "{" else []
        return Field(name, alias, arguments, selection)

    def arguments(self) -> dict[str, Any]:
        self.take("(")
        found = {}
        while self.peek() != ")":
            name = self.take()
            self.take(":")
            found[name] = self.value()
        self.take(")")
        return found

    def value(self) -> Any:
        word = self.take()
        if word == "[":
            items = []
            while self.peek() != "]":
                items.append(self.value())
            self.take("]")
            return items
        if word.startswith("$"):
            return self.variables.get(word[1:])
        if word.startswith('"'):
            return word[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        return int(word) if word.lstrip("-").isdigit() else word


def _split(query: str) -> Iterator[str]:
    at = 0
    while at < len(query):
        found = TOKEN.match(query, at)
        if found is None:
            raise BadQuery(f"Parse error on {query[at]!r}")
        at = found.end()
        yield found[1] or ""


def answer(call: Call) -> Reply:
    """Answer one query. Errors come with status 200 and an `errors` list, as GraphQL has it."""
    asked = call.fields()
    who = call.by
    try:
        query = str(asked.get("query") or "")
        fields = Reader(query, asked.get("variables") or {}).operation()
        kind, known = ("Mutation", _mutation) if query.lstrip().startswith("mutation") else ("Query", _query)
        return Reply(200, {"data": _resolve(kind, known(call, who), fields)})
    except BadQuery as error:
        wrong = {"message": str(error), "locations": [{"line": 1, "column": 1}]}
        return Reply(200, {"data": None, "errors": [wrong]})
    except Refused:
        words = "Could not resolve to a node with the given name or number."
        return Reply(200, {"data": None, "errors": [{"type": "NOT_FOUND", "message": words}]})


def _resolve(kind: str, known: Fields, fields: list[Field]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for one in fields:
        if one.name == "__typename":
            told[one.alias] = kind
        elif one.name in known:
            told[one.alias] = known[one.name](one)
        else:
            raise BadQuery(f"Field '{one.name}' doesn't exist on type '{kind}'")
    return told


def _query(call: Call, who: str) -> Fields:
    def repository(one: Field) -> Any:
        name = f"{one.arguments.get('owner')}/{one.arguments.get('name')}"
        found = call.world.repository(name)
        if not call.world.allows(found, who, "read"):
            raise Refused(404, "Not Found")
        return _resolve("Repository", _repository(found), one.selection)

    return {
        "viewer": lambda one: _actor(who, one),
        "repository": repository,
        "rateLimit": lambda one: _resolve("RateLimit", {"cost": lambda _: 1}, one.selection),
    }


def _mutation(call: Call, who: str) -> Fields:
    def to_draft(one: Field) -> Any:
        wanted = (one.arguments.get("input") or {}).get("pullRequestId")
        found = next((issue for repository in call.world.repositories.values() for issue, _ in repository.pulls()
                      if node("PullRequest", issue.id) == wanted and call.world.allows(repository, who, "write")), None)
        if found is None:
            raise Refused(404, "Not Found")
        if not found.the_pull().draft:
            found.the_pull().draft = True
            issues.record(call.world, found, "convert_to_draft", who)
        known: Fields = {"pullRequest": lambda inner: _resolve("PullRequest", _issue(found), inner.selection)}
        return _resolve("ConvertPullRequestToDraftPayload", known, one.selection)

    return {"convertPullRequestToDraft": to_draft}


def _repository(repository: Repository) -> Fields:
    def issue(one: Field) -> Any:
        found = repository.issue(int(one.arguments["number"]))
        kind = "Issue" if found.pull is None else "PullRequest"
        if one.name not in (kind[0].lower() + kind[1:], "issueOrPullRequest"):
            raise Refused(404, "Not Found")
        return _resolve(kind, _issue(found), one.selection)

    return {
        "id": lambda _: node("Repository", repository.id),
        "nameWithOwner": lambda _: repository.full_name,
        "issue": issue,
        "pullRequest": issue,
        "issueOrPullRequest": issue,
    }


def _issue(issue: Issue) -> Fields:
    return {
        **_edited(issue.edits, issue.author, issue.created_at, issue.body or ""),
        "id": lambda _: node("Issue" if issue.pull is None else "PullRequest", issue.id),
        **({} if issue.pull is None else {"isDraft": lambda _: issue.the_pull().draft}),
        "databaseId": lambda _: issue.id,
        "number": lambda _: issue.number,
        "title": lambda _: issue.title,
        "state": lambda _: issue.state.upper(),
        "updatedAt": lambda _: time_text(issue.updated_at),
        "comments": lambda one: _connection(one, issue.comments, "IssueComment", _comment),
        "timelineItems": lambda one: _timeline(issue, one),
    }


def _timeline(issue: Issue, one: Field) -> Any:
    """Of the many kinds of lines only changed titles."""
    if one.arguments.get("itemTypes") != ["RENAMED_TITLE_EVENT"]:
        raise BadQuery("the stand-in knows itemTypes: [RENAMED_TITLE_EVENT] alone")
    renames = [event for event in issue.events if event.kind == "renamed"]
    return _connection(one, renames, "RenamedTitleEvent", _rename)


def _rename(event: Event) -> Fields:
    return {
        "createdAt": lambda _: time_text(event.at),
        "actor": lambda one: _actor(event.actor, one),
        "previousTitle": lambda _: event.detail["old"],
        "currentTitle": lambda _: event.detail["new"],
    }


def _comment(comment: Comment) -> Fields:
    return {
        **_edited(comment.edits, comment.author, comment.created_at, comment.body),
        "id": lambda _: node("IssueComment", comment.id),
        "databaseId": lambda _: comment.id,
        "updatedAt": lambda _: time_text(comment.updated_at),
    }


def _edited(edits: list[Edit], author: str, created_at: int, body: str) -> Fields:
    """GitHub counts the first writing as an edit too, once there was a second."""
    history = [Edit(author, created_at), *edits] if edits else []
    last = edits[-1] if edits else None
    return {
        "body": lambda _: body,
        "author": lambda one: _actor(author, one),
        "createdAt": lambda _: time_text(created_at),
        "lastEditedAt": lambda _: maybe_time(last.at if last else None),
        "editor": lambda one: _actor(last.editor, one) if last else None,
        "includesCreatedEdit": lambda _: bool(edits),
        "userContentEdits": lambda one: _connection(one, history[::-1], "UserContentEdit", _edit),
    }


def _edit(edit: Edit) -> Fields:
    return {
        "editedAt": lambda _: time_text(edit.at),
        "createdAt": lambda _: time_text(edit.at),
        "deletedAt": lambda _: None,
        "editor": lambda one: _actor(edit.editor, one),
    }


def _actor(login: str, one: Field) -> Any:
    """Null for an account that is gone. A bot's login has no ending here; in REST it has."""
    if not login:
        return None
    name = login.removesuffix("[bot]")
    return _resolve("User" if name == login else "Bot", {"login": lambda _: name}, one.selection)


def _connection(one: Field, items: list[Any], kind: str, fields_of: Callable[[Any], Fields]) -> Any:
    """A list behind `first` or `last`; GitHub refuses one that is asked for without either."""
    first, last = one.arguments.get("first"), one.arguments.get("last")
    if first is None and last is None:
        raise BadQuery(f"You must provide a `first` or `last` value to properly paginate the `{one.name}` connection.")
    before = one.arguments.get("before")
    asked = items[: int(before.removeprefix(CURSOR))] if before else items
    shown = asked[: int(first)] if first is not None else asked[-int(last or 0) :]

    def nodes(inner: Field) -> Any:
        return [_resolve(kind, fields_of(item), inner.selection) for item in shown]

    def page_info(inner: Field) -> Any:
        rest = len(asked) > len(shown)
        start = 0 if first is not None else len(asked) - len(shown)
        ends: Fields = {"hasNextPage": lambda _: rest and first is not None,
                        "hasPreviousPage": lambda _: rest and first is None,
                        "startCursor": lambda _: f"{CURSOR}{start}" if shown else None}
        return _resolve("PageInfo", ends, inner.selection)

    known: Fields = {"nodes": nodes, "totalCount": lambda _: len(items), "pageInfo": page_info}
    return _resolve(f"{kind}Connection", known, one.selection)
