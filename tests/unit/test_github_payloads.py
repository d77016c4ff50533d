"""GitHub's payloads with all that may be null or missing in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.adapters.github import payloads
from coordinator.domain.issue import PullState

TIMES = {"created_at": "2026-03-01T12:00:00Z", "updated_at": "2026-03-01T14:00:00+02:00"}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_an_issue_of_a_deleted_account_with_nothing_in_it_is_still_an_issue() -> None:
    issue = payloads.issue({"number": 5, "title": "T", "body": None, "user": None, "labels": None, **TIMES})
    assert (issue.author, issue.body, issue.labels, issue.assignees) == ("ghost", "", frozenset(), ())
    assert (issue.created_at, issue.updated_at, issue.open, issue.is_pull) == (NOON, NOON, True, False)


@pytest.mark.parametrize(
    ("field", "value", "attribute", "expected"),
    [
        ("labels", [{"name": "a"}, "b", {"name": None}, None], "labels", {"a", "b"}),
        ("assignees", [{"login": "ann"}, None], "assignees", ("ann",)),
        ("assignee", {"login": "ann"}, "assignees", ("ann",)),
        ("pull_request", {"url": "u"}, "is_pull", True),
        ("issue_dependencies_summary", {"blocked_by": 2, "total_blocked_by": 3}, "blocked_by_count", 2),
        ("issue_dependencies_summary", None, "blocked_by_count", 0),
        ("title", "half \ud83d of an emoji", "title", "half ? of an emoji"),
        ("title", 7, "title", ""),
        ("user", {}, "author", "ghost"),
        ("state", "closed", "open", False),
    ],
)
def test_each_field_of_an_issue_is_read_as_it_comes(field: str, value: Any, attribute: str, expected: Any) -> None:
    issue = payloads.issue({"number": 5, "title": "T", **TIMES, field: value})
    assert getattr(issue, attribute) == expected


@pytest.mark.parametrize(
    ("changes", "state", "owner"),
    [
        ({}, PullState.OPEN, "acme"),
        ({"state": "closed"}, PullState.CLOSED, "acme"),
        ({"state": "closed", "merged_at": "2026-03-01T12:00:00Z"}, PullState.MERGED, "acme"),
        ({"state": "closed", "merged": True}, PullState.MERGED, "acme"),
        ({"head": {"ref": "b", "sha": "c", "repo": None}}, PullState.OPEN, ""),
        ({"head": {"ref": "b", "sha": "c", "repo": {"owner": None}}}, PullState.OPEN, "ghost"),
    ],
)
def test_a_pull_request_shows_its_state_and_whose_branch_it_is(
    changes: dict[str, Any], state: PullState, owner: str
) -> None:
    told = {
        "number": 9,
        "state": "open",
        "draft": None,
        "head": {"ref": "b", "sha": "c", "repo": {"owner": {"login": "acme"}}},
        "base": {"ref": "main"},
        **TIMES,
    }
    pull = payloads.pull(told | changes)
    assert (pull.state, pull.head_owner, pull.draft) == (state, owner, False)


def test_only_label_events_are_kept_sorted_by_their_id() -> None:
    label = {"name": "rpi-auto"}
    told = [
        {"id": 8, "event": "unlabeled", "label": label, "actor": None, **TIMES},
        {"id": 5, "event": "closed", "actor": None, **TIMES},
        {"id": 3, "event": "labeled", "label": label, "actor": {"login": "ann"}, **TIMES},
    ]
    events = payloads.label_events(told)
    assert [(event.id, event.actor, event.added) for event in events] == [(3, "ann", True), (8, "ghost", False)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"permission": "write", "role_name": "maintain"}, "maintain"),
        ({"permission": "write", "role_name": "our-own-role"}, "write"),
        ({"permission": "admin"}, "admin"),
        ({"permission": "owner of all"}, "none"),
        ({}, "none"),
    ],
)
def test_a_custom_role_counts_as_what_it_is_built_on(told: dict[str, Any], expected: str) -> None:
    assert payloads.permission(told) == expected


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "text",
        {},
        {"number": "5", **TIMES},
        {"number": True, **TIMES},
        {"number": 5},
        {"number": 5, "created_at": 0, "updated_at": 0},
        {"number": 5, "created_at": "soon", "updated_at": "soon"},
    ],
)
def test_what_is_no_issue_at_all_is_unreadable(told: Any) -> None:
    with pytest.raises(payloads.Unreadable):
        payloads.issue(told)


@pytest.mark.parametrize("told", [None, {}, [1], ["a"]])
def test_what_is_no_list_of_objects_is_unreadable(told: Any) -> None:
    with pytest.raises(payloads.Unreadable):
        payloads.items(told)
