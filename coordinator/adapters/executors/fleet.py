"""All executors as one: each question goes to the host that its handle names. The engine does not know where."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from coordinator.domain.parcel import Inbound
from coordinator.domain.worker import HostState, WorkerView
from coordinator.ports import Executor, Handle, LaunchSpec, Quarters, StopOrder


class Closable(Executor, Protocol):
    def close(self) -> None: ...


class Fleet:
    """`ports.Executor` over several. `members` are by name of the host, this machine's under "". `stranger` stands for
    a host that has workers and is configured no longer: out of reach for good."""

    def __init__(self, members: Mapping[str, Closable], stranger: Callable[[str], Closable]) -> None:
        self._members = dict(members)
        self._stranger = stranger
        self._guard = threading.Lock()

    def submit(self, spec: LaunchSpec) -> int:
        return self._of(spec.handle).submit(spec)

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        return self._of(handle).quarters(handle, worktree, repository)

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        """Every member is asked, also for nothing: so each knows what is no longer looked for."""
        for handle in handles:
            self._of(handle)
        found: dict[Handle, WorkerView] = {}
        for name, member in self._members.items():
            found.update(member.look([handle for handle in handles if handle.host == name]))
        return found

    def stop(self, handle: Handle, order: StopOrder) -> None:
        self._of(handle).stop(handle, order)

    def reap(self) -> tuple[tuple[int, int], ...]:
        return tuple(each for member in self._members.values() for each in member.reap())

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        return self._files(handle).log_tail(handle, limit)

    def prompt_path(self, handle: Handle) -> Path:
        return self._files(handle).prompt_path(handle)

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        return self._files(handle).paths(handle)

    def live(self) -> tuple[Handle, ...]:
        return tuple(handle for member in self._members.values() for handle in member.live())

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        return self._of(handle).sweep(handle)

    def fetch(self, handle: Handle) -> Inbound | None:
        return self._of(handle).fetch(handle)

    def taken_in(self, handle: Handle) -> None:
        self._of(handle).taken_in(handle)

    def give_up(self, handle: Handle) -> None:
        self._of(handle).give_up(handle)

    def make_room(self, host: str, jobs: Sequence[str]) -> int:
        member = self._members.get(host)
        return member.make_room(host, jobs) if member is not None else 0

    def hosts(self) -> Mapping[str, HostState]:
        return {name: state for member in self._members.values() for name, state in member.hosts().items()}

    def close(self) -> None:
        for member in self._members.values():
            member.close()

    def _of(self, handle: Handle) -> Executor:
        with self._guard:
            if handle.host not in self._members:   # a new mapping: others may walk over the old one
                self._members = {**self._members, handle.host: self._stranger(handle.host)}
            return self._members[handle.host]

    def _files(self, handle: Handle) -> Executor:
        """What is home lies in one place, whichever host it came from."""
        return self._members.get(handle.host) or self._members[""]
