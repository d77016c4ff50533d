"""A GitHub for the adapter's contract suite, and the hands that act in it.

`Place` is all the suite knows, so that another implementation is one more row of PLACES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.github import GitHubClient
from coordinator.rehearsal.people import Person
from coordinator.rehearsal.standin import StandIn
from tests.support.description import check_all
from tests.support.standin import BOT_TOKEN, FILES, MovableClock

REPO = "acme/widgets"


@dataclass
class OurClock:
    """Our own idea of the time, an hour beside GitHub's: nothing may depend on the two agreeing."""

    at: datetime = field(default_factory=lambda: datetime(2026, 9, 21, 13, tzinfo=UTC) + timedelta(hours=1))

    def now(self) -> datetime:
        return self.at

    def local(self, moment: datetime) -> datetime:
        return moment


@dataclass
class Place:
    """One GitHub with a repository: its address, a person who may do anything there, its clock and ours."""

    url: str
    ann: Person
    theirs: MovableClock
    ours: OurClock
    stand_in: StandIn
    made: list[GitHubClient] = field(default_factory=list)

    def client(self, token: str = BOT_TOKEN, **options: object) -> GitHubClient:
        options = {"reserve": 0, "api_url": self.url, "timeout": 5.0, **options}
        made = GitHubClient(REPO, token=lambda: token, clock=self.ours, **options)  # type: ignore[arg-type]
        self.made.append(made)
        return made

    def later(self, seconds: float = 1) -> None:
        self.theirs.advance(seconds)
        self.ours.at += timedelta(seconds=seconds)

    def issue(self, title: str = "Mend it", *labels: str) -> int:
        return self.ann.open_issue(title, "Words.", labels).number

    def pull(self, branch: str = "rpi/gh-1") -> int:
        self.ann.commit(branch, {"a.txt": branch}, "Work")
        return self.ann.open_pull(branch, f"Pull of {branch}").number

    def asked(self) -> list[str]:
        """What was asked since the last time, with the answer's status."""
        told = [
            f"{one.status} {one.method} {one.path.removeprefix(f'/repos/{REPO}')}" for one in self.stand_in.requests
        ]
        check_all(self.stand_in.requests)
        self.stand_in.forget_requests()
        return told


def on_the_stand_in(folder: Path) -> Iterator[Place]:
    clock = MovableClock()
    with StandIn(folder, clock) as stand_in:
        stand_in.add_user("bot", BOT_TOKEN)
        stand_in.add_user("ann", "ann-token", permission="admin")
        repository = stand_in.add_repository(REPO, FILES)
        place = Place(stand_in.url, repository.as_user("ann"), clock, OurClock(), stand_in)
        yield place
        for client in place.made:
            client.close()
        check_all(stand_in.requests)


PLACES: dict[str, Callable[[Path], Iterator[Place]]] = {"stand-in": on_the_stand_in}


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    yield from PLACES[request.param](tmp_path / "github")
