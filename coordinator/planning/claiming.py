"""One coordinator a repository, wherever they run: what may be done while the claim is ours, and when it may be taken.

The claim is a ref on the remote that is moved by compare-and-swap. Whoever wants one that another holds waits until
its value has stood for a whole lease by his own clock; the holder counts it as his only until a margin before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from coordinator.domain.claim import LONGEST_LEASE, Claim
from coordinator.domain.task import ENDED, Task, TaskState
from coordinator.planning.actions import (
    Action,
    Adopt,
    AskApproval,
    Begin,
    Deliver,
    Explain,
    Inherit,
    Join,
    Launch,
    Notify,
    Plan,
    Poll,
    Prepare,
    Prove,
    Publish,
    Push,
    Tell,
    TellBatch,
    VetIssue,
    Wait,
)

OUTWARD = (Poll, VetIssue, Explain, Inherit, AskApproval, Begin, Prove, Prepare, Launch, Push, Publish, Join, Deliver,
           Tell, TellBatch, Notify)
"""What a coordinator without the claim leaves to the one that holds it. It goes on to look after workers that it
started, to keep what they leave and to answer people: all of that stays on its own machine."""
MARGIN = 6
"""The part of a lease that a holder does without: an effect that was begun in time must end in time."""
CURE = "wait, end that coordinator, or, when it is surely dead: coordinator run --take-over"
CONFIGURE = "let the token push to the repository, or, where no second coordinator can be, set repository.claim = false"


@dataclass(frozen=True)
class Terms:
    """How often the claim is renewed, how long it holds after that, and how often one held by another is looked at."""

    renew: timedelta = timedelta(minutes=20)
    lease: timedelta = timedelta(minutes=60)
    watch: timedelta = timedelta(minutes=3)

    @property
    def counts(self) -> timedelta:
        """How long its holder counts on it after a renewal began."""
        counts: timedelta = self.lease - self.lease / MARGIN
        return counts

    def waits(self, found: Claim | None) -> timedelta:
        """How long a claim of another must have stood: its holder may have set a longer lease than we have."""
        theirs = timedelta(seconds=found.lease if found is not None else 0)
        return max(self.lease, min(theirs, LONGEST_LEASE))


@dataclass(frozen=True)
class Hold:
    """Where the claim stands for us. `open`: it is ours, or nobody asks for one; else `words` say why not and `cure`
    what helps. `due` is when it must be seen to, `until` when ours ends unless it is renewed; `other` is who holds it
    instead, as far as is known."""

    open: bool = True
    words: str = ""
    cure: str = ""
    due: datetime | None = None
    until: datetime | None = None
    other: Claim | None = None
    generation: int = 0


@dataclass(frozen=True)
class Left:
    """A branch of a task as it stood on the remote when the claim was taken. `pull` is the pull request that carries
    it, 0 for none, None as long as nobody asked."""

    sha: str
    pull: int | None = None


@dataclass(frozen=True)
class Inheritance:
    """What the coordinator left on the remote that held the claim before us, by branch. Without one there is nothing:
    such a branch is some person's."""

    branches: Mapping[str, Left] = field(default_factory=dict)

    def expected(self, task: Task) -> str:
        """The commit of the task's branch on the remote that may be built upon and replaced: what we pushed last, else
        what the coordinator before us left; "" for none."""
        left = self.branches.get(task.branch)
        return task.pushed_sha or (left.sha if left is not None else "")


def may_take(found: Claim | None, us: Claim, terms: Terms, *, first: bool, stood: float, forced: bool) -> bool:
    """Whether the claim may be taken: there is none, it was given back, it is of this very life, of a life before us on
    the same checkout (`first`: we have not held it yet), or its value has `stood` for a whole lease, in seconds by our
    own clock. `forced`: a person says that its holder is dead."""
    if found is None or found.released or forced:
        return True
    if found.holder == us.holder and (first or found.life == us.life):
        return True
    return stood >= terms.waits(found).total_seconds()


def held_back(made: Plan, hold: Hold, tasks: Mapping[str, Task]) -> Plan:
    """The plan of a coordinator that has no claim: its own affairs alone, and all else waits for that."""
    if hold.open:
        return made
    waits = {task_id: _wait(wait, tasks[task_id], hold) for task_id, wait in made.waits.items()}
    return replace(made, actions=tuple(action for action in made.actions if not outward(action)), waits=waits)


def outward(action: Action) -> bool:
    """Whether this is for the holder of the claim alone. A task that a person asked for here is only written down."""
    return isinstance(action, OUTWARD) or (isinstance(action, Adopt) and action.request is None)


def _wait(wait: Wait, task: Task, hold: Hold) -> Wait:
    if task.state in ENDED or task.state is TaskState.RUNNING:
        return wait
    return Wait(task.id, "claim", hold.words, hold.cure, hold.due)
