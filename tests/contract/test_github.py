"""What the GitHub adapter promises, over real HTTP; its troubles are in test_github_trouble.py."""

from __future__ import annotations

from typing import Any

import pytest

from coordinator.adapters.github.client import GitHubClient
from coordinator.adapters.github.transport import Answer
from coordinator.adapters.system import seam
from coordinator.domain.issue import PullState
from coordinator.ports import Forbidden, GitHubError, NotThere, Refused, TryLater
from tests.support import github_place
from tests.support.github_place import REPO, Place

place = github_place.place


# --- following the issues ---------------------------------------------------------------------------


@pytest.mark.req("F4", "P66")
def test_a_listing_brings_every_open_issue_however_many_there_are(place: Place) -> None:
    numbers = [place.issue(f"Issue {number}", "rpi-auto") for number in range(250)]
    place.ann.close(numbers[7])
    listing = place.client().changed_issues(None)
    assert listing.full
    assert listing.changed
    assert sorted(issue.number for issue in listing.issues) == [number for number in numbers if number != numbers[7]]
    assert listing.issues[0].labels == {"rpi-auto"}


@pytest.mark.req("F4")
def test_an_idle_look_is_exactly_one_304_and_costs_nothing(place: Place) -> None:
    for _ in range(3):
        place.issue()
    client = place.client()
    cursor = client.changed_issues(None).cursor
    before = client.budget()
    place.asked()
    for _ in range(4):
        listing = client.changed_issues(cursor)
        assert (listing.changed, listing.issues, listing.cursor) == (False, (), cursor)
    assert place.asked() == ["304 GET /issues"] * 4
    after = client.budget()
    assert (after.not_modified - before.not_modified, after.remaining) == (4, before.remaining)


def test_the_cursor_serves_a_new_process_without_another_listing(place: Place) -> None:
    place.issue()
    cursor = place.client().changed_issues(None).cursor
    place.asked()
    assert not place.client().changed_issues(cursor).changed
    assert place.asked() == ["304 GET /issues"]


@pytest.mark.parametrize("pause", [0, 5])
def test_labels_closings_edits_and_new_issues_are_seen_also_within_one_second(place: Place, pause: float) -> None:
    client = place.client()
    first, second = place.issue("One", "rpi-auto"), place.issue("Two", "rpi-auto")
    cursor = client.changed_issues(None).cursor

    def seen(number: int) -> tuple[str, str, frozenset[str]]:
        nonlocal cursor
        listing = client.changed_issues(cursor)
        cursor = listing.cursor
        found = {issue.number: issue for issue in listing.issues}[number]
        return found.title, found.state, found.labels

    place.later(pause)
    place.ann.remove_label(first, "rpi-auto")
    assert seen(first) == ("One", "open", frozenset())
    place.later(pause)
    place.ann.close(second)
    assert seen(second) == ("Two", "closed", frozenset({"rpi-auto"}))
    place.later(pause)
    place.ann.edit_title(first, "Uno")
    assert seen(first) == ("Uno", "open", frozenset())
    assert seen(place.issue("Three")) == ("Three", "open", frozenset())
    assert not client.changed_issues(cursor).changed


def test_more_changes_than_a_page_holds_are_all_brought(place: Place) -> None:
    client = place.client()
    numbers = [place.issue() for _ in range(230)]
    cursor = client.changed_issues(None).cursor
    for index, number in enumerate(numbers):
        if index % 2:
            place.later()
        place.ann.add_label(number, "seen")
    listing = client.changed_issues(cursor)
    assert {issue.number for issue in listing.issues if "seen" in issue.labels} == set(numbers)
    assert not client.changed_issues(listing.cursor).changed


def test_a_hundred_and_more_changes_of_one_second_are_all_brought(place: Place) -> None:
    client = place.client()
    numbers = [place.issue() for _ in range(130)]
    cursor = client.changed_issues(None).cursor
    place.later(60)
    for number in numbers:
        place.ann.add_label(number, "bulk")
    found = {issue.number for issue in client.changed_issues(cursor).issues if "bulk" in issue.labels}
    assert found == set(numbers)


@pytest.mark.req("W3")
def test_after_a_hundred_and_more_changes_of_one_second_an_idle_look_is_one_304_again(place: Place) -> None:
    client = place.client()
    numbers = [place.issue() for _ in range(130)]
    cursor = client.changed_issues(None).cursor
    place.asked()
    second = client.changed_issues(cursor)
    assert len(place.asked()) == 2, "that second is not over: both pages are read"
    place.later(5)
    cursor = client.changed_issues(second.cursor).cursor
    place.asked()
    for idle in (client, place.client()):
        assert not idle.changed_issues(cursor).changed
        assert place.asked() == ["304 GET /issues"]
    for number in (numbers[0], numbers[129]):
        place.later(60)
        place.ann.add_label(number, "seen")
        listing = client.changed_issues(cursor)
        assert "seen" in {one.number: one for one in listing.issues}[number].labels
        assert not client.changed_issues(listing.cursor).changed
    place.ann.open_issue("Again in that second")
    place.ann.add_label(numbers[5], "at once")
    listing = client.changed_issues(listing.cursor)
    assert "at once" in {one.number: one for one in listing.issues}[numbers[5]].labels


def test_an_issue_is_not_lost_when_another_is_closed_between_two_pages(place: Place) -> None:
    numbers = [place.issue() for _ in range(150)]

    def close_after_the_first_page(_method: str, _path: str) -> None:
        pages = [one for one in place.stand_in.requests if one.query.get("state") == "open"]
        if len(pages) == 1 and place.ann._state.issue(numbers[0]).state == "open":
            place.later()
            place.ann.close(numbers[0])

    place.stand_in.intercept = close_after_the_first_page
    listing = place.client().changed_issues(None)
    assert sorted(issue.number for issue in listing.issues) == numbers[1:]


def test_an_issue_that_moves_to_the_end_between_two_pages_hides_no_other(place: Place) -> None:
    numbers = []
    for _ in range(150):
        place.later()
        numbers.append(place.issue())
    client = place.client()
    before = f'{{"repo": "{REPO}", "since": "2000-01-01T00:00:00Z", "etag": ""}}'

    def touch_after_the_first_page(_method: str, _path: str) -> None:
        if len(place.stand_in.requests) == 1:
            place.later()
            place.ann.add_label(numbers[0], "touched")

    place.stand_in.intercept = touch_after_the_first_page
    found = {issue.number: issue for issue in client.changed_issues(before).issues}
    assert sorted(found) == numbers
    assert found[numbers[0]].labels == {"touched"}


def test_pull_requests_among_the_issues_are_marked(place: Place) -> None:
    number, pull = place.issue(), place.pull()
    marks = {issue.number: issue.is_pull for issue in place.client().changed_issues(None).issues}
    assert marks == {number: False, pull: True}


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "not json",
        "[]",
        '{"since": "yesterday"}',
        '{"repo": "other/one", "since": "2026-01-01T00:00:00Z", "etag": ""}',
    ],
)
def test_a_cursor_that_is_not_of_this_repository_means_a_full_listing(place: Place, cursor: str) -> None:
    number = place.issue()
    listing = place.client().changed_issues(cursor)
    assert (listing.full, [issue.number for issue in listing.issues]) == (True, [number])


def test_a_repository_without_issues_is_listed_and_then_followed(place: Place) -> None:
    client = place.client()
    listing = client.changed_issues(None)
    assert (listing.full, listing.issues) == (True, ())
    number = place.issue()
    assert [issue.number for issue in client.changed_issues(listing.cursor).issues] == [number]


# --- one issue --------------------------------------------------------------------------------------


def test_an_issue_shows_who_it_is_assigned_to_and_how_many_block_it(place: Place) -> None:
    blocker, number = place.issue(), place.issue("Second", "rpi-auto", "priority:P1")
    place.ann.assign(number, "ann")
    place.ann.block(number, blocker)
    issue = place.client().issue(number)
    assert (issue.title, issue.author, issue.assignees, issue.blocked_by_count) == ("Second", "ann", ("ann",), 1)
    assert issue.labels == {"rpi-auto", "priority:P1"}
    assert place.client().blockers(number) == (blocker,)
    assert place.client().blockers(blocker) == ()


def test_label_events_are_brought_oldest_first_through_all_pages(place: Place) -> None:
    number = place.issue("One", "rpi-auto")
    for _ in range(60):
        place.ann.remove_label(number, "rpi-auto")
        place.ann.add_label(number, "rpi-auto")
    place.ann.close(number)
    events = place.client().label_events(number)
    assert [event.added for event in events] == [True, *[False, True] * 60]
    assert {(event.actor, event.label) for event in events} == {("ann", "rpi-auto")}
    assert [event.id for event in events] == sorted(event.id for event in events)


def test_a_permission_is_asked_once_in_ten_minutes(place: Place) -> None:
    for role in ("triage", "maintain", "read"):
        place.stand_in.add_user(role, permission=role)
    client = place.client()
    assert [client.permission(name) for name in ("ann", "bot", "triage", "maintain", "read", "ghost")] == [
        "admin",
        "write",
        "triage",
        "maintain",
        "read",
        "none",
    ]
    place.asked()
    assert client.permission("Ann") == "admin"
    assert place.asked() == []
    place.stand_in.add_user("ann", permission="read")
    place.later(601)
    assert client.permission("ann") == "read"


def test_what_is_not_there_is_said_with_its_address(place: Place) -> None:
    with pytest.raises(NotThere, match=r"issues/99: not there, or not visible to this token"):
        place.client().issue(99)


# --- pull requests ----------------------------------------------------------------------------------


@pytest.mark.req("E28")
def test_a_pull_request_is_found_by_its_branch_in_every_state(place: Place) -> None:
    client = place.client()
    assert client.pulls_of_branch("rpi/gh-1") == ()
    number = place.pull()
    place.pull("rpi/gh-10")
    found = client.pulls_of_branch("rpi/gh-1")
    assert [(pull.number, pull.state, pull.head_owner, pull.base_ref) for pull in found] == [
        (number, PullState.OPEN, "acme", "main")
    ]
    assert found[0].url.endswith(f"/{REPO}/pull/{number}")
    place.ann.close_pull(number)
    assert [pull.state for pull in client.pulls_of_branch("rpi/gh-1")] == [PullState.CLOSED]
    place.ann.commit("rpi/gh-1", {"b.txt": "b"}, "More")
    place.later()
    again = place.ann.open_pull("rpi/gh-1", "Again").number
    place.ann.merge(again, "squash")
    place.ann.delete_branch("rpi/gh-1")
    assert [(pull.number, pull.state) for pull in client.pulls_of_branch("rpi/gh-1")] == [
        (again, PullState.MERGED),
        (number, PullState.CLOSED),
    ]


def test_a_pull_request_is_found_by_a_commit_it_carries(place: Place) -> None:
    sha = place.ann.commit("theirs", {"c.txt": "c"}, "Work")
    number = place.ann.open_pull("theirs", "Theirs").number
    client = place.client()
    assert [pull.number for pull in client.pulls_with_commit(sha)] == [number]
    assert client.pulls_with_commit("0" * 40) == ()


def test_a_pull_request_is_opened_once_and_the_second_is_refused_in_githubs_words(place: Place) -> None:
    place.ann.commit("rpi/gh-1", {"a.txt": "a"}, "Work")
    client = place.client()
    pull = client.open_pull(branch="rpi/gh-1", base="main", title="Mend", body="Closes #1", draft=True)
    assert (pull.state, pull.draft, pull.title, pull.author) == (PullState.OPEN, True, "Mend", "bot")
    with pytest.raises(Refused, match="A pull request already exists for acme:rpi/gh-1"):
        client.open_pull(branch="rpi/gh-1", base="main", title="Mend", body="", draft=False)


def test_a_pull_request_that_stands_becomes_a_draft_once_and_by_a_write_that_can_be_seen(place: Place) -> None:
    place.ann.commit("rpi/gh-1", {"a.txt": "a"}, "Work")
    number = place.ann.open_pull("rpi/gh-1", "Mend").number
    client, crossed = place.client(), []
    unwatch = seam.watch(lambda moment, kind, what: crossed.append(what))
    try:
        for _ in range(2):
            client.make_draft(number)
    finally:
        unwatch()
    assert client.pulls_of_branch("rpi/gh-1")[0].draft
    assert set(crossed) == {f"draft {number}"}
    assert place.asked().count("200 POST /graphql") == 3
    with pytest.raises(NotThere):
        client.make_draft(place.issue())


@pytest.mark.req("X8")
def test_a_branch_of_our_fork_becomes_a_pull_request(place: Place) -> None:
    place.stand_in.add_user("forker", "forker-token", permission="read")
    fork = place.stand_in.add_fork("forker", REPO)
    fork.as_user("forker").commit("rpi/gh-1", {"a.txt": "a"}, "Work")
    client = place.client("forker-token", head_owner="forker")
    pull = client.open_pull(branch="rpi/gh-1", base="main", title="Mend", body="", draft=False)
    assert (pull.head_owner, pull.head_ref) == ("forker", "rpi/gh-1")
    assert [found.number for found in client.pulls_of_branch("rpi/gh-1")] == [pull.number]
    assert place.client().pulls_of_branch("rpi/gh-1") == ()


def test_recent_pulls_are_those_that_moved_and_an_idle_look_is_one_304(place: Place) -> None:
    client = place.client()
    first = place.pull("rpi/gh-1")
    place.later()
    second = place.pull("rpi/gh-2")
    listing = client.recent_pulls({})
    known = {pull.number: pull for pull in listing.pulls}
    assert (listing.changed, [pull.number for pull in listing.pulls]) == (True, [second, first])
    place.asked()
    assert not client.recent_pulls(known).changed
    assert place.asked() == ["304 GET /pulls"]
    place.later()
    place.ann.merge(first)
    moved = client.recent_pulls(known)
    assert [(pull.number, pull.state) for pull in moved.pulls] == [(first, PullState.MERGED)]


def test_a_pull_that_was_merged_unseen_behind_the_newest_page_is_asked_for_by_its_number(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.adapters.github.client.PER_PAGE", 1)
    client = place.client()
    first = place.pull("rpi/gh-1")
    known = {pull.number: pull for pull in client.recent_pulls({}).pulls}
    place.later()
    place.ann.merge(first)
    place.later()
    second = place.pull("rpi/gh-2")
    known |= {pull.number: pull for pull in client.pulls_of_branch("rpi/gh-2")}   # opened by us: known at once
    assert not client.recent_pulls(known).changed
    [found] = client.recent_pulls(known, (first, second, 9999)).pulls
    assert (found.number, found.state) == (first, PullState.MERGED)
    assert not client.recent_pulls({**known, first: found}, (first,)).changed


def test_only_what_no_page_named_is_asked_for_by_its_number_and_that_is_one_304(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordinator.adapters.github.client.PER_PAGE", 1)
    client = place.client()
    first = place.pull("rpi/gh-1")
    place.later()
    second = place.pull("rpi/gh-2")
    known = {pull.number: pull for pull in client.recent_pulls({}, (first,)).pulls}
    client.recent_pulls(known, (first,))   # whether it can be merged was worked out meanwhile
    place.asked()
    assert not client.recent_pulls(known, (first, second, 9999)).changed
    assert place.asked() == ["304 GET /pulls", f"304 GET /pulls/{first}", "404 GET /pulls/9999"]


def cannot_serve(client: GitHubClient, monkeypatch: pytest.MonkeyPatch, what: str, error: GitHubError) -> None:
    """Whatever has a path that begins so."""
    plain = client._ask.get

    def get(path: str, *args: Any, **more: Any) -> Answer:
        if path.startswith(what):
            raise error
        return plain(path, *args, **more)

    monkeypatch.setattr(client._ask, "get", get)


@pytest.mark.parametrize("error", [TryLater("502"), Forbidden("451"), Refused("400")])
def test_a_pull_that_github_cannot_serve_keeps_no_other_from_being_followed(
    place: Place, monkeypatch: pytest.MonkeyPatch, error: GitHubError
) -> None:
    monkeypatch.setattr("coordinator.adapters.github.client.PER_PAGE", 1)
    client = place.client()
    first, second = place.pull("rpi/gh-1"), place.pull("rpi/gh-2")
    place.later()
    place.pull("rpi/gh-3")
    cannot_serve(client, monkeypatch, f"pulls/{first}", error)
    assert second in [pull.number for pull in client.recent_pulls({}, (first, second)).pulls]


def test_several_pulls_that_cannot_be_served_are_github_in_trouble(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = place.client()
    place.pull()
    cannot_serve(client, monkeypatch, "pulls/", TryLater("502"))
    assert client.recent_pulls({}, (98, 99)).changed
    with pytest.raises(TryLater):
        client.recent_pulls({}, (97, 98, 99))


def test_pulls_that_were_told_but_never_kept_are_told_again(place: Place) -> None:
    client = place.client()
    number = place.pull()
    for _ in range(2):
        assert [pull.number for pull in client.recent_pulls({}).pulls] == [number]


# --- comments, labels, facts ------------------------------------------------------------------------


def test_comments_are_added_edited_and_listed_through_all_pages(place: Place) -> None:
    number = place.issue()
    client = place.client()
    made = client.add_comment(number, "Working on this\r\n🟡 <!-- marker -->")
    for index in range(104):
        place.ann.comment(number, f"Word {index}")
    client.edit_comment(made.id, "✅ Completed!")
    found = client.comments(number)
    assert len(found) == 105
    assert (found[0].id, found[0].author, found[0].body) == (made.id, "bot", "✅ Completed!")
    with pytest.raises(NotThere):
        client.edit_comment(987_654_321, "gone")


def test_labels_are_made_set_and_taken_and_repeating_it_is_no_error(place: Place) -> None:
    client = place.client()
    number = place.issue()
    assert not client.label_exists("rpi:blocked")
    assert client.create_label("rpi:blocked", "d73a4a", "A person is needed")
    assert not client.create_label("rpi:blocked", "d73a4a", "A person is needed")
    assert client.label_exists("rpi:blocked")
    client.add_labels(number, ["rpi:blocked", "needs a look/please ✅"])
    assert client.issue(number).labels == {"rpi:blocked", "needs a look/please ✅"}
    for _ in range(2):
        client.remove_label(number, "needs a look/please ✅")
    assert client.issue(number).labels == {"rpi:blocked"}


def test_facts_tell_who_we_are_and_what_the_token_may_do(place: Place) -> None:
    place.stand_in.add_user("reader", "reader-token", permission="read", scopes=None)
    facts = place.client().facts()
    assert (facts.full_name, facts.default_branch, facts.login, facts.can_push) == (REPO, "main", "bot", True)
    assert facts.scopes == ("repo",)
    assert facts.clone_url.endswith(f"/{REPO}.git")
    assert facts.server_time is not None
    reader = place.client("reader-token").facts()
    assert (reader.login, reader.can_push, reader.scopes) == ("reader", False, None)


def test_every_write_crosses_the_seam_and_no_read_does(place: Place) -> None:
    number = place.issue()
    client = place.client()
    crossed: list[str] = []
    leave = seam.watch(lambda when, kind, what: crossed.append(f"{when} {kind} {what}"))
    try:
        client.changed_issues(None)
        client.comments(number)
        client.add_comment(number, "Words")
    finally:
        leave()
    path = f"github POST issues/{number}/comments"
    assert crossed == [f"before {path}", f"after {path}"]
