"""Every way GitHub refuses or fails, as the exception its caller needs, with words and without the token."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coordinator.ports import BadCredentials, Forbidden, GitHubError, Limited, NotThere, Refused, TryLater
from tests.support import github_place
from tests.support.github_place import Place
from tests.support.standin import BOT_TOKEN

place = github_place.place


def test_a_token_nobody_knows_is_bad_credentials_and_is_never_shown(place: Place) -> None:
    client = place.client("ghp_notarealtokenatall0123456789abcdef01")
    with pytest.raises(BadCredentials, match=r"does not accept the token \(HTTP 401: Bad credentials\)") as told:
        client.issue(1)
    assert "ghp_" not in str(told.value) + repr(client) + repr(client.__dict__)


def test_a_missing_right_is_forbidden_with_the_right_that_is_needed(place: Place) -> None:
    number = place.issue()
    place.stand_in.add_user("narrow", "narrow-token", scopes=None, grants={"metadata": "read", "issues": "read"})
    with pytest.raises(Forbidden, match=r"Resource not accessible.*needs one of: issues=write"):
        place.client("narrow-token").add_comment(number, "Words")


def test_the_primary_limit_closes_the_door_until_githubs_reset_whatever_our_clock_says(place: Place) -> None:
    number = place.issue()
    client = place.client()
    client.issue(number)
    place.stand_in.spend("bot", leave=0)
    with pytest.raises(Limited, match="rate limit exceeded") as told:
        client.issue(number + 1)
    assert timedelta(minutes=59) < told.value.until - place.ours.at <= timedelta(minutes=61)
    place.asked()
    with pytest.raises(Limited):
        client.issue(number)
    assert place.asked() == []
    place.later(3601)
    assert client.issue(number).number == number


@pytest.mark.req("N8", "W3")
@pytest.mark.parametrize("status", [403, 429])
def test_the_secondary_limit_is_obeyed_for_as_long_as_github_asks(place: Place, status: int) -> None:
    number = place.issue()
    client = place.client()
    place.stand_in.limits.status = status
    place.stand_in.throttle(90)
    with pytest.raises(Limited, match="secondary rate limit") as told:
        client.add_comment(number, "Words")
    assert told.value.until == place.ours.at + timedelta(seconds=90)
    place.asked()
    place.later(89)
    for ask in (lambda: client.add_comment(number, "Words"), lambda: client.changed_issues(None)):
        with pytest.raises(Limited):
            ask()
    assert place.asked() == [], "not one request before its time"
    place.later(1)
    assert client.add_comment(number, "Words").body == "Words"


def test_below_the_reserve_new_work_waits_while_started_work_is_finished(place: Place) -> None:
    number = place.issue()
    client = place.client(reserve=500)
    cursor = client.changed_issues(None).cursor
    place.stand_in.spend("bot", leave=499)
    client.add_comment(number, "started work goes on")
    with pytest.raises(Limited, match=r"49\d of 5000 requests are left and 500 are kept for people") as told:
        client.label_events(number)
    for held in (lambda: client.permission("ann"), lambda: client.blockers(number)):
        with pytest.raises(Limited):
            held()
    assert [issue.number for issue in client.changed_issues(cursor).issues] == [number]
    place.later((told.value.until - place.ours.at).total_seconds() + 1)
    assert client.label_events(number) == ()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        ((500, {}, {"message": "Server Error"}), TryLater, r"cannot answer just now \(HTTP 500\)"),
        ((502, {"Content-Type": "text/html"}, b"<html>Bad gateway</html>"), TryLater, "HTTP 502"),
        ((200, {"Content-Type": "text/html"}, b"<html>Log in to the hotel</html>"), TryLater, "no JSON"),
        ((200, {}, b'{"number": 1, "titl'), TryLater, "no JSON"),
        ((200, {}, []), TryLater, "not what GitHub gives there"),
        ((200, {}, {"number": "one"}), TryLater, "`number` is no number"),
        ((202, {}, {}), TryLater, "HTTP 202"),
        (
            (301, {"Location": "https://elsewhere.invalid/repositories/7"}, {"message": "Moved Permanently"}),
            NotThere,
            r"renamed or transferred: set repository\.name",
        ),
        ((410, {}, {"message": "Issues has been disabled in this repository."}), NotThere, "Issues has been disabled"),
        ((409, {}, {"message": "Git Repository is empty."}), Refused, "Git Repository is empty"),
        ((403, {"Retry-After": "7"}, {"message": "slow down"}), Limited, "slow down"),
        ((429, {}, None), Limited, "HTTP 429"),
        ("drop", TryLater, "cut"),
        ("drop-after", TryLater, "cut"),
    ],
)
def test_each_trouble_has_the_exception_its_caller_needs(
    place: Place, answer: object, kind: type[GitHubError], words: str
) -> None:
    number = place.issue()
    place.stand_in.intercept = lambda _method, _path: answer
    client = place.client()
    with pytest.raises(kind, match=words) as told:
        client.issue(number)
    assert BOT_TOKEN not in repr(told.value)
    assert told.value.words
    place.stand_in.intercept = None
    if kind is not Limited:
        assert client.issue(number).number == number, "one trouble leaves the client usable"
