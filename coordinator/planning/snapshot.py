"""Everything that may be known when a decision is made, time included. A rule reads nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, PullRequest, Vet
from coordinator.domain.outcome import Evidence, Usage
from coordinator.domain.outward import Outward
from coordinator.domain.planfile import Undertaking
from coordinator.domain.request import Request
from coordinator.domain.task import Task
from coordinator.domain.worker import HostState, WorkerView
from coordinator.domain.workflow import Library
from coordinator.planning.batch.standing import Standing
from coordinator.planning.claiming import Hold, Inheritance
from coordinator.planning.policy import Policy

RESERVE = "reserve"
"""The code of the gate that is closed while the requests left are kept for people."""
NO_LABEL = "label_gone"
"""The code of the gate that is closed while the trigger label was renamed or deleted."""


@dataclass(frozen=True)
class Gate:
    """Something that holds all dispatch: a code, words for people, and what opens it; `elsewhere` is the folder beside
    the repository that it is about, ""."""

    code: str
    words: str
    cure: str = ""
    elsewhere: str = ""


@dataclass(frozen=True)
class Parked:
    """A provider at its limit, or one that failed too often in a row: nothing is started on it before `until`, then one
    task alone until it is known to answer. `reason` is what it was parked for, `times` how often in a row."""

    until: datetime
    words: str
    reason: str = ""
    times: int = 1


@dataclass(frozen=True)
class Proof:
    """Whether a provider answered when it was asked to; `no` is why it did not."""

    at: datetime
    no: Gate | None = None


@dataclass(frozen=True)
class Stay:
    """Since when something is in a state, where it does not tell by itself."""

    state: str
    since: datetime


@dataclass(frozen=True)
class Refused:
    """The label that approves was looked at and did not count; true for `issue_updated_at`, `sure` as in Vet."""

    issue_updated_at: datetime
    words: str
    sure: bool


@dataclass(frozen=True)
class Untidied:
    """A worktree could not be removed at that moment; it is not tried again before `until`."""

    at: datetime
    words: str
    until: datetime


@dataclass(frozen=True)
class Speech:
    """What should stand on the issue now, by key: living comment, notices, our labels. Texts are made later."""

    living: str = ""
    notices: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Silence:
    """No poll ended well since then; `until` one did, None while none does."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class Snapshot:
    """`views` and `evidence` are those of each task's current attempt, `usage` what the running ones used so far.
    `busy` names lanes with an effect under way, `holdoff` lanes that failed and until when they rest, `troubles` how
    often in a row and with which words the last time, unless it was GitHub's affair. `proofs` tell of providers that
    were asked to answer. `github_until` is set while GitHub cannot be asked, with `github_words` saying why, `silence`
    tells of its last longer one; `poll_due` when the time for the next poll has come. `draining` is "" or why nothing
    new is started; `stop_workers` asks for running ones to be stopped. `notified` are the causes a person was told of.
    `batches` tells by key where the gates of batches stand, `batched` which batch a task was last seen to belong to.
    `sessions_today` counts attempts of the host's local day, `money_today` is what was spent in it. `plans` are plan
    files under way by id, `touched` the files that their running tasks have changed so far. `hosts` are other machines
    as they were found last, `shut_hosts` those that may take no work and why. `floors` hold all new work, `short` what
    would run on that host ("" = here). `recalled` are tasks of which a lost memory left no more than their last fence,
    `rebuilt` is "" or what became of that memory. `explained` counts the held issues that people were told of within a
    day. `swept_at` is when what is too old was removed last, `woke_at` when the clock was found set or the host back
    from sleep. `flipped` are tasks whose labels somebody else changes each time we set them, `untidied` those whose
    worktree could not be removed. `claim` is where ours on the repository stands, `inheritance` what stood on the
    remote when we took it. `memo` keeps what several rules work out of this very snapshot.
    """

    now: datetime
    policy: Policy
    tasks: Mapping[str, Task] = field(default_factory=dict)
    attempts: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    issues: Mapping[int, Issue] = field(default_factory=dict)
    vets: Mapping[int, Vet] = field(default_factory=dict)
    pulls: Mapping[int, PullRequest] = field(default_factory=dict)
    views: Mapping[str, WorkerView] = field(default_factory=dict)
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    survivors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    outward: Mapping[str, Outward] = field(default_factory=dict)
    speech: Mapping[str, Speech] = field(default_factory=dict)
    requests: tuple[Request, ...] = ()
    busy: frozenset[str] = frozenset()
    holdoff: Mapping[str, datetime] = field(default_factory=dict)
    troubles: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    github_until: datetime | None = None
    github_words: str = ""
    silence: Silence | None = None
    poll_due: bool = True
    listed_at: datetime | None = None
    woke_at: datetime | None = None
    paused: bool = False
    plans: Mapping[str, Undertaking] = field(default_factory=dict)
    touched: Mapping[str, frozenset[str]] = field(default_factory=dict)
    draining: str = ""
    stop_workers: bool = False
    floors: tuple[Gate, ...] = ()
    short: Mapping[str, tuple[Gate, ...]] = field(default_factory=dict)
    parked: Mapping[str, Parked] = field(default_factory=dict)
    unready: Mapping[str, Gate] = field(default_factory=dict)
    proofs: Mapping[str, Proof] = field(default_factory=dict)
    sessions_today: int = 0
    money_today: float = 0.0
    worktree_errors: int = 0
    swept_at: datetime | None = None
    errors_reset_at: str = ""
    notified: frozenset[str] = frozenset()
    stays: Mapping[str, Stay] = field(default_factory=dict)
    batches: Mapping[str, Standing] = field(default_factory=dict)
    batched: Mapping[str, str] = field(default_factory=dict)
    confirmed: bool = False
    next_manual: int = 1
    workflows: Library = field(default_factory=Library)
    refused: Mapping[str, Refused] = field(default_factory=dict)
    hosts: Mapping[str, HostState] = field(default_factory=dict)
    shut_hosts: Mapping[str, str] = field(default_factory=dict)
    recalled: Mapping[str, int] = field(default_factory=dict)
    rebuilt: str = ""
    explained: int = 0
    flipped: frozenset[str] = frozenset()
    claim: Hold = field(default_factory=Hold)
    inheritance: Inheritance = field(default_factory=Inheritance)
    untidied: Mapping[str, Untidied] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def attempt(self, task_id: str) -> Attempt | None:
        """The task's latest attempt."""
        history = self.attempts.get(task_id, ())
        return history[-1] if history else None

    def issue_of(self, task: Task) -> Issue | None:
        return self.issues.get(task.issue) if task.issue is not None else None

    def free(self, lane: str) -> bool:
        """Whether an effect may start in this lane now."""
        until = self.holdoff.get(lane)
        return lane not in self.busy and (until is None or until <= self.now)

    @property
    def reserve(self) -> Gate | None:
        """The gate that keeps new work from GitHub, when it is closed."""
        return next((gate for gate in self.floors if gate.code == RESERVE), None)

    @property
    def label_gate(self) -> Gate | None:
        """The gate that is closed while the trigger label is not in the repository: nobody took it off an issue."""
        return next((gate for gate in self.floors if gate.code == NO_LABEL), None)

    @property
    def github_ok(self) -> bool:
        return self.github_until is None or self.github_until <= self.now
