"""GitHub's JSON to our nouns, pure. A field that is null or absent takes an empty value; the ghost of a deleted
account is called `ghost`, as GitHub itself shows it. What cannot be read at all raises Unreadable."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from coordinator.domain.issue import GHOST, Comment, Issue, LabelEvent, PullRequest, PullState

PERMISSIONS = ("admin", "maintain", "write", "triage", "read", "none")


class Unreadable(ValueError):
    """The answer is JSON, but not what this address gives: a proxy's page, say."""


def items(data: Any) -> list[dict[str, Any]]:
    """A list of objects. Raises Unreadable for anything else."""
    if not isinstance(data, list) or not all(isinstance(one, dict) for one in data):
        raise Unreadable("a list was expected")
    return data


def fields(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise Unreadable("an object was expected")
    return data


def issue(data: Any) -> Issue:
    told = fields(data)
    return Issue(
        number=number(told, "number"),
        title=text(told, "title"),
        body=text(told, "body"),
        state=text(told, "state") or "open",
        labels=frozenset(_labels(told.get("labels"))),
        author=login(told.get("user")),
        url=text(told, "html_url"),
        created_at=moment(told, "created_at"),
        updated_at=moment(told, "updated_at"),
        assignees=_assignees(told),
        is_pull=told.get("pull_request") is not None,
        blocked_by_count=_blockers(told.get("issue_dependencies_summary")),
    )


def pull(data: Any) -> PullRequest:
    told = fields(data)
    head, base = _inner(told, "head"), _inner(told, "base")
    return PullRequest(
        number=number(told, "number"),
        url=text(told, "html_url"),
        state=_pull_state(told),
        draft=told.get("draft") is True,
        title=text(told, "title"),
        author=login(told.get("user")),
        head_ref=text(head, "ref"),
        head_sha=text(head, "sha"),
        head_owner=_head_owner(head),
        base_ref=text(base, "ref"),
        created_at=moment(told, "created_at"),
        updated_at=moment(told, "updated_at"),
    )


def comment(data: Any) -> Comment:
    told = fields(data)
    return Comment(number(told, "id"), login(told.get("user")), text(told, "body"), text(told, "html_url"),
                   moment(told, "created_at"))


def label_events(data: Iterable[Any]) -> tuple[LabelEvent, ...]:
    """Those of an issue's events that set or took a label, oldest first."""
    wanted = [one for one in data if fields(one).get("event") in {"labeled", "unlabeled"}]
    return tuple(sorted(map(_label_event, wanted), key=lambda event: event.id))


def _label_event(told: dict[str, Any]) -> LabelEvent:
    return LabelEvent(number(told, "id"), text(_inner(told, "label"), "name"), login(told.get("actor")),
                      told["event"] == "labeled", moment(told, "created_at"))


def permission(data: Any) -> str:
    """The role where it is one of GitHub's own; a custom role counts as the permission it is built on."""
    told = fields(data)
    for name in ("role_name", "permission"):
        if told.get(name) in PERMISSIONS:
            return str(told[name])
    return "none"


def login(account: Any) -> str:
    name = account.get("login") if isinstance(account, dict) else None
    return name if isinstance(name, str) and name else GHOST


def text(told: dict[str, Any], name: str) -> str:
    """Text, with lone surrogates (JSON may hold them, UTF-8 may not) shown as "?"."""
    value = told.get(name)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def number(told: dict[str, Any], name: str) -> int:
    value = told.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"`{name}` is no number")
    return value


def moment(told: dict[str, Any], name: str) -> datetime:
    value = told.get(name)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise Unreadable(f"`{name}` is no time") from error


def _inner(told: dict[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name)
    return value if isinstance(value, dict) else {}


def _labels(found: Any) -> Iterable[str]:
    """Labels come as objects, in old payloads as plain names."""
    for one in found if isinstance(found, list) else ():
        name = one.get("name") if isinstance(one, dict) else one
        if isinstance(name, str) and name:
            yield name


def _assignees(told: dict[str, Any]) -> tuple[str, ...]:
    found = told.get("assignees") or [told.get("assignee")]
    return tuple(login(one) for one in found if one is not None)


def _blockers(summary: Any) -> int:
    """`blocked_by` counts the open ones; `total_blocked_by` those that were closed since, too."""
    value = summary.get("blocked_by") if isinstance(summary, dict) else 0
    return value if isinstance(value, int) else 0


def _pull_state(told: dict[str, Any]) -> PullState:
    if told.get("merged_at") is not None or told.get("merged") is True:
        return PullState.MERGED
    return PullState.OPEN if told.get("state") == "open" else PullState.CLOSED


def _head_owner(head: dict[str, Any]) -> str:
    """Empty when the fork that held the branch is gone."""
    repository = head.get("repo")
    if not isinstance(repository, dict):
        return ""
    return login(repository.get("owner"))
