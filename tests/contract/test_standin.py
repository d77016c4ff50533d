"""The stand-in GitHub behaves as GitHub does: proved over real HTTP, and held against GitHub's description."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from coordinator.rehearsal.standin import StandIn
from tests.support import standin
from tests.support.description import Complaint, check_all
from tests.support.standin import BOT_TOKEN, Town

town = standin.town
TIMEOUT = 10


def call(town: Town, method: str, path: str, token: str | None = BOT_TOKEN, **more: Any) -> requests.Response:
    """One request below the repository's address, or an absolute one."""
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
    url = path if path.startswith("http") else town.api + path
    return requests.request(method, url, headers=headers, timeout=TIMEOUT, **more)


def titles(answer: requests.Response) -> list[str]:
    return [one["title"] for one in answer.json()]


def errors(answer: requests.Response) -> str:
    return json.dumps(answer.json().get("errors", []))


def with_pull(town: Town, branch: str = "rpi/gh-1", body: str = "Closes #1") -> int:
    """Issue 1 and a pull request of the bot that closes it; returns the pull request's number."""
    town.repository.as_user("ann").open_issue("wish", "please", ["rpi-auto"])
    town.repository.as_user("bot").commit(branch, {"new.txt": "new\n"}, "Do it")
    made = call(town, "POST", "/pulls", json={"title": "Do it", "head": branch, "base": "main", "body": body})
    assert made.status_code == 201, made.text
    return int(made.json()["number"])


def test_issues_are_filtered_by_label_state_and_since(town: Town) -> None:
    ann = town.repository.as_user("ann")
    ann.open_issue("old", labels=["rpi-auto"])
    ann.open_issue("closed", labels=["rpi-auto"])
    ann.close(2)
    town.clock.advance(100)
    ann.open_issue("new", labels=["rpi-auto", "P1"])
    assert titles(call(town, "GET", "/issues?labels=rpi-auto")) == ["new", "old"]
    assert titles(call(town, "GET", "/issues?labels=rpi-auto,P1")) == ["new"]
    assert titles(call(town, "GET", "/issues?state=all&sort=updated&direction=asc")) == ["old", "closed", "new"]
    since = call(town, "GET", "/issues/3").json()["created_at"]
    assert titles(call(town, "GET", f"/issues?state=all&since={since}")) == ["new"]


def test_updated_at_is_moved_by_comments_labels_and_edits_in_whole_seconds(town: Town) -> None:
    ann = town.repository.as_user("ann")
    ann.open_issue("wish", "please")
    seen = [call(town, "GET", "/issues/1").json()["updated_at"]]
    for act in (lambda: ann.comment(1, "hi"), lambda: ann.add_label(1, "x"), lambda: ann.edit_body(1, "more")):
        town.clock.advance(1.5)
        act()
        seen.append(call(town, "GET", "/issues/1").json()["updated_at"])
    assert seen == sorted(set(seen))
    assert all(len(at) == len("2026-01-01T00:00:00Z") for at in seen)


def test_pages_are_linked_by_repository_id_and_end(town: Town) -> None:
    ann = town.repository.as_user("ann")
    for number in range(5):
        ann.open_issue(f"wish {number}")
    first = call(town, "GET", "/issues?per_page=2&direction=asc")
    assert f"/repositories/{town.repository.state.id}/issues?" in first.links["next"]["url"]
    assert "page=3" in first.links["last"]["url"]
    second = call(town, "GET", first.links["next"]["url"])
    third = call(town, "GET", second.links["next"]["url"])
    assert titles(first) + titles(second) + titles(third) == [f"wish {number}" for number in range(5)]
    assert "next" not in third.links
    assert "prev" in third.links


def test_pull_requests_stand_among_the_issues_and_say_so(town: Town) -> None:
    number = with_pull(town)
    listed = {one["number"]: one for one in call(town, "GET", "/issues").json()}
    assert "pull_request" in listed[number]
    assert "pull_request" not in listed[1]


def test_the_same_answer_again_is_304_and_costs_nothing(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish")
    first = call(town, "GET", "/issues")
    again = call(town, "GET", "/issues", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-RateLimit-Used"] == first.headers["X-RateLimit-Used"] == "1"
    town.repository.as_user("ann").comment(1, "news")
    assert call(town, "GET", "/issues", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


@pytest.mark.parametrize("status", [403, 429])
def test_the_hour_used_up_is_refused_until_it_resets(town: Town, status: int) -> None:
    town.github.limits.status = status
    town.github.spend("bot", leave=1)
    assert call(town, "GET", "/issues").headers["X-RateLimit-Remaining"] == "0"
    refused = call(town, "GET", "/issues")
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (status, "0")
    assert "rate limit exceeded" in refused.json()["message"]
    assert call(town, "GET", f"{town.github.url}/rate_limit").json()["rate"]["remaining"] == 0
    assert call(town, "GET", "/issues", token="ann-token").status_code == 200
    town.clock.at = int(refused.headers["X-RateLimit-Reset"])
    assert call(town, "GET", "/issues").status_code == 200


def test_the_secondary_limit_says_when_to_come_back(town: Town) -> None:
    town.github.throttle(30)
    refused = call(town, "GET", "/issues")
    assert (refused.status_code, refused.headers["Retry-After"]) == (403, "30")
    assert "secondary rate limit" in refused.json()["message"]
    town.clock.advance(30)
    assert call(town, "GET", "/issues").status_code == 200


def test_too_many_new_comments_in_a_minute_meet_the_secondary_limit(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish")
    town.github.limits.creations_a_minute = 2
    answers = [call(town, "POST", "/issues/1/comments", json={"body": "again"}) for _ in range(3)]
    assert [one.status_code for one in answers] == [201, 201, 403]
    assert answers[2].headers["Retry-After"] == "60"
    assert len(town.repository.issue(1).comments) == 2


def test_a_token_nobody_was_given_is_401_and_none_sees_no_private_repository(town: Town) -> None:
    assert call(town, "GET", "/issues", token="stolen").status_code == 401
    assert call(town, "GET", "/issues", token=None).status_code == 404
    town.github.revoke(BOT_TOKEN)
    assert call(town, "GET", "/issues").json()["message"] == "Bad credentials"


def test_classic_tokens_show_their_scopes_and_fine_grained_ones_their_limits(town: Town) -> None:
    town.github.add_user("fine", "fine-token", scopes=None, grants={"issues": "read"})
    town.github.add_user("poor", "poor-token", scopes=("read:user",))
    town.repository.as_user("ann").open_issue("wish")
    assert call(town, "GET", "/issues").headers["X-OAuth-Scopes"] == "repo"
    assert "X-OAuth-Scopes" not in call(town, "GET", "/issues", token="fine-token").headers
    refused = call(town, "POST", "/issues/1/comments", token="fine-token", json={"body": "x"})
    assert refused.status_code == 403
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "issues=write"
    assert call(town, "GET", "/issues", token="poor-token").status_code == 404


def test_a_reader_may_comment_but_not_label_merge_or_ask_for_permissions(town: Town) -> None:
    number = with_pull(town)
    town.github.add_user("eve", "eve-token", permission="read")

    def eve(method: str, path: str, **more: Any) -> int:
        return call(town, method, path, token="eve-token", **more).status_code

    assert eve("POST", "/issues/1/comments", json={"body": "me too"}) == 201
    assert eve("POST", "/issues/1/labels", json={"labels": ["rpi-auto"]}) == 403
    assert eve("PATCH", "/issues/1", json={"state": "closed"}) == 403
    assert eve("PUT", f"/pulls/{number}/merge", json={}) == 403
    assert eve("GET", "/collaborators/bot/permission") == 403
    asked = call(town, "GET", "/collaborators/eve/permission").json()
    assert (asked["permission"], asked["user"]["login"]) == ("read", "eve")


def test_labels_leave_events_with_id_and_actor_and_a_label_that_is_not_there_is_404(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish", labels=["rpi-auto"])
    assert call(town, "DELETE", "/issues/1/labels/rpi-auto").json() == []
    gone = call(town, "DELETE", "/issues/1/labels/rpi-auto")
    assert (gone.status_code, gone.json()["message"]) == (404, "Label does not exist")
    town.clock.advance(5)
    call(town, "POST", "/issues/1/labels", json={"labels": ["rpi:blocked"]})
    call(town, "POST", "/issues/1/labels", json=["rpi:blocked"])
    told = call(town, "GET", "/issues/1/events").json()
    assert [(one["event"], one["actor"]["login"], one["label"]["name"]) for one in told] == [
        ("labeled", "ann", "rpi-auto"),
        ("unlabeled", "bot", "rpi-auto"),
        ("labeled", "bot", "rpi:blocked"),
    ]
    assert len({one["id"] for one in told}) == 3


def test_the_timeline_holds_closing_reopening_and_comments(town: Town) -> None:
    ann = town.repository.as_user("ann")
    ann.open_issue("wish")
    ann.comment(1, "hello")
    assert (
        call(town, "PATCH", "/issues/1", json={"state": "closed", "state_reason": "not_planned"}).json()["state_reason"]
        == "not_planned"
    )
    ann.reopen(1)
    told = [one["event"] for one in call(town, "GET", "/issues/1/timeline").json()]
    assert told == ["commented", "closed", "reopened"]


def test_comments_are_made_edited_listed_and_deleted(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish")
    made = call(town, "POST", "/issues/1/comments", json={"body": "one"}).json()
    place = f"/issues/comments/{made['id']}"
    assert call(town, "PATCH", place, json={"body": "two"}).json()["body"] == "two"
    assert [one["body"] for one in call(town, "GET", "/issues/1/comments").json()] == ["two"]
    assert call(town, "POST", "/issues/1/comments", json={"body": "x" * 65537}).status_code == 422
    assert call(town, "DELETE", place).status_code == 204
    assert call(town, "GET", place).status_code == 404


def test_people_are_assigned_and_blockers_are_counted(town: Town) -> None:
    ann = town.repository.as_user("ann")
    ann.open_issue("first")
    ann.open_issue("second")
    ann.block(2, by=1)
    call(town, "POST", "/issues/2/assignees", json={"assignees": ["bot", "nobody"]})
    second = call(town, "GET", "/issues/2").json()
    assert [one["login"] for one in second["assignees"]] == ["bot"]
    assert second["issue_dependencies_summary"]["blocked_by"] == 1
    assert titles(call(town, "GET", "/issues/2/dependencies/blocked_by")) == ["first"]
    ann.close(1)
    assert call(town, "GET", "/issues/2").json()["issue_dependencies_summary"]["blocked_by"] == 0
    assert call(town, "DELETE", "/issues/2/assignees", json={"assignees": ["bot"]}).json()["assignees"] == []


def test_a_second_pull_request_for_a_head_and_one_without_commits_are_refused(town: Town) -> None:
    with_pull(town)
    again = {"title": "Again", "head": "acme:rpi/gh-1", "base": "main"}
    refused = call(town, "POST", "/pulls", json=again)
    assert refused.status_code == 422
    assert "A pull request already exists for acme:rpi/gh-1." in errors(refused)
    empty = call(town, "POST", "/pulls", json={"title": "None", "head": "main", "base": "main"})
    assert (empty.status_code, "No commits between main and main" in errors(empty)) == (422, True)
    unknown = call(town, "POST", "/pulls", json={"title": "None", "head": "nowhere", "base": "main"})
    assert (unknown.status_code, '"field": "head"' in errors(unknown)) == (422, True)


def test_pull_requests_are_found_by_owner_and_branch_only(town: Town) -> None:
    with_pull(town)
    assert titles(call(town, "GET", "/pulls?head=acme:rpi/gh-1&state=all")) == ["Do it"]
    assert titles(call(town, "GET", "/pulls?head=acme:rpi/gh-2&state=all")) == []
    assert titles(call(town, "GET", "/pulls?head=rpi/gh-2")) == ["Do it"], "a bare branch filters nothing"
    assert titles(call(town, "GET", "/pulls?state=closed")) == []


@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_merging_is_really_done_and_closes_the_issue_it_names(town: Town, method: str) -> None:
    number = with_pull(town, body="Fixes #1")
    before = town.repository.branch("main")
    done = call(town, "PUT", f"/pulls/{number}/merge", json={"merge_method": method})
    assert done.json()["merged"] is True
    assert town.repository.branch("main") == done.json()["sha"] != before
    assert town.repository.read("main", "new.txt") == "new"
    issue = call(town, "GET", "/issues/1").json()
    assert (issue["state"], issue["state_reason"]) == ("closed", "completed")
    pull = call(town, "GET", f"/pulls/{number}").json()
    assert (pull["state"], pull["merged"], pull["merged_by"]["login"]) == ("closed", True, "bot")
    carried = call(town, "GET", f"/commits/{done.json()['sha']}/pulls").json()
    assert [one["number"] for one in carried] == [number]


def test_a_draft_a_conflict_and_a_moved_head_cannot_be_merged(town: Town) -> None:
    number = with_pull(town)
    place = f"/pulls/{number}/merge"
    assert call(town, "PUT", place, json={"sha": "0" * 40}).status_code == 409
    town.repository.as_user("ann").commit("main", {"new.txt": "other\n"}, "The same file")
    assert call(town, "PUT", place, json={}).status_code == 405
    assert call(town, "GET", f"/pulls/{number}").json()["mergeable"] is None, "first asked, not yet known"
    assert call(town, "GET", f"/pulls/{number}").json()["mergeable_state"] == "dirty"
    town.repository.as_user("bot").commit("rpi/draft", {"draft.txt": "x"}, "Begin")
    draft = town.repository.as_user("bot").open_pull("rpi/draft", "Draft", draft=True)
    assert "draft" in call(town, "PUT", f"/pulls/{draft.number}/merge", json={}).json()["message"]


def test_deleting_the_head_branch_closes_its_pull_request(town: Town) -> None:
    number = with_pull(town)
    assert call(town, "GET", "/git/ref/heads/rpi/gh-1").status_code == 200
    assert call(town, "DELETE", "/git/refs/heads/rpi/gh-1").status_code == 204
    assert call(town, "GET", "/git/ref/heads/rpi/gh-1").status_code == 404
    assert call(town, "GET", "/branches/rpi/gh-1").status_code == 404
    assert call(town, "GET", f"/pulls/{number}").json()["state"] == "closed"


def test_nobody_approves_their_own_pull_request(town: Town) -> None:
    number = with_pull(town)
    own = call(town, "POST", f"/pulls/{number}/reviews", json={"event": "APPROVE"})
    assert own.status_code == 422
    town.repository.as_user("ann").review(number, "REQUEST_CHANGES", "Tests, please.")
    told = call(town, "GET", f"/pulls/{number}/reviews").json()
    assert [(one["user"]["login"], one["state"]) for one in told] == [("ann", "CHANGES_REQUESTED")]


def test_who_edited_a_body_last_is_told_by_graphql_alone(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish", "please")
    query = """query($number: Int!) { repository(owner: "acme", name: "widgets") { issue(number: $number) {
        lastEditedAt editor { login } userContentEdits(last: 5) { nodes { editedAt editor { login } } } } } }"""
    asked = {"query": query, "variables": {"number": 1}}

    def issue() -> dict[str, Any]:
        answer = call(town, "POST", f"{town.github.url}/graphql", json=asked).json()
        return dict(answer["data"]["repository"]["issue"])

    assert issue() == {"lastEditedAt": None, "editor": None, "userContentEdits": {"nodes": []}}
    town.repository.as_user("bot").edit_body(1, "other words")
    assert issue()["editor"] == {"login": "bot"}
    strange = {"query": query.replace("lastEditedAt", "lastEdited"), "variables": {"number": 1}}
    answer = call(town, "POST", f"{town.github.url}/graphql", json=strange).json()
    assert answer["errors"][0]["message"] == "Field 'lastEdited' doesn't exist on type 'Issue'"


def test_compressed_and_chunked_bodies_are_read(town: Town) -> None:
    body = json.dumps({"title": "packed"}).encode()
    packed = call(town, "POST", "/issues", data=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert packed.json()["title"] == "packed"
    chunked = call(town, "POST", "/issues", data=iter([body[:5], body[5:]]))
    assert chunked.json()["title"] == "packed"


def test_a_test_can_answer_in_its_place_or_cut_the_line_before_or_after_the_deed(town: Town) -> None:
    town.repository.as_user("ann").open_issue("wish")
    town.github.intercept = lambda method, _path: (502, {}, b"bad gateway") if method == "GET" else "drop"
    assert call(town, "GET", "/issues").status_code == 502
    with pytest.raises(requests.ConnectionError):
        call(town, "POST", "/issues/1/comments", json={"body": "lost"})
    assert town.repository.issue(1).comments == []
    town.github.intercept = lambda _method, _path: "drop-after"
    with pytest.raises(requests.ConnectionError):
        call(town, "POST", "/issues/1/comments", json={"body": "done"})
    assert [one.body for one in town.repository.issue(1).comments] == ["done"]
    assert [one.status for one in town.github.requests] == [502, 0, 0]


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("GET", "/milestones", None, "not covered"),
        ("GET", "/issues?label=rpi-auto", None, "no query parameter label"),
        ("POST", "/issues", {"title": "wish", "label": "x"}, "no field label"),
        ("POST", "/issues", {"title": ["wish"]}, "request"),
    ],
)
def test_a_request_that_github_does_not_describe_fails_the_test(
    tmp_path: Path, method: str, path: str, body: Any, words: str
) -> None:
    with StandIn(tmp_path / "github") as stand_in:
        stand_in.add_user("bot", BOT_TOKEN)
        stand_in.add_repository("acme/widgets", {})
        headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
        url = f"{stand_in.url}/repos/acme/widgets{path}"
        requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT)
        with pytest.raises(Complaint, match=words):
            check_all(stand_in.requests)
