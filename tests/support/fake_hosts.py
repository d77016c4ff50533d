"""The part of a fake executor that knows of hosts: all see our files, and each is as a test says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coordinator.domain.parcel import Inbound
from coordinator.domain.worker import HostState
from coordinator.ports import Handle, Quarters


class FakeHosts:
    def __init__(self) -> None:
        self.given_up: list[Handle] = []
        self.states: dict[str, HostState] = {}

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        return Quarters(worktree, worktree.with_suffix(".prompt"))

    def fetch(self, handle: Handle) -> Inbound | None:
        return None

    def taken_in(self, handle: Handle) -> None:
        raise AssertionError("nothing was fetched")

    def give_up(self, handle: Handle) -> None:
        self.given_up.append(handle)

    def hosts(self) -> Mapping[str, HostState]:
        return self.states
