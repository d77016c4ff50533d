"""What an answer of GitHub, or the lack of one, means for the caller. Pure; no text here ever holds a secret,
because only GitHub's own message is quoted, masked and cut."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from coordinator.ports import (
    BadCredentials,
    Forbidden,
    GitHubError,
    Limited,
    NoDrafts,
    NotThere,
    NotYet,
    Refused,
    Reserved,
    TryLater,
)
from coordinator.runfiles.masking import mask

SECONDARY_WAIT = timedelta(seconds=60)
"""GitHub: without Retry-After wait at least a minute after a secondary limit."""
LONGEST_WAIT = timedelta(hours=1, minutes=1)
"""The primary window is an hour; a wait beyond it comes of a wrong clock somewhere."""
_WORDS_OF_LIMITS = ("secondary rate limit", "abuse detection", "rate limit exceeded")
_PASSING = frozenset({"", "INTERNAL", "SERVICE_UNAVAILABLE"})
_WORDS_OF_PASSING = ("something went wrong", "respond to your request in time", "timed out", "timeout")
_NOT_YET = re.compile(r"(head|base) sha can't be blank|head ref must be a branch|no commits between|pullrequest head "
                      r"invalid|not all refs are readable|submitted too quickly", re.IGNORECASE)
"""What a pull request is refused with while a server that answers does not know yet what was pushed just now."""
_NO_DRAFTS = re.compile(r"draft pull requests are not supported", re.IGNORECASE)
LONGEST_QUOTE = 500


def failure(what: str, status: int, headers: Mapping[str, str], data: Any, now: datetime) -> GitHubError:
    """The exception for an answer of 300 or more. Header names are lower case; `now` is our own clock."""
    said = _said(data)
    if 300 <= status < 400:
        return NotThere(
            f"{what}: GitHub answers that it has moved (HTTP {status}). The repository was renamed or transferred: "
            "set repository.name in coordinator.toml, and the remote's URL, to its new name")
    if status == 401:
        return BadCredentials(f"{what}: GitHub does not accept the token (HTTP 401: {said}). "
                              "Set a valid one in GITHUB_TOKEN or log in with `gh auth login`")
    if status in {403, 429} and _is_limit(status, headers, said):
        until = _limit_until(headers, now)
        return Limited(f"{what}: GitHub asks us to wait (HTTP {status}: {said}), until {until:%H:%M:%S} UTC", until)
    if status == 403 and "is locked" in said:   # whoever may comment: it is no right that lacks
        return Refused(f"{what}: refused (HTTP {status}: {said})")
    if status in {403, 451}:
        return Forbidden(f"{what}: not allowed (HTTP {status}: {said}){_lacking(headers)}")
    if status in {404, 410}:
        return NotThere(f"{what}: not there, or not visible to this token (HTTP {status}: {said})")
    if status >= 500 or status in {202, 408}:
        return TryLater(f"{what}: GitHub cannot answer just now (HTTP {status})")
    kind = NotYet if _NOT_YET.search(said) else NoDrafts if _NO_DRAFTS.search(said) else Refused
    return kind(f"{what}: refused (HTTP {status}: {said})")


def refused_by_graphql(wrong: Sequence[tuple[str, str]], headers: Mapping[str, str], now: datetime) -> GitHubError:
    """The exception for the errors in an answer of GraphQL, each with its kind and words. What GitHub could not do just
    now comes with HTTP 200 and often without a kind; it says nothing of the question."""
    kinds, said = {kind for kind, _ in wrong}, "; ".join(words for _, words in wrong)
    words, lowered = f"GraphQL: {mask(said)[:LONGEST_QUOTE]}", said.lower()
    if "RATE_LIMITED" in kinds or any(one in lowered for one in _WORDS_OF_LIMITS):
        return Reserved(words, wait_until(headers, now) or now + SECONDARY_WAIT)
    if kinds & _PASSING or any(one in lowered for one in _WORDS_OF_PASSING):
        return TryLater(words)
    return NotThere(words) if "NOT_FOUND" in kinds else Refused(words)


def wait_until(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """When the primary window ends, in our own clock: GitHub's two times are compared with each other, so that
    a wrong clock here neither lengthens nor shortens the wait. None where the headers do not say."""
    reset = headers.get("x-ratelimit-reset", "")
    if not reset.isdecimal():
        return None
    there = server_time(headers) or now
    return now + _bounded(int(reset) - there.timestamp())


def server_time(headers: Mapping[str, str]) -> datetime | None:
    return _http_date(headers.get("date", ""))


def _is_limit(status: int, headers: Mapping[str, str], said: str) -> bool:
    lowered = said.lower()
    return (status == 429 or "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
            or any(words in lowered for words in _WORDS_OF_LIMITS))


def _limit_until(headers: Mapping[str, str], now: datetime) -> datetime:
    after = headers.get("retry-after", "").strip()
    if after.isdecimal():
        return now + _bounded(int(after))
    date = _http_date(after)
    if date is not None:
        return now + _bounded((date - (server_time(headers) or now)).total_seconds())
    reset = wait_until(headers, now) if headers.get("x-ratelimit-remaining") == "0" else None
    return reset or now + SECONDARY_WAIT


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0), LONGEST_WAIT.total_seconds()))


def _http_date(value: str) -> datetime | None:
    try:
        return parsedate_to_datetime(value).astimezone(UTC)
    except ValueError:
        return None


def _lacking(headers: Mapping[str, str]) -> str:
    """Which right would be needed, where GitHub tells it."""
    sso = headers.get("x-github-sso", "")
    if "url=" in sso:
        return f". Authorise the token for the organisation's single sign-on: {sso.partition('url=')[2]}"
    needed = headers.get("x-accepted-github-permissions") or headers.get("x-accepted-oauth-scopes")
    return f". The token needs one of: {needed}" if needed else ""


def _said(data: Any) -> str:
    """GitHub's own words: the message and what each of `errors` adds to it."""
    if not isinstance(data, dict):
        return "no words"
    parts = [data.get("message"), *map(_error, data.get("errors") or ())]
    words = "; ".join(str(part) for part in parts if part)
    return mask(words)[:LONGEST_QUOTE] or "no words"


def _error(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    if one.get("message"):
        return str(one["message"])
    return " ".join(str(one[name]) for name in ("resource", "field", "code") if one.get(name))
