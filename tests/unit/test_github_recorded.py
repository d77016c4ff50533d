"""The adapter fed with answers that GitHub really gave: paging by repository id, a refusal, a renamed repository."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.github import failures, payloads
from coordinator.adapters.github.asking import Asker
from coordinator.adapters.github.budget import Meter
from coordinator.adapters.github.transport import Answer
from coordinator.domain.issue import Issue
from coordinator.ports import NotThere, Refused

RECORDINGS = Path(__file__).parents[1] / "recordings" / "github"
ROOT = "https://api.github.com"


class Still:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 3, 1, tzinfo=UTC)

    def local(self, moment: datetime) -> datetime:
        return moment


class Recorded:
    """Plays the answers of one scenario; whatever was not recorded fails the test."""

    def __init__(self, scenario: str) -> None:
        told = json.loads((RECORDINGS / f"{scenario}.json").read_text(encoding="utf-8"))
        self.answers = {(one["method"], one["path"]): one for one in told}
        self.sent: list[Mapping[str, str]] = []

    def send(self, verb: str, url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        self.sent.append(headers or {})
        found = self.answers[verb, url.removeprefix(ROOT).replace("per_page=100", "per_page=3")]
        return Answer(found["status"], found["headers"], found["body"])


def asker(repo: str, recorded: Recorded) -> tuple[Asker, Meter]:
    meter = Meter(0)
    return Asker(repo, recorded, meter, Still()), meter  # type: ignore[arg-type]


def test_all_pages_are_followed_though_their_addresses_name_the_repository_by_id() -> None:
    asking, meter = asker("octokit-fixture-org/paginate-issues", Recorded("paginate-issues"))
    found: list[Issue] = [payloads.issue(one) for one in asking.all("issues")]
    assert [issue.number for issue in found] == list(range(13, 0, -1))
    assert {issue.author for issue in found} == {"octokit-fixture-user-a"}
    assert (meter.budget.requests, meter.budget.remaining, meter.budget.limit) == (5, 4999, 5000)


def test_a_page_asked_again_carries_the_etag_it_came_with() -> None:
    recorded = Recorded("paginate-issues")
    asking, _ = asker("octokit-fixture-org/paginate-issues", recorded)
    for _ in range(2):
        asking.get("issues", {"per_page": 3})
    assert recorded.sent == [{}, {"If-None-Match": '"00000000000000000000000000000000"'}]


def test_a_refusal_names_what_github_did_not_like() -> None:
    asking, _ = asker("octokit-fixture-org/errors", Recorded("errors"))
    with pytest.raises(Refused, match="HTTP 422: Validation Failed; Label color invalid"):
        asking.write("POST", "labels", {"name": "foo", "color": "invalid"})


@pytest.mark.parametrize("verb", ["GET", "PATCH"])
def test_a_renamed_repository_is_said_and_not_followed_in_silence(verb: str) -> None:
    recorded = Recorded("rename-repository").answers[verb, "/repos/octokit-fixture-org/rename-repository"]
    if verb == "PATCH":
        recorded = {**recorded, "status": 307}
    told = failures.failure(verb, recorded["status"], recorded["headers"], recorded["body"], Still().now())
    assert isinstance(told, NotThere)
    assert "renamed or transferred: set repository.name" in told.words
