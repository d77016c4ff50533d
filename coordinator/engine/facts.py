"""What effects bring back. A fact says what happened; the engine's thread alone writes it down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coordinator.domain.attempt import Attempt
from coordinator.domain.claim import Claim
from coordinator.domain.hub import Listing
from coordinator.domain.issue import Issue, PullRequest, Vet
from coordinator.domain.outcome import Evidence
from coordinator.domain.outward import Outward
from coordinator.domain.planfile import Result
from coordinator.domain.task import Task
from coordinator.planning.actions import Action, CleanUp, Reclaim
from coordinator.planning.claiming import Hold
from coordinator.planning.snapshot import Gate, Refused


@dataclass(frozen=True)
class Polled:
    """`no_label`: the trigger label is not in the repository any more."""

    listing: Listing
    pulls: tuple[PullRequest, ...]
    at: datetime
    login: str
    no_label: bool = False


@dataclass(frozen=True)
class Vetted:
    vet: Vet
    issue: Issue
    pulls: tuple[PullRequest, ...] = ()


@dataclass(frozen=True)
class Explained:
    """It stands on the issue why it is held."""

    outward: Outward
    words: str


@dataclass(frozen=True)
class Proved:
    """A provider was asked for an answer; `no` is why it gave none."""

    provider: str
    no: Gate | None
    at: datetime


@dataclass(frozen=True)
class Prepared:
    task: Task
    attempt: Attempt
    base_sha: str
    worktree: str
    notes: tuple[str, ...]
    at: datetime
    heard: str
    planted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Launched:
    task: Task
    attempt: Attempt
    pid: int
    session_id: str
    model: str
    at: datetime


@dataclass(frozen=True)
class NotStarted:
    """Preparing or launching failed before an agent ran."""

    task: Task
    attempt: Attempt
    reason: str
    words: str
    worktree_error: bool
    at: datetime


@dataclass(frozen=True)
class StopSent:
    task: Task


@dataclass(frozen=True)
class Examined:
    """`survivors`: processes that would not die; the evidence is not final then."""

    task: Task
    attempt: Attempt
    evidence: Evidence
    exit_code: int | None
    duration_sec: float
    ended_at: datetime
    survivors: tuple[int, ...]
    planted: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ApprovalAsked:
    """Who approved what a stage left, by which event of the label; `refused` where that does not count."""

    task: Task
    actor: str
    refused: Refused | None
    event_id: int = 0


@dataclass(frozen=True)
class Pushed:
    task: Task
    sha: str
    wip: bool


@dataclass(frozen=True)
class PullFound:
    """A pull request carries the work: found, opened, merged already, or closed by a person meanwhile."""

    task: Task
    attempt: Attempt
    pull: PullRequest
    words: str
    at: datetime


@dataclass(frozen=True)
class PublishRefused:
    """The remote or GitHub said no, or was not asked for what the work carries (`held`); `reason` is a code."""

    task: Task
    reason: str
    words: str
    wip: bool
    held: bool = False


@dataclass(frozen=True)
class Joined:
    """A plan's task is merged into the plan's `branch`; `one` is its id in the file."""

    task: Task
    attempt: Attempt
    one: str
    branch: str
    result: Result


@dataclass(frozen=True)
class NotJoined:
    """It is not: for `reason`, a reason code."""

    task: Task
    attempt: Attempt
    reason: str
    words: str
    at: datetime


@dataclass(frozen=True)
class Looked:
    """Files that a running task has changed so far; not worth another look before `until`."""

    task_id: str
    files: frozenset[str]
    until: datetime


@dataclass(frozen=True)
class Delivered:
    """A plan's branch is pushed, with its pull request where there can be one. `of` as in Deliver."""

    plan: str
    repo: str
    of: tuple[str, ...]
    sha: str
    pull: PullRequest | None
    words: str
    at: datetime


@dataclass(frozen=True)
class NotDelivered:
    """The remote or GitHub said no for good; `sha` is what was pushed before that, `of` as in Deliver."""

    plan: str
    repo: str
    of: tuple[str, ...]
    words: str
    sha: str = ""


@dataclass(frozen=True)
class Told:
    """`put` and `taken` are the labels that now stand and no longer stand on the issue; `gone`: it was moved to another
    repository or deleted; `unlabelled`: its labels are not ours to change; `unsaid`: in which words GitHub forbids
    comments there, "" where none was forbidden."""

    outward: Outward
    issue: int | None = None
    put: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    gone: bool = False
    unlabelled: bool = False
    unsaid: str = ""


@dataclass(frozen=True)
class BatchTold:
    """The umbrella issue of a batch knows of its hold with this number."""

    key: str
    number: int


@dataclass(frozen=True)
class Tidied:
    task: Task
    words: str


@dataclass(frozen=True)
class NotTidied:
    """The worktree could not be removed; `busy`: somebody works in it now."""

    task: Task
    words: str
    busy: bool = False


@dataclass(frozen=True)
class Cleaned:
    action: CleanUp
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    swept: int = 0


@dataclass(frozen=True)
class Swept:
    """The daily clean-up was made; how many files and refs went."""

    count: int


@dataclass(frozen=True)
class Reclaimed:
    """Room was made: whose worktrees went here, and how many runs, files and refs besides."""

    action: Reclaim
    removed: tuple[Task, ...]
    others: int


@dataclass(frozen=True)
class ClaimKept:
    """Where the claim on the repository stands after a step: at commit `sha`; `taken` anew, away from `of` where
    another had it. `left` are the branches that stood on the remote then, where they are another coordinator's."""

    hold: Hold
    sha: str
    taken: bool = False
    of: Claim | None = None
    left: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Inherited:
    """The pull request, if any, of a branch that another coordinator left at `sha`."""

    branch: str
    sha: str
    pull: PullRequest | None


@dataclass(frozen=True)
class Notified:
    """A person was told of these causes."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class EffectFailed:
    """The effect could not be made for a reason outside: rest the lane, then plan anew.

    `github_until` is set when GitHub as a whole cannot be asked before then; `bug` holds a trace of ours.
    """

    action: Action
    words: str
    github_until: datetime | None = None
    bug: str = ""


Fact = (
    Polled | Vetted | Explained | Proved | Prepared | Launched | NotStarted | StopSent | Examined | ApprovalAsked |
    Pushed | PullFound | PublishRefused | Joined | NotJoined | Looked | Delivered | NotDelivered | Told | Tidied |
    NotTidied | Cleaned | Swept | Reclaimed | BatchTold | Notified | ClaimKept | Inherited | EffectFailed
)
