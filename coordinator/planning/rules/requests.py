"""What people asked from outside, answered once each: stop, retry, pause, resume, add, clean, rebuild."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.issue import fingerprint
from coordinator.domain.reasons import ALLOWABLE
from coordinator.domain.request import Request, RequestKind
from coordinator.domain.task import ENDED, NEEDS_PERSON, Pin, Task, TaskState
from coordinator.planning import stages
from coordinator.planning.actions import (
    CLEAN_LANE,
    Adopt,
    Answer,
    CleanUp,
    Flag,
    Move,
    StopWorker,
    TakePlan,
    Tidy,
    work_lane,
)
from coordinator.planning.batch.gate import REQUESTS
from coordinator.planning.protection import clearing
from coordinator.planning.rules import publish
from coordinator.planning.rules.adopt import DEFAULT_PRIORITY, again
from coordinator.planning.rules.tidy import asked, living
from coordinator.planning.snapshot import Snapshot

_S = TaskState
_K = RequestKind
Out = Iterator[Answer | Move | StopWorker | Flag | Adopt | CleanUp | TakePlan | Tidy]

FLAGS = {
    _K.PAUSE: ("paused", "1", "paused: nothing new is started, running workers go on"),
    _K.RESUME: ("paused", "", "resumed; parked providers are tried again"),
    _K.REBUILD: ("rebuild", "1", "tasks.md and adws/metrics.json are written anew from the store"),
    _K.RESET_ERRORS: ("errors_reset", "1", "worktree_errors is 0 again"),
}


def rule(s: Snapshot) -> Out:
    known = {task.pin.label_event_id: task for task in s.tasks.values() if task.issue is None}
    for request in s.requests:
        if request.kind in FLAGS:
            yield Flag(request, *FLAGS[request.kind])
        elif request.kind is _K.ADD:
            yield _add(s, request, known.get(request.id))
        elif request.kind is _K.PLAN:
            yield TakePlan(request, request.args.get("plan", ""))
        elif request.kind is _K.CLEAN and request.args.get("tasks"):
            yield from asked(s, request)
        elif request.kind in REQUESTS:
            continue   # rules/batch.py
        elif request.kind is _K.CLEAN:
            if s.free(CLEAN_LANE):
                yield CleanUp(living(s), "a person asked for it", request)
        else:
            task = s.tasks.get(request.task_id)
            if task is None:
                yield Answer(request, f"there is no task {request.task_id}")
            elif request.kind is _K.STOP:
                yield from _stop(s, request, task)
            else:
                yield from _retry(s, request, task)


def _stop(s: Snapshot, request: Request, task: Task) -> Out:
    """A worker that runs though its launch was never recorded is recorded first: then it can be stopped."""
    words = request.args.get("reason") or f"stopped by a person ({request.source})"
    attempt = s.attempt(task.id)
    if task.state in ENDED:
        yield Answer(request, f"{task.id} is {task.state} already")
    elif task.state is _S.RUNNING and attempt is not None:
        if attempt.stop_asked_at is not None:
            yield Answer(request, f"{task.id} is being stopped already")
        elif s.free(work_lane(task.id)) and task.id not in s.evidence:
            yield StopWorker(task, attempt, "manual_stop", words, "request", request=request)
    elif work_lane(task.id) not in s.busy and task.id not in s.views:
        yield Move(task, _S.CANCELLED, "manual_stop", words, request=request, words=f"{task.id} is stopped")


def _retry(s: Snapshot, request: Request, task: Task) -> Out:
    provider = request.args.get("provider", "")
    if request.args.get("allow") == "1":
        yield _allow(s, request, task)
    elif provider and provider not in s.policy.providers:
        known = ", ".join(sorted(s.policy.providers))
        yield Answer(request, f"there is no provider {provider!r} here (known: {known})")
    elif publish.only_refused(s, task) and not provider and request.args.get("fresh") != "1":
        yield Move(task, _S.PUBLISHING, detail=f"a person asked for it ({request.source})",
                   changes={**again(task), **publish.anew(s, task)}, request=request,
                   words=f"{task.id} is published again, its work is done: --fresh begins anew")
    elif task.state in NEEDS_PERSON or task.state in (_S.IN_REVIEW, _S.BACKOFF):
        fresh = request.args.get("fresh") == "1"
        yield Move(task, _S.QUEUED, detail=f"a person asked for it ({request.source})",
                   changes={**again(task, fresh=fresh, provider=provider), **stages.again(anew=fresh)},
                   request=request, words=f"{task.id} is queued again")
    elif task.state is _S.QUEUED and task.reason == stages.APPROVAL and request.args.get("fresh") == "1":
        anew = {**again(task, fresh=True, provider=provider), **stages.again(anew=True), "reason": "", "detail": ""}
        yield Move(task, None, changes=anew, request=request, words=f"{task.id} is begun anew")
    elif task.state is _S.QUEUED and task.reason == stages.APPROVAL and not provider:
        yield Move(task, None, changes=stages.approved(task, request.source), request=request,
                   words=f"{task.id} is approved and goes on")
    elif task.state is _S.QUEUED and provider not in ("", task.provider):
        yield Move(task, None, changes={"provider": provider, "spent": ()}, request=request,
                   words=f"{task.id} will be worked on by {provider}")
    elif task.state is _S.QUEUED and provider:
        yield Move(task, None, changes={"provider": provider, "spent": ()}, request=request,
                   words=f"{task.id} waits for {provider} now")
    else:
        yield Answer(request, f"{task.id} is {task.state}: nothing to try again")


def _allow(s: Snapshot, request: Request, task: Task) -> Move | Answer:
    """A person lets pass what was held back, at the commit they saw: what comes after it is looked through anew."""
    attempt = s.attempt(task.id)
    kept = task.withheld.partition(":")[0]
    reason = task.reason if task.state is _S.BLOCKED and task.reason in ALLOWABLE else kept
    if not reason or attempt is None or not attempt.head_sha:
        return Answer(request, f"nothing of {task.id} is held back: there is nothing to allow")
    detail = f"a person let {reason} pass at {attempt.head_sha[:12]} ({request.source})"
    seen = (*task.cleared, clearing(reason, attempt.head_sha))
    changes: dict[str, object] = {"cleared": seen, "withheld": ""}
    if reason == kept:
        words = f"{task.id}: its branch is pushed as it is"
        return Move(task, None, detail=detail, changes=changes, request=request, words=words)
    if reason == "agent_config":
        changes |= {**again(task), **stages.again(anew=False)}
        return Move(task, _S.QUEUED, "", detail, changes, request, f"{task.id} is queued again")
    changes["completed_at"] = None
    return Move(task, _S.PUBLISHING, "", detail, changes, request, f"{task.id} is published as it is")


def _add(s: Snapshot, request: Request, made: Task | None) -> Adopt | Answer:
    """A task of a person's line; its pin names the request, so that none is made twice."""
    if made is not None:
        return Answer(request, f"{made.id} is queued")
    title, body = request.args["title"], request.args.get("body", "")
    task_id = f"m-{s.next_manual}"
    return Adopt(
        Task(
            id=task_id,
            pin=Pin(title, body, fingerprint(title, body), request.id, "ledger"),
            branch=f"rpi/{task_id}",
            created_at=s.now,
            updated_at=s.now,
            state_since=s.now,
            priority=int(request.args.get("priority", DEFAULT_PRIORITY)),
            provider=s.policy.provider,
            template=s.policy.template,
            workflow=s.policy.workflow,
        ),
        request,
    )
