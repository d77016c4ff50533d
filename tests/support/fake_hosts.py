"""The part of a fake executor that knows of hosts: each sees our files or has its own worktrees, goes away and comes
back, and a worker there goes on meanwhile. What was given up is told to end when it is met again, and has by the look
after that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.domain.outcome import Ending
from coordinator.domain.parcel import Inbound
from coordinator.domain.worker import HostState, Unknown
from coordinator.ports import Away, Handle, LaunchFailed, Quarters, StopOrder


@dataclass(frozen=True)
class Script:
    """What a worker does: after `seconds` it ends as `ending`, unless it is `deaf`: then only KILL or time ends it."""

    seconds: float = 5
    ending: Ending = Ending.SUCCEEDED
    reason: str = "process_exit"
    commits: int = 1
    dirty: bool = False
    opens_pull: bool = False
    silent: bool = False
    vanishes: bool = False
    blocked: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Worker:
    """`begun` is when it was started by the time that truly went by: what our clock says may be set meanwhile."""

    handle: Handle
    script: Script
    started_at: datetime
    begun: timedelta
    ended_at: datetime | None = None
    stopped: StopOrder | None = None
    launches: int = 1

    @property
    def alive(self) -> bool:
        return self.ended_at is None


class NoWalls:
    """Workers of the fake executor have none, so no repository has to let work out of them."""

    def let_out(self, task_id: str, branch: str, attempt: int) -> None:
        del task_id, branch, attempt


class FakeHosts:
    """`apart` are hosts that do not see our files, `away` those that nobody can ask; `breaks` says whether the line
    breaks when a start was just heard; of this machine's workers nobody can be asked
    since `mute_since`. `passed` is how much time truly went by."""

    def __init__(self, now: Callable[[], datetime], passed: Callable[[], timedelta]) -> None:
        self.now, self.passed = now, passed
        self.mute_since: datetime | None = None
        self.workers: list[Worker] = []
        self.given_up: list[Handle] = []
        self.brought: list[Handle] = []
        self.asked_in_vain: dict[Handle, timedelta] = {}
        self.states: dict[str, HostState] = {}
        self.apart: frozenset[str] = frozenset()
        self.away: set[str] = set()
        self.breaks: Callable[[], bool] = lambda: False
        self.cleared: list[tuple[str, str]] = []
        self._since: dict[str, datetime] = {}
        self._lost: dict[str, timedelta] = {}
        self._was: dict[str, timedelta] = {}
        self._told: set[Handle] = set()
        self._home: set[str] = set()
        self._taken: set[str] = set()

    def place(self, handle: Handle) -> str:
        """Where it writes."""
        return f"{handle.job} on {handle.host}" if handle.host in self.apart else handle.job

    def forget(self) -> None:
        """The coordinator begins anew, and has asked nobody."""
        self._since.clear()
        self._lost.clear()
        self._was.clear()
        self.states = dict.fromkeys(self.states, HostState())

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        if handle.host in self.away:
            raise LaunchFailed("host_lost", f"{handle.host}: no answer")
        return Quarters(worktree, worktree.with_suffix(".prompt"), apart=handle.host in self.apart)

    def reach(self, handle: Handle) -> None:
        if handle.host in self.away or (self.mute_since is not None and not handle.host):
            raise Away(f"{handle.host}: the connection broke")

    def heard(self, handle: Handle) -> None:
        """A start was heard there; the answer may be lost."""
        if handle.host and self.breaks():
            self.away.add(handle.host)
            self.reach(handle)

    def ask_hosts(self, now: datetime) -> None:
        for name, before in self.states.items():
            if name in self.away:
                since = self._since.setdefault(name, now)
                self._lost.setdefault(name, self.passed())
                self.states[name] = HostState(since, "no answer", ending=before.ending)
            else:
                if name in self._since:
                    del self._since[name]
                    self._was[name] = max(self._was.get(name, timedelta()), self.passed() - self._lost.pop(name))
                self.states[name] = HostState(met=True, ending=self._recall(name, now))

    def _recall(self, name: str, now: datetime) -> frozenset[str]:
        for worker in self._stale(name):
            if worker.handle in self._told:
                worker.ended_at = now
            self._told.add(worker.handle)
        return frozenset(worker.handle.job for worker in self._stale(name))

    def _stale(self, name: str) -> list[Worker]:
        return [one for one in self.workers if one.alive and one.handle.host == name and one.handle in self.given_up]

    def unknown(self, handle: Handle) -> Unknown | None:
        """What is home stays known."""
        if self.mute_since is not None and not handle.host:
            return Unknown("the run files cannot be read", self.mute_since)
        since = self._since.get(handle.host)
        return None if since is None or handle.token in self._home else Unknown("no answer", since)

    def came_home(self, handle: Handle) -> None:
        self._home.add(handle.token)

    def fetch(self, handle: Handle) -> Inbound | None:
        if handle.host not in self.apart or handle.token in self._taken:
            return None
        return Inbound(handle.token, handle.token, "", "", "", None)

    def taken_in(self, handle: Handle) -> None:
        self._taken.add(handle.token)

    def give_up(self, handle: Handle) -> None:
        if handle not in self.given_up:
            self.given_up.append(handle)
            now, before = self.passed(), self._was.get(handle.host, timedelta())   # it may be back since it was decided
            self.asked_in_vain[handle] = max(before, now - self._lost.get(handle.host, now))

    def hosts(self) -> Mapping[str, HostState]:
        return self.states

    def make_room(self, host: str, jobs: Sequence[str]) -> int:
        if host in self.away:
            raise Away(f"{host}: the connection broke")
        self.cleared += [(host, job) for job in jobs]
        return len(jobs)
