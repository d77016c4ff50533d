"""The settings that decisions need, as plain values, and the few formulas that depend on them alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from coordinator.domain.issue import GHOST
from coordinator.domain.room import Floors
from coordinator.planning.batch.cohort import Bands

RANKS = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}
"""GitHub's permissions of a collaborator, weakest first."""


@dataclass(frozen=True)
class LabelNames:
    """The labels people set (in) and those we set (out). `mode` is minimal or full."""

    auto: str = "rpi-auto"
    pause: str = "rpi-pause"
    retry: str = "rpi-retry"
    approved: str = "rpi-approved"
    protected: str = "rpi:protected"
    mode: str = "minimal"
    queued: str = "rpi:queued"
    running: str = "rpi:running"
    in_review: str = "rpi:in-review"
    blocked: str = "rpi:blocked"
    failed: str = "rpi:failed"
    done: str = "rpi:done"

    @property
    def ours(self) -> frozenset[str]:
        """Every label that we set and take away."""
        return frozenset({self.queued, self.running, self.in_review, self.blocked, self.failed, self.done})


@dataclass(frozen=True)
class HostRules:
    """What decisions need of a host: how many workers, whose tasks, whether it is tried first, whether its workers
    write into our own worktrees."""

    slots: int
    labels: frozenset[str] = frozenset()
    default: bool = False
    shared: bool = False


@dataclass(frozen=True)
class Policy:
    """Times are timedeltas; a cap of 0 is no cap. `ages`: how long a task may stand in a state.
    `fallback`: by provider those that may stand in for it, in order. `executor`: where tasks run that no label sends
    elsewhere (local, ssh, slurm); `hosts` by name, Slurm under `slurm`; `lease`: how long one may be out of reach.
    Without `intake` no issues are asked for: a plan's own coordinator has none."""

    provider: str = "claude"
    template: str = "default"
    workflow: str = "build"
    max_workers: int = 3
    provider_caps: Mapping[str, int] = field(default_factory=dict)
    label_caps: Mapping[str, int] = field(default_factory=dict)
    providers: frozenset[str] = frozenset({"claude", "command"})
    fallback: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sessions_per_task: int = 6
    tokens_per_task: int = 0
    money_per_task: float = 0.0
    sessions_per_day: int = 50
    money_per_day: float = 0.0
    retry_max: int = 1
    backoff: timedelta = timedelta(seconds=60)
    backoff_max: timedelta = timedelta(minutes=30)
    park: timedelta = timedelta(minutes=5)
    poll: timedelta = timedelta(seconds=15)
    relist: timedelta = timedelta(days=1)
    sweep: timedelta = timedelta(days=1)
    stop_again: timedelta = timedelta(seconds=15)
    tidy_after: timedelta = timedelta(days=1)
    start_grace: timedelta = timedelta(minutes=5)
    stall: timedelta = timedelta(minutes=20)
    no_mutation: timedelta = timedelta(minutes=30)
    idle_cpu: float = 0.02
    push_wip: bool = True
    respect_assignee: bool = True
    trust_users: frozenset[str] = frozenset()
    trust_bots: frozenset[str] = frozenset()
    permission: str = "write"
    labels: LabelNames = LabelNames()
    login: str = ""
    confirm_above: int = 10
    intake: bool = True
    max_worktree_errors: int = 10
    bands: Bands = field(default_factory=Bands)
    batch_label: str = "batch:"
    ages: Mapping[str, timedelta] = field(default_factory=dict)
    executor: str = "local"
    hosts: Mapping[str, HostRules] = field(default_factory=dict)
    lease: timedelta = timedelta(minutes=10)
    floors: Floors = field(default_factory=Floors)

    def trusts(self, actor: str, permission: str) -> bool:
        """Whether this account may start work: bots only by list, people by list or permission."""
        if actor in ("", GHOST):
            return False
        if actor.endswith("[bot]"):
            return actor.lower() in map(str.lower, self.trust_bots)
        return self.listed(actor) or RANKS.get(permission, 0) >= RANKS[self.permission]

    def listed(self, actor: str) -> bool:
        """Whether somebody wrote this account down; GitHub's names are the same in small letters and large."""
        return actor.lower() in map(str.lower, self.trust_users | self.trust_bots)

    def retry_at(self, now: datetime, tries: int, seed: str) -> datetime:
        """When try number `tries` + 1 may start: exponential, capped, spread by a fifth either way.

        `seed` (hex) makes the spread a function of the attempt, so that planning stays pure.
        """
        base: timedelta = min(self.backoff * (2 ** min(tries, 20)), self.backoff_max)
        spread = 0.8 + 0.4 * int(seed[:8] or "0", 16) / 0xFFFFFFFF
        return now + base * spread
