"""What a plan may hold: actions to be applied and waits that say why a task is not moving.

An action carries the task as it was planned from; the engine drops it when the task has moved since.
`lane` serialises slow effects: one at a time a lane. "" means that the action is only a change of memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue
from coordinator.domain.outcome import Evidence
from coordinator.domain.request import Request
from coordinator.domain.task import Task, TaskState, issue_task_id
from coordinator.domain.worker import WorkerView
from coordinator.planning.batch.standing import Standing


def work_lane(task_id: str) -> str:
    return f"work:{task_id}"


def keep_lane(task_id: str) -> str:
    """Rests after the remote refused to keep unfinished work; nothing else waits for it."""
    return f"keep:{task_id}"


def say_lane(task_id: str) -> str:
    return f"say:{task_id}"


def mute_lane(task_id: str) -> str:
    """Rests after GitHub forbade comments on its issue; its labels do not wait for that."""
    return f"mute:{task_id}"


VET_LANES = "vet:"


def vet_lane(number: int) -> str:
    return f"{VET_LANES}{number}"


def prove_lane(provider: str) -> str:
    return f"prove:{provider}"


def look_lane(task_id: str) -> str:
    """Rests between two looks at the files of a running task."""
    return f"look:{task_id}"


def room_lane(host: str) -> str:
    """Rests between two times that room is made on a host."""
    return f"room:{host}"


def plan_lane(plan: str, repo: str) -> str:
    return f"plan:{plan}:{repo}"


def tell_batch_lane(key: str) -> str:
    return f"say:{key}"


def approval_lane(task_id: str) -> str:
    return f"approval:{task_id}"


POLL_LANE = "poll"
CLAIM_LANE = "claim"
CLEAN_LANE = "clean"
NOTIFY_LANE = "notify"


@dataclass(frozen=True)
class Poll:
    """Ask GitHub what changed; `full` lists all anew. `awaited` are the numbers of the pull requests whose news would
    move a task, ascending: where there are none, pull requests are not asked for."""

    awaited: tuple[int, ...]
    full: bool
    lane: str = POLL_LANE


@dataclass(frozen=True)
class KeepClaim:
    """See to the claim on the repository: take it, renew it, or look who holds it."""

    lane: str = CLAIM_LANE


@dataclass(frozen=True)
class Inherit:
    """Ask which pull request carries a branch that another coordinator left, before anything is done about it."""

    branch: str
    sha: str
    lane: str
    task: Task | None = None


@dataclass(frozen=True)
class VetIssue:
    """Ask who set the label and who edited the words since, what they may do, and what blocks the issue."""

    issue: Issue

    @property
    def lane(self) -> str:
        return vet_lane(self.issue.number)


@dataclass(frozen=True)
class Explain:
    """Say once on an issue why it is not worked on; `key` names the comment for ever."""

    number: int
    words: str
    cure: str
    key: str

    @property
    def lane(self) -> str:
        return say_lane(issue_task_id(self.number))


@dataclass(frozen=True)
class Adopt:
    """Make a task of a vetted issue, or of a line of tasks.md (`issue` None)."""

    task: Task
    request: Request | None = None
    lane: str = ""


@dataclass(frozen=True)
class Move:
    """Move a task; `changes` are further fields of Task, `request` is answered with `words` in the same
    transaction. `to` None changes fields only."""

    task: Task
    to: TaskState | None
    reason: str = ""
    detail: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    request: Request | None = None
    words: str = ""
    lane: str = ""


@dataclass(frozen=True)
class Begin:
    """QUEUED -> PREPARING with a new attempt row: the intent to run a worker. In place of the task's own provider
    (`switch_from`) for a reason code; `stage` is the name of its workflow's stage, `host` where it runs."""

    task: Task
    provider: str
    switch_from: str = ""
    fallback_reason: str = ""
    stage: str = ""
    host: str = ""
    lane: str = ""


@dataclass(frozen=True)
class Prove:
    """Ask a provider for one answer, in an empty folder, before it may stand in for another."""

    provider: str

    @property
    def lane(self) -> str:
        return prove_lane(self.provider)


@dataclass(frozen=True)
class _OnAttempt:
    """An effect for one attempt of a task, in the task's own lane."""

    task: Task
    attempt: Attempt

    @property
    def lane(self) -> str:
        return work_lane(self.task.id)


@dataclass(frozen=True)
class Prepare(_OnAttempt):
    """What trusted people said, fetch, worktree, hooks."""


@dataclass(frozen=True)
class Launch(_OnAttempt):
    """Start the wrapper with its agent. `met`: one with this token was seen, and that is to be recorded."""

    met: bool = False


@dataclass(frozen=True)
class GiveUp(_OnAttempt):
    """Nobody knows whether the worker was started, and its host is out of reach for too long."""

    words: str


@dataclass(frozen=True)
class StopWorker(_OnAttempt):
    """Stop the running worker for a reason code; `by` says who asked (attempt.stop_by)."""

    reason: str
    words: str
    by: str
    hard: bool = False
    request: Request | None = None


@dataclass(frozen=True)
class Examine(_OnAttempt):
    """Look at what an ended attempt left behind and let its provider judge it."""

    view: WorkerView


@dataclass(frozen=True)
class Settlement:
    """What an ended attempt means for its task. `park_until` closes its provider until then, for the `park_times`th
    time in a row; `unparks` opens it again: the attempt was the one that tried it, and it answered. `spends`: the
    provider failed the task as another one need not. `stage` is the place in its workflow that the task stands at from
    now on, None where it stays; `sends_back`: a later stage sent it there."""

    to: TaskState
    reason: str
    detail: str = ""
    retry_at: datetime | None = None
    charged: bool = False
    park_until: datetime | None = None
    park_times: int = 1
    unparks: bool = False
    spends: bool = False
    draft: bool = False
    stage: int | None = None
    sends_back: bool = False


@dataclass(frozen=True)
class Settle:
    task: Task
    attempt: Attempt
    evidence: Evidence
    settlement: Settlement
    lane: str = ""


@dataclass(frozen=True)
class AskApproval:
    """Ask who set the label that approves what a stage left, and when."""

    task: Task
    attempt: Attempt
    issue: Issue

    @property
    def lane(self) -> str:
        return approval_lane(self.task.id)


@dataclass(frozen=True)
class Push(_OnAttempt):
    """Push the branch; without a pull request to follow when `wip`."""

    wip: bool


@dataclass(frozen=True)
class Publish(_OnAttempt):
    """Find the pull request that carries the work, or open it."""


@dataclass(frozen=True)
class Join(_OnAttempt):
    """Validate the work of a plan's task and merge it into the plan's branch."""


@dataclass(frozen=True)
class Look(_OnAttempt):
    """See which files a running task has changed so far."""

    @property
    def lane(self) -> str:
        return look_lane(self.task.id)


@dataclass(frozen=True)
class Deliver:
    """Push the branch of a plan whose tasks are all merged, and open its pull request, in one repository. `of` are
    these tasks, by their id in the file."""

    plan: str
    repo: str
    of: tuple[str, ...]

    @property
    def lane(self) -> str:
        return plan_lane(self.plan, self.repo)


@dataclass(frozen=True)
class TakePlan:
    """Begin a plan, or go on with it as its file stands now. `plan` is an Undertaking as JSON."""

    request: Request
    plan: str
    lane: str = ""


@dataclass(frozen=True)
class Tell:
    """Bring the issue's comments and our labels to what they should be; `unretry` takes the retry label off."""

    task: Task
    attempt: Attempt | None
    living: bool
    notices: frozenset[str]
    labels: bool
    unretry: bool

    @property
    def lane(self) -> str:
        return say_lane(self.task.id)


@dataclass(frozen=True)
class Answer:
    request: Request
    words: str
    lane: str = ""


@dataclass(frozen=True)
class Flag:
    """Set or clear a named flag of the whole coordinator: paused, rebuild, errors_reset."""

    request: Request
    name: str
    value: str
    words: str
    lane: str = ""


@dataclass(frozen=True)
class TurnBatch:
    """The gate of a batch comes to stand otherwise; `request` is answered with `words`."""

    key: str
    after: Standing
    words: str
    request: Request | None = None
    lane: str = ""


@dataclass(frozen=True)
class KeepBatches:
    """Remember which batch each task belongs to: an issue that is closed while we are away is seen no more."""

    batched: Mapping[str, str]
    lane: str = ""


@dataclass(frozen=True)
class TellBatch:
    """Say on a batch's umbrella issue that it is held, and why."""

    key: str
    issue: int
    held: Standing

    @property
    def lane(self) -> str:
        return tell_batch_lane(self.key)


@dataclass(frozen=True)
class Tidy:
    """Remove the worktree of merged or closed work after its grace time."""

    task: Task

    @property
    def lane(self) -> str:
        return work_lane(self.task.id)


@dataclass(frozen=True)
class CleanUp:
    """Remove worktrees that are ours, dead, and clean and pushed or rescued. `keep` are tasks that live."""

    keep: frozenset[str]
    why: str
    request: Request | None = None
    lane: str = CLEAN_LANE


@dataclass(frozen=True)
class Sweep:
    """Remove transcripts, run files, rescue refs and walled work that have become too old, as every day."""

    lane: str = CLEAN_LANE


@dataclass(frozen=True)
class Reclaim:
    """Make room on a host, "" for this machine: of these tasks, all merged, remove what is clean; what is too old too.
    Nothing of any other task."""

    host: str
    tasks: tuple[Task, ...]
    why: str

    @property
    def lane(self) -> str:
        return room_lane(self.host)


@dataclass(frozen=True)
class Picture:
    """What a person wants to know before acting: workers active of so many slots (0 = no limit), tasks that wait, and
    by what went wrong the tasks it stopped. `evidence` are further lines about the cause itself."""

    active: int = 0
    slots: int = 0
    waiting: int = 0
    failing: tuple[tuple[str, tuple[str, ...]], ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Notify:
    """Tell a person about one cause; `key` names the cause for ever, so that it is told once, and `along` further ones
    that the same words tell of."""

    key: str
    words: str
    cure: str
    along: tuple[str, ...] = ()
    picture: Picture = Picture()
    lane: str = NOTIFY_LANE


Action = (
    TurnBatch | KeepBatches | TellBatch
    | Poll | VetIssue | Explain
    | Adopt | Move | Begin | Prove | Prepare | Launch | GiveUp | StopWorker | Examine | Settle
    | AskApproval | Push | Publish | Join | Look | Deliver | TakePlan | Tell | Answer | Flag | Tidy | CleanUp | Sweep
    | Reclaim | Notify | KeepClaim | Inherit
)


@dataclass(frozen=True)
class Wait:
    """Why a task is not moving: a code, words for people, and what would move it (a command or an event)."""

    task_id: str
    code: str
    words: str
    moves: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class Held:
    """A labelled issue that is not a task yet, and why."""

    number: int
    title: str
    code: str
    words: str
    moves: str


@dataclass(frozen=True)
class Plan:
    actions: tuple[Action, ...]
    waits: Mapping[str, Wait]
    held: tuple[Held, ...] = ()
    wake_at: datetime | None = None
