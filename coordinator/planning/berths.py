"""On which machine a task runs: by its labels, by where tasks run at all, by what is free. Never silently elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from coordinator.domain.room import FLOORS
from coordinator.domain.task import HOLDS_SLOT, Task
from coordinator.domain.worker import SLURM, HostState
from coordinator.planning.actions import Wait
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot

LOCAL = ""
LOST = "host_lost"
"""The reason code of an attempt whose worker was given up."""


@dataclass(frozen=True)
class Berth:
    """Why a host cannot take another worker now: a wait code, words, and what opens it. Code "" = it can."""

    code: str = ""
    words: str = ""
    cure: str = ""


class Berths:
    """The hosts' slots as they fill up while one plan is made."""

    def __init__(self, s: Snapshot) -> None:
        self._s = s
        holding = (task for task in s.tasks.values() if task.state in HOLDS_SLOT or task.id in s.survivors)
        self._used = Counter(attempt.host for task in holding if (attempt := s.attempt(task.id)) is not None)

    def take(self, host: str) -> None:
        self._used[host] += 1

    def choose(self, task: Task) -> str | Wait:
        """The host for this task ("" = here), or why none of those that may take it can."""
        if wait := self._haunted(task):
            return wait
        names = self._wanted(task)
        if names == (LOCAL,):
            return next((Wait(task.id, one.code, one.words, one.cure) for one in self._s.short.get(LOCAL, ())), LOCAL)
        found = {name: self._berth(name, task) for name in names}
        free = [name for name, berth in found.items() if not berth.code]
        if free:
            return min(free, key=lambda name: (not self._s.policy.hosts[name].default, -self._left(name)))
        if not found:
            words = f"workers.executor is {self._s.policy.executor}, and no host is configured"
            return Wait(task.id, "host_none", words, "add a section [hosts.NAME], or set workers.executor")
        first = next(berth for code in ("host_ending", "host_full", *FLOORS, "host_away", "host_gate")
                     for berth in found.values() if berth.code == code)
        return Wait(task.id, first.code, "; ".join(berth.words for berth in found.values()), first.cure)

    def _haunted(self, task: Task) -> Wait | None:
        """A worker that was given up may still write into the worktree that the next one would have, on whatever host
        that is, until the host that sees our files is met again and its worker has ended."""
        lost = {one.host for one in self._s.attempts.get(task.id, ()) if one.reason == LOST and one.launched_at}
        for name in sorted(lost):
            host, state = self._s.policy.hosts.get(name), self._s.hosts.get(name, HostState())
            if host is not None and host.shared and not state.met:
                words = f"{name} sees our files and is out of reach: its worker may still write into {task.worktree}"
                cure = f"coordinator hosts check {name}; if it is gone for good, take it out of the configuration"
                return Wait(task.id, "host_away", words, cure)
            if host is not None and host.shared and task.id in state.ending:
                return Wait(task.id, "host_ending", _ending(name))
        return None

    def _wanted(self, task: Task) -> tuple[str, ...]:
        issue = self._s.issue_of(task)
        return names_for(self._s.policy, issue.labels if issue is not None else ())

    def _left(self, name: str) -> int:
        return self._s.policy.hosts[name].slots - self._used[name]

    def _berth(self, name: str, task: Task) -> Berth:
        host, state = self._s.policy.hosts[name], self._s.hosts.get(name)
        if shut := self._s.shut_hosts.get(name, ""):
            return Berth("host_gate", f"{name} takes no work: {shut}", f"coordinator hosts gate {name}")
        if state is not None and state.away_since is not None:
            words = f"{name} is out of reach since {state.away_since:%H:%M} UTC: {state.words}"
            return Berth("host_away", words, f"coordinator hosts check {name}")
        if state is not None and task.id in state.ending:
            return Berth("host_ending", _ending(name))
        if self._left(name) <= 0:
            return Berth("host_full", f"{name} is full ({self._used[name]}/{host.slots})",
                         f"a worker on {name} ends, or its slots are raised")
        return next((Berth(one.code, one.words, one.cure) for one in self._s.short.get(name, ())), Berth())


def _ending(name: str) -> str:
    return f"its worker on {name} was given up and is still being ended there"


def names_for(policy: Policy, labels: Collection[str]) -> tuple[str, ...]:
    """The hosts that may take an issue with these labels ("" = here); none where there is none to do so."""
    asked = tuple(name for name, host in policy.hosts.items() if not host.labels.isdisjoint(labels))
    if asked:
        return asked
    if policy.executor == SLURM:
        return (SLURM,) if SLURM in policy.hosts else ()
    return tuple(name for name in policy.hosts if name != SLURM) if policy.executor == "ssh" else (LOCAL,)


def runs_here(s: Snapshot, task: Task) -> bool:
    """Whether the task may run on this machine."""
    issue = s.issue_of(task)
    return LOCAL in names_for(s.policy, issue.labels if issue is not None else ())


def occupied(s: Snapshot) -> Mapping[str, int]:
    """Workers by host, this machine's under ""."""
    return Counter(_hosts_in_use(s))


def _hosts_in_use(s: Snapshot) -> Iterator[str]:
    for task in s.tasks.values():
        attempt = s.attempt(task.id)
        if task.state in HOLDS_SLOT and attempt is not None:
            yield attempt.host
