"""Who changed an issue's words, asked by GraphQL over real HTTP: the answers, and all that may be missing in them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from coordinator.adapters.github import drafts, edits
from coordinator.domain.issue import Edit, History, Remarks
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
    assert [(one.author, one.body, set(one.editors or ())) for one in place.client().remarks(number).told] == [
        ("ann", "Mended", {"ann", "stranger"}), ("ann", "Second", set()),
    ]


def test_whoever_writes_many_comments_hides_none_of_those_before_them(place: Place, monkeypatch) -> None:
    monkeypatch.setattr(edits, "PAGES_OF_COMMENTS", 2)
    number = place.issue()
    words = [f"Words {index}" for index in range(2 * edits.COMMENTS_TOLD + 3)]

    def look(written: int) -> tuple[int, int, int]:
        asked = len(place.stand_in.requests)
        told = place.client().remarks(number)
        assert [one.body for one in told.told] == words[told.older : written]
        return len(told.told), told.older, len(place.stand_in.requests) - asked

    expected = {0: (0, 0, 1), 50: (50, 0, 1), 51: (51, 0, 2), 100: (100, 0, 2), 103: (100, 3, 2)}
    written = 0
    for count, answer in expected.items():
        while written < count:
            place.ann.comment(number, words[written])
            written += 1
        assert look(count) == answer


@pytest.mark.parametrize("cursor", [None, ""])
def test_older_comments_that_cannot_be_asked_for_are_known_to_be_there(place: Place, cursor: Any) -> None:
    answer = {"totalCount": 1, "pageInfo": {"hasPreviousPage": True, "startCursor": cursor}, "nodes": []}
    sent = json.dumps({"data": {"repository": {"issue": {"comments": answer}}}}).encode()
    place.stand_in.intercept = lambda *_: (200, {"Content-Type": "application/json"}, sent)
    assert place.client().remarks(1) == Remarks((), 1)


def test_a_comment_that_was_changed_more_often_than_is_told_has_unknown_editors(place: Place) -> None:
    number = place.issue()
    comment = place.ann.comment(number, "Words")
    for index in range(edits.EDITS_OF_A_COMMENT):
        place.ann.edit_comment(comment.id, f"Again {index}")
    assert [one.editors for one in place.client().remarks(number).told] == [None]


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
    ({"errors": [{"type": "INSUFFICIENT_SCOPES", "message": "Your token has not been granted"}]}, Refused),
    ({"errors": [{"message": "Field 'x' doesn't exist", "extensions": {"code": "undefinedField"}}]}, Refused),
    ({"errors": [{"message": "Parse error on '}'", "locations": [{"line": 1}]}]}, Refused),
    ({"data": None, "errors": [{"message": "Something went wrong while executing your query."}]}, TryLater),
    ({"errors": [{"message": "Something went wrong", "locations": [{"line": 1}]}]}, TryLater),
    ({"errors": [{"message": "We couldn't respond to your request in time. Sorry about that."}]}, TryLater),
    ({"errors": [{"type": "SERVICE_UNAVAILABLE", "message": "x"}, {"type": "FORBIDDEN", "message": "x"}]}, TryLater),
    ({"errors": [{"type": "INTERNAL", "message": "x"}, {"type": "NOT_FOUND", "message": "x"}]}, TryLater),
    ({"data": {"repository": {"issue": {}}}, "errors": ["odd"]}, TryLater),
    ({"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, Reserved),
    ({"errors": [{"message": "You have exceeded a secondary rate limit."}]}, Reserved),
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
def test_an_issue_whose_edits_are_not_all_told_is_one_of_which_nobody_can_tell(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="does not tell who edited it"):
        edits.history(told(**changes))


@pytest.mark.parametrize("changes", [
    {"userContentEdits": None}, {"userContentEdits": {"pageInfo": NO_MORE, "nodes": None}}, {"lastEditedAt": "soon"},
    {"userContentEdits": {"pageInfo": NO_MORE, "nodes": [{"editor": ANN}, None]}}, {"userContentEdits": {"nodes": []}},
])
def test_a_comment_whose_edits_are_not_all_told_makes_the_others_no_less_heard(changes: dict[str, Any]) -> None:
    plain = {"author": ANN, "body": "B", "createdAt": AT, "lastEditedAt": None, "editor": None,
             "userContentEdits": {"pageInfo": NO_MORE, "nodes": []}}
    answer = {"repository": {"issue": {"comments": {
        "totalCount": 2, "pageInfo": NO_MORE, "nodes": [plain | changes, plain]}}}}
    assert [one.editors for one in edits.remarks(answer).remarks] == [None, ()]
