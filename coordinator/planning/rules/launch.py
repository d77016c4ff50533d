"""From the intent to a running worker: prepare the worktree, then launch, unless a person said no meanwhile or
wants it otherwise.

A worker that runs though its launch was never recorded (we died between the two) is recorded first, whatever
was said meanwhile: then the rules for running workers see it, and it cannot be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.attempt import Attempt, Phase
from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import Exited, Running, Unknown, Waiting
from coordinator.planning import trust
from coordinator.planning.actions import GiveUp, Launch, Move, Prepare, Wait, work_lane
from coordinator.planning.limits import caps
from coordinator.planning.rules.dispatch import withdrawn
from coordinator.planning.rules.supervise import lease_over, unasked
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Prepare | Launch | GiveUp | Move | Wait]:
    for task in s.tasks.values():
        attempt = s.attempt(task.id)
        if task.state is not TaskState.PREPARING or attempt is None:
            continue
        lane = work_lane(task.id)
        if lane in s.busy:
            yield Wait(task.id, "preparing", "its worktree is being made ready")
            continue
        view = s.views.get(task.id)
        if isinstance(view, (Waiting, Running, Exited, Unknown)):
            yield from _met(s, task, attempt, view)
            continue
        no = withdrawn(s, task)
        issue = s.issue_of(task)
        if no is not None and attempt.phase is not Phase.LAUNCHED:
            yield no
        elif issue is not None and s.policy.labels.pause in issue.labels:
            yield Move(task, TaskState.QUEUED, "paused", f"the issue carries {s.policy.labels.pause}")
        elif wait := trust.unseen(s, task):
            yield wait
        elif words := trust.overtaken(s, task):
            yield Move(task, TaskState.QUEUED, "edited", words)
        elif words := caps.day(s):   # started, it would be stopped at once and be a person's affair
            yield Move(task, TaskState.QUEUED, "cap_reached", words)
        elif not s.free(lane):
            yield Wait(task.id, "holdoff", "rests after a failure", until=s.holdoff[lane])
        elif attempt.phase is Phase.INTENDED:
            yield Prepare(task, attempt)
        else:
            yield Launch(task, attempt)


def _met(s: Snapshot, task: Task, attempt: Attempt,
         view: Waiting | Running | Exited | Unknown) -> Iterator[Launch | GiveUp | Wait]:
    """A worker whose launch was never recorded, or may have been asked for where nobody can be asked now."""
    lane = work_lane(task.id)
    if isinstance(view, Unknown):
        if lease_over(s, attempt, view) and s.free(lane):
            yield GiveUp(task, attempt, view.reason)
        yield unasked(s, attempt, f"the executor could not be asked: {view.reason}", view)
        return
    if s.free(lane):
        yield Launch(task, attempt, met=True)
    yield Wait(task.id, "starting", "its worker was found running", until=s.holdoff.get(lane))
