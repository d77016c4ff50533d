"""The gates of batches: what changes their standing, what a person asks of a whole batch, and who is told of a hold.

Requests name their batch in `args["batch"]` (as `batch:spring`, `spring`, `plan:auth` or `auth`):
HOLD_BATCH (reason) holds it, with `cancel` "1" its running workers are stopped too; RESUME_BATCH lets it go on, with
`canary` "1" by one task first; CANCEL_BATCH (reason) stops what runs and cancels what waits, of this batch alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import ENDED, Task, TaskState
from coordinator.planning.actions import (
    Answer,
    KeepBatches,
    Move,
    StopWorker,
    TellBatch,
    TurnBatch,
    tell_batch_lane,
    work_lane,
)
from coordinator.planning.batch import gate
from coordinator.planning.batch.membership import batches_of, resolve, title_of
from coordinator.planning.batch.standing import GatePhase
from coordinator.planning.rules.adopt import again
from coordinator.planning.snapshot import Snapshot

_S = TaskState
_K = RequestKind
Out = Iterator[Answer | KeepBatches | Move | StopWorker | TellBatch | TurnBatch]


def rule(s: Snapshot) -> Out:
    found = {task.id: key for key, tasks in batches_of(s).items() for task in tasks if not task.plan}
    if found != s.batched:
        yield KeepBatches(found)
    turned = set()
    for turn in gate.turns(s):
        if turn.again is not None:
            yield Move(turn.again, _S.QUEUED, detail=turn.words, changes=again(turn.again))
        yield TurnBatch(turn.key, turn.after, turn.words, turn.request)
        turned |= {turn.request.id} if turn.request is not None else set()
    for request in s.requests:
        if request.kind in gate.REQUESTS:
            yield from _request(s, request, turned)
    yield from _tell(s)


def _request(s: Snapshot, request: Request, turned: set[int]) -> Out:
    """What a person asked beside the turn of the gate, and the answer where there is no turn."""
    name = request.args.get("batch", "")
    key = resolve(s, name)
    tasks = batches_of(s).get(key, ())
    if not key:
        known = ", ".join(title_of(one) for one in batches_of(s)) or "none"
        yield Answer(request, f"there is no batch {name!r} here (known: {known})")
    elif request.kind is _K.CANCEL_BATCH:
        yield from _cancel(s, request, key, tasks)
    else:
        if request.kind is _K.HOLD_BATCH and request.args.get("cancel"):
            yield from _stop_running(s, request, tasks)
        if request.id not in turned and (no := gate.refusal(s, key, request)):
            yield Answer(request, no)


def _cancel(s: Snapshot, request: Request, key: str, tasks: tuple[Task, ...]) -> Out:
    """Answered once every task is stopped or being stopped: one whose worker is being started just now comes later."""
    words = request.args.get("reason") or f"its batch was cancelled by a person ({request.source})"
    yield from _stop_running(s, request, tasks)
    for task in tasks:
        if task.state in (_S.QUEUED, _S.BACKOFF, _S.PREPARING) and not _begins(s, task):
            yield Move(task, _S.CANCELLED, "manual_stop", words)
    left = [task for task in tasks if task.state in (_S.QUEUED, _S.BACKOFF, _S.PREPARING)
            or (task.state is _S.RUNNING and not _being_stopped(s, task))]
    if not left:
        stopped = sum(task.state is _S.CANCELLED for task in tasks)
        stopping = sum(task.state is _S.RUNNING for task in tasks)
        kept = sum(task.state not in ENDED and task.state is not _S.RUNNING for task in tasks)
        yield Answer(request, f"batch {title_of(key)}: {stopped} cancelled, {stopping} being stopped, {kept} published "
                              "or in review")


def _begins(s: Snapshot, task: Task) -> bool:
    return work_lane(task.id) in s.busy or task.id in s.views


def _being_stopped(s: Snapshot, task: Task) -> bool:
    attempt = s.attempt(task.id)
    return task.id in s.evidence or (attempt is not None and attempt.stop_asked_at is not None)


def _stop_running(s: Snapshot, request: Request, tasks: tuple[Task, ...]) -> Iterator[StopWorker]:
    words = request.args.get("reason") or f"its batch was stopped by a person ({request.source})"
    for task in tasks:
        attempt = s.attempt(task.id)
        if task.state is not _S.RUNNING or attempt is None or _being_stopped(s, task):
            continue
        if s.free(work_lane(task.id)):
            yield StopWorker(task, attempt, "manual_stop", words, "request")


def _tell(s: Snapshot) -> Iterator[TellBatch]:
    """One comment a hold, on the batch's umbrella issue."""
    for key, now in s.batches.items():
        issue = gate.umbrella(s, key)
        due = now.phase is GatePhase.HELD and now.told < now.number
        if due and issue is not None and s.github_ok and s.free(tell_batch_lane(key)):
            yield TellBatch(key, issue.number, now)
