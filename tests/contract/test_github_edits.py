"""Who changed an issue's words, asked by GraphQL over real HTTP: the answers, and all that may be missing in them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from coordinator.adapters.github import drafts, edits
from coordinator.adapters.github.payloads import Unreadable
from coordinator.domain.issue import Edit, History
from coordinator.ports import Limited, NotThere, Refused, Reserved, TryLater
from tests.support import github_place
from tests.support.github_place import Place

place = github_place.place


def test_the_edits_of_title_and_body_are_told_with_who_and_when(place: Place) -> None:
    number = place.issue()
    client = place.client()
    assert client.history(number) == History("Mend it", "Words.")
    opened = client.issue(number).created_at
    for seconds, who in ((10, "stranger"), (20, "renovate[bot]")):
        place.later(10)
        person = place.stand_in.repository(github_place.REPO).as_user(place.stand_in.add_user(who).login)
        person.edit_body(number, f"By {who}")
        person.edit_title(number, f"Of {who} after {seconds}")
    told = client.history(number)
    assert (told.title, told.body, told.missing_until) == ("Of renovate[bot] after 20", "By renovate[bot]", None)
    assert told.edits == (Edit(opened, "ann"), Edit(opened + timedelta(seconds=10), "stranger"),
                          Edit(opened + timedelta(seconds=20), "renovate[bot]"))


@pytest.mark.parametrize("what", ["title", "body"])
def test_more_edits_than_a_page_are_said_to_be_missing(place: Place, what: str) -> None:
    number = place.issue()
    change = place.ann.edit_title if what == "title" else place.ann.edit_body
    for index in range(101):
        place.later()
        change(number, f"Words {index}")
    told = place.client().history(number)
    last = told.edits[-1].at
    assert told.missing_until == (last - timedelta(seconds=99) if what == "title" else last)


def test_comments_are_told_oldest_first_with_all_who_changed_them(place: Place) -> None:
    number = place.issue()
    stranger = place.stand_in.repository(github_place.REPO).as_user(place.stand_in.add_user("stranger").login)
    first = place.ann.comment(number, "First")
    place.ann.comment(number, "Second")
    stranger.edit_comment(first.id, "Other words")
    place.ann.edit_comment(first.id, "Mended")
    told = place.client().remarks(number)
    assert [(one.author, one.body, set(one.editors or ())) for one in told] == [
        ("ann", "Mended", {"ann", "stranger"}), ("ann", "Second", set()),
    ]
    for index in range(20):
        place.ann.edit_comment(first.id, f"Again {index}")
    for index in range(49):
        place.ann.comment(number, f"More {index}")
    told = place.client().remarks(number)
    assert [one.body for one in told] == ["Second", *(f"More {index}" for index in range(49))]
    place.ann.comment(number, "x")
    assert [one.editors for one in place.client().remarks(number)] == [()] * 50


def test_a_comment_that_was_changed_more_often_than_is_told_has_unknown_editors(place: Place) -> None:
    number = place.issue()
    comment = place.ann.comment(number, "Words")
    for index in range(edits.EDITS_OF_A_COMMENT):
        place.ann.edit_comment(comment.id, f"Again {index}")
    assert [one.editors for one in place.client().remarks(number)] == [None]


def test_an_enterprise_server_is_asked_beside_its_rest_interface(place: Place) -> None:
    number = place.issue()
    client = place.client(api_url=f"{place.url}/api/v3")
    assert client.history(number).title == "Mend it"
    assert place.stand_in.requests[-1].path == "/api/graphql"


def test_what_is_asked_by_graphql_is_a_question_and_changes_nothing() -> None:
    for query in (edits.HISTORY, edits.REMARKS, drafts.WHICH):
        assert query.startswith("query(")
        assert "mutation" not in query


def test_an_issue_that_is_gone_is_not_there(place: Place) -> None:
    with pytest.raises(NotThere, match="GraphQL: Could not resolve"):
        place.client().history(99)


@pytest.mark.parametrize(("answer", "error"), [
    ({"data": None, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible"}]}, Refused),
    ({"errors": [{"message": "Something went wrong"}]}, Refused),
    ({"data": {"repository": {"issue": {}}}, "errors": ["odd"]}, Refused),
    ({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, Reserved),
    ({"data": {"repository": {"issue": None}}}, TryLater),
    ({"data": None}, TryLater),
    ({}, TryLater),
    ([], TryLater),
])
def test_each_answer_that_is_none_is_an_error_and_never_an_empty_history(place: Place, answer: Any, error: Any) -> None:
    number = place.issue()
    place.stand_in.intercept = lambda _method, path: (
        (200, {"Content-Type": "application/json"}, json.dumps(answer).encode()) if path == "/graphql" else None
    )
    client = place.client()
    for ask in (client.history, client.remarks):
        with pytest.raises(error) as told:
            ask(number)
        assert type(told.value) is error or issubclass(error, Limited)
    place.stand_in.intercept = None
    assert client.issue(number).number == number, "nothing else has to wait for it"


AT = "2026-03-01T12:00:00Z"
ANN = {"__typename": "User", "login": "ann"}
NO_MORE = {"hasNextPage": False, "hasPreviousPage": False}


def told(**changes: Any) -> dict[str, Any]:
    plain = {"title": "T", "body": "B", "lastEditedAt": None, "editor": None,
             "userContentEdits": {"pageInfo": NO_MORE, "nodes": []},
             "timelineItems": {"pageInfo": NO_MORE, "nodes": []}}
    return {"repository": {"issue": plain | changes}}


@pytest.mark.parametrize(("actor", "login"), [
    (ANN, "ann"), ({"__typename": "Bot", "login": "ann"}, "ann[bot]"), (None, ""), ({}, ""), ({"login": "ann"}, ""),
    ({"__typename": "Mannequin", "login": "ann"}, ""), ({"__typename": "Organization", "login": "acme"}, ""),
    ({"__typename": "EnterpriseUserAccount", "login": "ann"}, ""), ({"__typename": "User", "login": ""}, ""),
])
def test_only_a_user_and_a_bot_have_a_name_and_never_the_same(actor: Any, login: str) -> None:
    answer = told(timelineItems={"pageInfo": NO_MORE, "nodes": [{"createdAt": AT, "actor": actor}]})
    assert [edit.editor for edit in edits.history(answer).edits] == [login]


def test_the_last_edit_counts_though_the_list_does_not_have_it_yet() -> None:
    assert [edit.editor for edit in edits.history(told(lastEditedAt=AT, editor=ANN)).edits] == ["ann"]
    assert [edit.editor for edit in edits.history(told(lastEditedAt=AT)).edits] == [""]


@pytest.mark.parametrize("changes", [
    {"userContentEdits": None}, {"timelineItems": {"pageInfo": NO_MORE}}, {"lastEditedAt": "soon"},
    {"userContentEdits": {"pageInfo": NO_MORE, "nodes": [None]}},
    {"userContentEdits": {"pageInfo": NO_MORE, "nodes": [{"editor": ANN}]}},
    {"userContentEdits": {"pageInfo": {"hasNextPage": True}, "nodes": []}},
    {"timelineItems": {"pageInfo": {}, "nodes": []}},
])
def test_an_answer_with_a_hole_in_it_cannot_be_read(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        edits.history(told(**changes))
