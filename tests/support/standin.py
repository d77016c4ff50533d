"""Fixtures: a stand-in GitHub whose whole traffic is held against GitHub's own description at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.rehearsal.people import RepositoryHandle
from coordinator.rehearsal.standin import StandIn
from tests.support.description import check_all

BOT_TOKEN = "bot-token"
FILES = {"README.md": "# widgets\n", "src/widget.py": "def turn() -> int:\n    return 1\n"}


class MovableClock:
    """Seconds since 1970 that go on only when told."""

    def __init__(self, at: float = 1_790_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Town:
    """A stand-in with one repository, its bot (writes, classic token) and its maintainer (admin)."""

    github: StandIn
    repository: RepositoryHandle
    clock: MovableClock

    @property
    def api(self) -> str:
        return f"{self.github.url}/repos/{self.repository.full_name}"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[StandIn]:
    """An empty stand-in on the real clock; its traffic is checked at the end of the test."""
    with StandIn(tmp_path / "github") as stand_in:
        yield stand_in
    check_all(stand_in.requests)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A stand-in with `acme/widgets` on a clock of the test's; its traffic is checked at the end."""
    clock = MovableClock()
    with StandIn(tmp_path / "github", clock) as stand_in:
        stand_in.add_user("bot", BOT_TOKEN)
        stand_in.add_user("ann", "ann-token", permission="admin")
        yield Town(stand_in, stand_in.add_repository("acme/widgets", FILES), clock)
    check_all(stand_in.requests)
