"""Who changed words after they were first written: GitHub tells it by GraphQL alone. Two questions, and their answers
read; types and fields are those of GitHub's public schema (Issue, IssueComment, UserContentEdit, RenamedTitleEvent)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordinator.adapters.github.payloads import Unreadable, fields, items, moment, number, text
from coordinator.domain.issue import Edit, History, Remark
from coordinator.ports import Refused

EDITS_TOLD, EDITS_OF_A_COMMENT, COMMENTS_TOLD = 100, 20, 50
"""How many GitHub is asked for at once; 100 is the most it gives."""
PAGES_OF_COMMENTS = 10
"""The newest pages of an issue's comments that are looked at: whoever writes many must not hide what others said."""
_WHO = "{ __typename login }"
_ASKED = """query($owner: String!, $name: String!, $number: Int!%s) {
  repository(owner: $owner, name: $name) { %s } }"""
HISTORY = _ASKED % ("", f"""issue(number: $number) {{ title body lastEditedAt editor {_WHO}
  userContentEdits(first: {EDITS_TOLD}) {{ pageInfo {{ hasNextPage }} nodes {{ editedAt editor {_WHO} }} }}
  timelineItems(itemTypes: [RENAMED_TITLE_EVENT], last: {EDITS_TOLD}) {{
    pageInfo {{ hasPreviousPage }} nodes {{ ... on RenamedTitleEvent {{ createdAt actor {_WHO} }} }} }} }}""")
REMARKS = _ASKED % (", $before: String", f"""issue(number: $number) {{
  comments(last: {COMMENTS_TOLD}, before: $before) {{ totalCount pageInfo {{ hasPreviousPage startCursor }} nodes {{
  author {_WHO} body createdAt lastEditedAt editor {_WHO}
  userContentEdits(first: {EDITS_OF_A_COMMENT}) {{ pageInfo {{ hasNextPage }} nodes {{ editor {_WHO} }} }} }} }} }}""")


def history(data: Any) -> History:
    """The answer to HISTORY. The last edit counts by itself too: a list may lag behind it. Raises Unreadable, and
    Refused where the issue is told of and its edits are not: asked again it would be the same."""
    told = _issue(data)
    try:
        found, missing_until = _edits(told)
    except Unreadable as error:
        raise Refused(f"GraphQL: GitHub does not tell who edited it ({error})") from error
    return History(text(told, "title"), text(told, "body"), found, missing_until)


def _edits(told: dict[str, Any]) -> tuple[tuple[Edit, ...], datetime | None]:
    edited, renamed = fields(told.get("userContentEdits")), fields(told.get("timelineItems"))
    edits = [Edit(moment(one, "editedAt"), login(one.get("editor"))) for one in items(edited.get("nodes"))]
    last = _last_edit(told)
    renames = [Edit(moment(one, "createdAt"), login(one.get("actor"))) for one in items(renamed.get("nodes"))]
    gaps = [
        *([_newest(edits + last)] if _more(edited, "hasNextPage") else ()),   # their order is not written down anywhere
        *([_oldest(renames)] if _more(renamed, "hasPreviousPage") else ()),
    ]
    found = tuple(sorted({*edits, *last, *renames}, key=lambda one: (one.at, one.editor)))
    return found, max(gaps, default=None)


def _newest(edits: list[Edit]) -> datetime:
    if not edits:
        raise Unreadable("there are edits, but none is told")
    return max(one.at for one in edits)


def _oldest(edits: list[Edit]) -> datetime:
    if not edits:
        raise Unreadable("there are edits, but none is told")
    return min(one.at for one in edits)


@dataclass(frozen=True)
class Page:
    """Comments that follow each other, oldest first, of `total`. `more` where there are older ones, which `before` asks
    for, "" where GitHub does not tell how."""

    remarks: tuple[Remark, ...]
    total: int
    more: bool
    before: str


def remarks(data: Any) -> Page:
    """The answer to REMARKS. Raises Unreadable."""
    told = fields(_issue(data).get("comments"))
    found = tuple(map(_remark, items(told.get("nodes"))))
    return Page(found, number(told, "totalCount"), _more(told, "hasPreviousPage"),
                text(fields(told.get("pageInfo")), "startCursor"))


def _remark(told: dict[str, Any]) -> Remark:
    return Remark(login(told.get("author")), text(told, "body"), moment(told, "createdAt"), _editors(told))


def _editors(told: dict[str, Any]) -> tuple[str, ...] | None:
    """None where GitHub does not tell of all: one comment's hole says nothing of the others."""
    try:
        edited = fields(told.get("userContentEdits"))
        if _more(edited, "hasNextPage"):
            return None
        who = [login(one.get("editor")) for one in items(edited.get("nodes"))]
        return tuple(dict.fromkeys([*who, *(one.editor for one in _last_edit(told))]))
    except Unreadable:
        return None


def _last_edit(told: dict[str, Any]) -> list[Edit]:
    at: datetime | None = moment(told, "lastEditedAt") if told.get("lastEditedAt") is not None else None
    return [] if at is None else [Edit(at, login(told.get("editor")))]


def login(actor: Any) -> str:
    """An account as REST calls it; "" for one that is gone or of another kind. Here a bot's name has no ending, and a
    person may have the same."""
    told = actor if isinstance(actor, dict) else {}
    name = text(told, "login")
    return {"User": name, "Bot": f"{name}[bot]"}.get(text(told, "__typename"), "") if name else ""


def _issue(data: Any) -> dict[str, Any]:
    return fields(fields(fields(data).get("repository")).get("issue"))


def _more(connection: dict[str, Any], name: str) -> bool:
    """Unless GitHub says that there is no further page, there is one."""
    return fields(connection.get("pageInfo")).get(name) is not False


def refusals(data: Any) -> Iterator[tuple[str, str]]:
    """Kind and words of each error in an answer of GraphQL; its HTTP status is 200 all the same. Kinds are GitHub's;
    INVALID where it gives none and points to what is wrong with the question, "" where it does neither."""
    for one in fields(data).get("errors") or ():
        told = one if isinstance(one, dict) else {}
        pointed = bool(told.get("locations") or told.get("extensions"))
        yield text(told, "type") or ("INVALID" if pointed else ""), text(told, "message") or "no words"
