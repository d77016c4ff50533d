"""Snapshots of one batch for tests: tasks with their attempts, and the same a minute after the turn of their gate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Answer, Begin, Move, TurnBatch
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Snapshot
from tests.factories import NOW, a_request, a_snapshot, a_task, an_attempt, an_issue

_S = TaskState
_K = RequestKind
LABEL = "batch:spring"
KEY = f"label:{LABEL}"
WIDE = Policy(provider="command", max_workers=99)
EARLIER = NOW - timedelta(minutes=10)


def failed(number: int, reason: str = "push_refused", detail: str = "remote rejected", *, at=EARLIER, **changes):
    """A task that a person must look at, with the attempt that ended it."""
    task = a_task(number, _S.BLOCKED, reason=reason, detail=detail, attempts=1, state_since=at, **changes)
    return task, an_attempt(task=number, created_at=at, ended_at=at, settled_at=at, ending=Ending.FAILED,
                            reason=reason, detail=detail)


def done(number: int, state: TaskState = _S.IN_REVIEW, *, at=EARLIER, **changes):
    task = a_task(number, state, attempts=1, pr_number=number + 100, state_since=at, **changes)
    return task, an_attempt(task=number, created_at=at, ended_at=at, ending=Ending.SUCCEEDED, reason="process_exit",
                            commits=1)


def backing_off(number: int, *, at=EARLIER):
    task, attempt = failed(number, "process_exit", "ImportError: no x", at=at)
    return replace(task, state=_S.BACKOFF, reason="process_exit", retry_at=NOW + timedelta(minutes=1)), attempt


def world(*pairs, label: str = LABEL, policy: Policy = WIDE, **changes) -> Snapshot:
    """A snapshot of tasks, each with or without its attempt; all their issues carry the label."""
    tasks = [one if not isinstance(one, tuple) else one[0] for one in pairs]
    attempts = {one[0].id: (one[1],) for one in pairs if isinstance(one, tuple)}
    issues = {task.issue: an_issue(task.issue, "rpi-auto", label) for task in tasks if task.issue is not None}
    plain = a_snapshot(*tasks, attempts=attempts, issues=issues, policy=policy)
    return replace(plain, **changes)


def storm(*more, **changes) -> Snapshot:
    """Three of five failed alike, and three wait."""
    return world(failed(1), failed(2), failed(3), done(4), done(5), a_task(6), a_task(7), a_task(8), *more, **changes)


def turn(s: Snapshot) -> TurnBatch:
    [found] = [action for action in plan(s).actions if isinstance(action, TurnBatch)]
    return found


def applied(s: Snapshot, **changes) -> Snapshot:
    """The snapshot after the turn of its gate, a minute later."""
    made = plan(s)
    after = {action.key: action.after for action in made.actions if isinstance(action, TurnBatch)}
    again = {move.task.id: move.task.move(move.to, s.now)
             for move in made.actions if isinstance(move, Move) and move.to is _S.QUEUED}
    answered = [action.request for action in made.actions if isinstance(action, (TurnBatch, Answer))]
    return replace(s, batches={**s.batches, **after}, tasks={**s.tasks, **again}, now=s.now + timedelta(minutes=1),
                   requests=tuple(one for one in s.requests if one not in answered), **changes)


def begun(s: Snapshot) -> list[str]:
    return [action.task.id for action in plan(s).actions if isinstance(action, Begin)]


def with_task(s: Snapshot, task, attempt=None) -> Snapshot:
    known = {**s.attempts, task.id: (attempt,)} if attempt is not None else s.attempts
    return replace(s, tasks={**s.tasks, task.id: task}, attempts=known)


def held(s: Snapshot | None = None) -> Snapshot:
    return applied(s if s is not None else storm())


def asks(s: Snapshot, kind: RequestKind, name: str = LABEL, number: int = 1, **args: str) -> Snapshot:
    return replace(s, requests=(a_request(kind, "", number, batch=name, **args),))


def said(s: Snapshot) -> str:
    [answer] = [action for action in plan(s).actions if isinstance(action, Answer)]
    return answer.words


def wave(*outcomes: bool, going: int = 0) -> Snapshot:
    """Wave 1 is released: so many of it ended well or badly since, `going` of it wait, one task of wave 2 waits."""
    since = NOW - timedelta(minutes=5)
    ended = [done(n, at=NOW) if well else failed(n, at=NOW) for n, well in enumerate(outcomes, 1)]
    left = [a_task(30 + n) for n in range(going)]
    later = a_task(60, depends_on=(30,) if going else ())
    s = world(*ended, *left, later, a_task(61, depends_on=(60,)))
    return replace(s, batches={KEY: Standing(GatePhase.WAVE, since, 1, 1, "why", "push_refused", wave=1,
                                             judged_from=since)})
