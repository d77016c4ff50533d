"""What an answer means for the caller, and when it may ask again, whatever our own clock says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import cast

import pytest
import requests

from coordinator.adapters.github.asking import Asker
from coordinator.adapters.github.budget import Meter
from coordinator.adapters.github.failures import failure
from coordinator.adapters.github.transport import Answer, Route, Transport
from coordinator.ports import BadCredentials, Forbidden, Limited, NoDrafts, NotThere, NotYet, Refused, TryLater
from tests.support.fake_github import FakeClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
THERE = datetime(2026, 3, 1, 9, 59, 30, tzinfo=UTC)
DATE = {"date": "Sun, 01 Mar 2026 09:59:30 GMT"}


def reset(seconds: int) -> dict[str, str]:
    return {"x-ratelimit-reset": str(int((THERE + timedelta(seconds=seconds)).timestamp()))}


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (403, {"x-ratelimit-remaining": "0", **reset(120), **DATE}, "API rate limit exceeded", 120),
        (429, {"x-ratelimit-remaining": "0", **reset(120), **DATE}, "", 120),
        (403, {"x-ratelimit-remaining": "0", **reset(-5), **DATE}, "", 0),
        (403, {"x-ratelimit-remaining": "0", **reset(900_000), **DATE}, "", 3660),
        (403, {"retry-after": "30", "x-ratelimit-remaining": "4000"}, "", 30),
        (403, {"retry-after": "Sun, 01 Mar 2026 10:00:00 GMT", **DATE}, "", 30),
        (403, {"retry-after": "9" * 40}, "", 3660),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1507651200000"}, "", 3660),
        (403, {"retry-after": "soon", "x-ratelimit-reset": "later"}, "", 60),
        (403, {"x-ratelimit-remaining": "4000"}, "You have exceeded a secondary rate limit.", 60),
        (403, {}, "You have triggered an abuse detection mechanism.", 60),
        (429, {}, "", 60),
    ],
)
def test_a_limit_says_when_to_ask_again_by_our_own_clock(
    status: int, headers: dict[str, str], message: str, wait: int
) -> None:
    told = failure("GET issues", status, headers, {"message": message}, NOW)
    assert isinstance(told, Limited)
    assert told.until == NOW + timedelta(seconds=wait)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, NotThere),
        (307, NotThere),
        (308, NotThere),
        (400, Refused),
        (401, BadCredentials),
        (403, Forbidden),
        (404, NotThere),
        (408, TryLater),
        (409, Refused),
        (410, NotThere),
        (422, Refused),
        (451, Forbidden),
        (500, TryLater),
        (502, TryLater),
        (503, TryLater),
        (504, TryLater),
    ],
)
@pytest.mark.parametrize("data", [None, "<html>", [], {}, {"message": None, "errors": "none"}])
def test_each_status_has_its_exception_whatever_the_body_holds(status: int, kind: type, data: object) -> None:
    told = failure("GET issues/5", status, {}, data, NOW)
    assert type(told) is kind
    assert "GET issues/5" in str(told)


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        (
            [{"message": "A pull request already exists for acme:b."}],
            "Failed; A pull request already exists for acme:b.",
        ),
        ([{"resource": "Label", "field": "color", "code": "invalid"}], "Failed; Label color invalid"),
        (["plain words", {"code": "custom"}], "Failed; plain words; custom"),
    ],
)
def test_githubs_own_words_are_told(errors: list[object], words: str) -> None:
    assert words in str(failure("POST pulls", 422, {}, {"message": "Failed", "errors": errors}, NOW))


def test_a_locked_conversation_is_no_right_that_lacks() -> None:
    said = {"message": "Unable to create comment because issue is locked."}
    told = failure("POST issues/5/comments", 403, {}, said, NOW)
    assert type(told) is Refused
    assert "issue is locked" in told.words


@pytest.mark.parametrize(("error", "kind"), [
    ("Head sha can't be blank", NotYet),
    ("Base sha can't be blank", NotYet),
    ("Head ref must be a branch", NotYet),
    ("No commits between main and rpi/gh-1", NotYet),
    ({"resource": "PullRequest", "field": "head", "code": "invalid"}, NotYet),
    ("You can't perform that action at this time: was submitted too quickly", NotYet),
    ("Draft pull requests are not supported in this repository.", NoDrafts),
    ({"resource": "PullRequest", "field": "base", "code": "invalid"}, Refused),
    ("A pull request already exists for acme:b.", Refused),
])  # fmt: skip
def test_a_refusal_that_passes_is_told_from_one_that_lasts(error: object, kind: type) -> None:
    told = failure("POST pulls", 422, {}, {"message": "Validation Failed", "errors": [error]}, NOW)
    assert type(told) is kind


def test_a_secret_in_githubs_words_is_masked_and_long_words_are_cut() -> None:
    told = str(failure("GET x", 422, {}, {"message": f"ghp_{'a1B2' * 9} " + "x" * 5000}, NOW))
    assert "a1B2" not in told
    assert len(told) < 700


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"x-accepted-github-permissions": "issues=write"}, "needs one of: issues=write"),
        ({"x-accepted-oauth-scopes": "repo"}, "needs one of: repo"),
        (
            {"x-github-sso": "required; url=https://github.com/orgs/acme/sso"},
            "sign-on: https://github.com/orgs/acme/sso",
        ),
    ],
)
def test_a_missing_right_is_named(headers: dict[str, str], words: str) -> None:
    told = failure("POST pulls", 403, headers, {"message": "Resource not accessible"}, NOW)
    assert isinstance(told, Forbidden)
    assert words in told.words


def meter_after(remaining: int, *, resource: str = "core", reserve: int = 500) -> Meter:
    meter = Meter(reserve)
    meter.note(
        200,
        {
            "x-ratelimit-remaining": str(remaining),
            "x-ratelimit-limit": "5000",
            "x-ratelimit-resource": resource,
            **reset(600),
            **DATE,
        },
        NOW,
    )
    return meter


@pytest.mark.parametrize(
    ("remaining", "resource", "held"),
    [(501, "core", False), (500, "core", True), (0, "core", True), (3, "search", False)],
)
def test_new_work_waits_from_the_reserve_down(remaining: int, resource: str, held: bool) -> None:
    meter = meter_after(remaining, resource=resource)
    meter.check(NOW, new_work=False)
    if held:
        with pytest.raises(Limited, match=f"{remaining} of 5000 requests are left"):
            meter.check(NOW, new_work=True)
    else:
        meter.check(NOW, new_work=True)
    meter.check(NOW + timedelta(seconds=600), new_work=True)


def test_after_a_refusal_nothing_is_asked_until_its_time() -> None:
    meter = Meter(0)
    meter.close(Limited("wait", NOW + timedelta(seconds=60)))
    with pytest.raises(Limited, match="wait"):
        meter.check(NOW + timedelta(seconds=59), new_work=False)
    meter.check(NOW + timedelta(seconds=60), new_work=False)


def test_of_two_refusals_to_questions_under_way_the_longer_counts() -> None:
    meter = Meter(0)
    meter.close(Limited("a long wait", NOW + timedelta(seconds=60)))
    meter.close(Limited("a short one", NOW + timedelta(seconds=10)))
    with pytest.raises(Limited, match="a long wait"):
        meter.check(NOW + timedelta(seconds=59), new_work=False)
    meter.close(Limited("a later one", NOW + timedelta(seconds=90)))
    with pytest.raises(Limited, match="a later one"):
        meter.check(NOW + timedelta(seconds=89), new_work=False)


def test_no_thread_gets_a_session_that_would_still_read_a_password_from_netrc(monkeypatch: pytest.MonkeyPatch) -> None:
    transport = Transport(Route("https://github.invalid", 1.0), lambda: "token")
    seen: list[object] = []

    def other() -> None:
        seen.append(transport._open_session().auth)

    class Slow(requests.Session):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "auth" and value is not None and not seen:   # None is how every session begins
                beside = Thread(target=other)
                seen.append(value)
                beside.start()
                beside.join()
            super().__setattr__(name, value)

    monkeypatch.setattr(requests, "Session", Slow)
    assert transport._open_session().auth is seen[0]
    assert seen == [seen[0]] * 2


def test_requests_and_304s_are_counted() -> None:
    meter = meter_after(4000)
    meter.note(304, {}, NOW)
    told = meter.budget
    assert (told.requests, told.not_modified, told.remaining, told.limit) == (2, 1, 4000, 5000)
    assert told.reset_at == NOW + timedelta(seconds=600)


class Busy:
    """A transport on which other threads put many questions while one of ours is under way."""

    asker: Asker

    def send(self, verb: str, url: str, body: object, headers: Mapping[str, str] | None) -> Answer:
        if not headers:
            return Answer(200, {"etag": url}, {"told": url})
        for number in range(200):
            self.asker.get(f"other/{number}")
        return Answer(304, {}, None)


def test_an_answer_that_others_pushed_out_of_memory_meanwhile_is_given_all_the_same() -> None:
    transport = Busy()
    transport.asker = asker = Asker("a/b", cast("Transport", transport), Meter(0), FakeClock(NOW))
    first = asker.get("issues/1")
    again = asker.get("issues/1")
    assert (again.status, again.data) == (304, first.data)
