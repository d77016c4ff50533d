"""What an executor can say of a worker. `Missing` means it is sure; `Unknown` means it could not ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from coordinator.domain.room import Room


@dataclass(frozen=True)
class Witness:
    """One sign of progress: its value and when it last moved (Unix seconds, the worker's host's clock)."""

    value: float
    moved_at: float


@dataclass(frozen=True)
class Beat:
    """One heartbeat of the wrapper. Times are Unix seconds.

    `since` is when the present window of observation began (launch, or the end of a gap of over three beats).
    `tree` counts changes in the worktree (HEAD moves and dirty paths); None where there is no worktree to look at.
    `stopped_since` is set while every
    process of the tree is in state T.
    """

    at: float
    since: float
    cpu: Witness
    log: Witness
    event: Witness
    tree: Witness | None
    cpu_share: float = 0.0
    rss_kb: int = 0
    stopped_since: float | None = None


@dataclass(frozen=True)
class Waiting:
    reason: str


@dataclass(frozen=True)
class Running:
    pid: int
    started_at: float
    beat: Beat | None = None


@dataclass(frozen=True)
class Exited:
    """The wrapper wrote an outcome. `code` None with `signal` set means a signal ended the agent.

    `reason` is the wrapper's word: process_exit, manual_stop, stalled, max_runtime, ... (domain/reasons.py);
    `survivors` are pids of the tree that were seen alive after KILL.
    """

    code: int | None
    signal: int | None
    reason: str
    words: str = ""
    ended_at: float = 0.0
    duration_sec: float = 0.0
    cpu_sec: float = 0.0
    max_rss_kb: int = 0
    survivors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Missing:
    """No process, no outcome. `started` says whether the run files show that this token ever ran."""

    started: bool


@dataclass(frozen=True)
class Unknown:
    reason: str
    since: datetime


WorkerView = Waiting | Running | Exited | Missing | Unknown


class Health(StrEnum):
    WAITING = "waiting"
    STARTING = "starting"
    HEALTHY = "healthy"
    STALLED = "stalled"
    NO_OP = "no_op"
    EXITED_OK = "exited_ok"
    EXITED_ERR = "exited_err"
    BLOCKED = "blocked"
    STOPPED = "stopped"
    MISSING = "missing"
    UNKNOWN = "unknown"
    LEAKED = "leaked"


SLURM = "slurm"
"""The word for Slurm where the name of a host stands."""


@dataclass(frozen=True)
class HostState:
    """How a host was found when it was last asked. `away_since` is set while it cannot be, `met` once it answered.
    `ending` are the jobs whose worker there was given up and told to end, and had not when it was last looked. `room`
    is what it said it has left, and no news by itself."""

    away_since: datetime | None = None
    words: str = ""
    met: bool = False
    ending: frozenset[str] = frozenset()
    room: Room | None = field(default=None, compare=False)
