"""Running workers: stop those that a person withdrew, that reached a cap or that stall, examine those that ended."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import Exited, Health, Missing, Running, Unknown, Waiting
from coordinator.domain.workflow import BUILD
from coordinator.planning.actions import Examine, StopWorker, Wait, work_lane
from coordinator.planning.health import Settings, judge_health, leapt
from coordinator.planning.limits import caps
from coordinator.planning.rules.dispatch import SET_BACK, gone
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[StopWorker | Examine | Wait]:
    for task in s.tasks.values():
        attempt = s.attempt(task.id)
        if task.state is TaskState.RUNNING and attempt is not None and task.id not in s.evidence:
            yield from _one(s, task, attempt)


def _one(s: Snapshot, task: Task, attempt: Attempt) -> Iterator[StopWorker | Examine | Wait]:
    view = s.views.get(task.id)
    lane = work_lane(task.id)
    if task.id in s.survivors:
        pids = ", ".join(str(pid) for pid in s.survivors[task.id])
        yield Wait(task.id, "leaked", f"killed, yet processes of it live on: {pids}", f"kill -9 {pids}",
                   s.holdoff.get(lane))
    if isinstance(view, (Exited, Missing)):
        if s.free(lane):
            yield Examine(task, attempt, view)
        yield Wait(task.id, "examining", "the worker ended; what it left is being looked at", until=s.holdoff.get(lane))
    elif isinstance(view, (Running, Waiting)):
        yield from _running(s, task, attempt, view)
    elif isinstance(view, Unknown):
        yield from _unknown(s, task, attempt, view)
    else:
        yield Wait(task.id, "starting", "the worker is being started")


def _unknown(s: Snapshot, task: Task, attempt: Attempt, view: Unknown) -> Iterator[Examine | Wait]:
    """A worker elsewhere is given up when its lease is over; one of this machine never."""
    if lease_over(s, attempt, view) and s.free(work_lane(task.id)):
        yield Examine(task, attempt, view)
    yield unasked(s, attempt, f"the worker could not be asked: {view.reason}", view)


def unasked(s: Snapshot, attempt: Attempt, words: str, view: Unknown) -> Wait:
    """The wait for a host; only one of another machine has an end."""
    until = view.since + s.policy.lease if attempt.host else None
    cure = f"coordinator hosts check {attempt.host}" if attempt.host else ""
    return Wait(attempt.task_id, "unknown", words, cure, until)


def lease_over(s: Snapshot, attempt: Attempt, view: Unknown) -> bool:
    """Whether its host has been out of reach for longer than its lease, with the host's clock and ours as they are."""
    return bool(attempt.host) and s.now - view.since >= s.policy.lease and not _just_woke(s)


def _just_woke(s: Snapshot) -> bool:
    """After a sleep or a leap of the clock nobody has been asked for as long as it was: the lease is counted anew."""
    return s.woke_at is not None and s.now - s.woke_at < s.policy.lease


def _running(s: Snapshot, task: Task, attempt: Attempt, view: Running | Waiting) -> Iterator[StopWorker | Wait]:
    lane = work_lane(task.id)
    if attempt.stop_asked_at is not None:
        age = s.now - attempt.stop_asked_at
        again = age >= s.policy.stop_again
        if (again or age < -SET_BACK) and s.free(lane):   # by a clock set back since, it would be waited for that long
            yield StopWorker(task, attempt, attempt.stop_reason, attempt.stop_words, attempt.stop_by, hard=again)
        yield Wait(task.id, "stopping", f"is being stopped: {attempt.stop_words or attempt.stop_reason}",
                   until=attempt.stop_asked_at + s.policy.stop_again)
        return
    order = _withdrawn(s, task, attempt) or _over_cap(s, task, attempt) or _unhealthy(s, task, attempt, view)
    if order is not None:
        if s.free(lane):
            yield order
        yield Wait(task.id, "stopping", f"is to be stopped: {order.words}", until=s.holdoff.get(lane))
        return
    if isinstance(view, Waiting):
        yield Wait(task.id, "starting", f"the worker waits{_where(attempt)}: {view.reason}")
        return
    stage = f" (stage {attempt.stage})" if attempt.stage not in ("", BUILD.name) else ""
    yield Wait(task.id, "running", f"the worker runs{_where(attempt)}{stage}", f"coordinator view {task.id} --follow")


def _where(attempt: Attempt) -> str:
    return f" on {attempt.host}" if attempt.host else ""


def _withdrawn(s: Snapshot, task: Task, attempt: Attempt) -> StopWorker | None:
    if s.stop_workers:
        return StopWorker(task, attempt, "shutdown", "the coordinator stops its workers", "shutdown")
    issue = s.issue_of(task)
    if issue is None and not gone(s, task):
        return None
    labels = s.policy.labels
    if issue is None or not issue.open:
        words = issue.over if issue is not None else "the issue was closed"
        return StopWorker(task, attempt, "issue_closed", words, "closed")
    if labels.auto not in issue.labels and s.label_gate is None:
        return StopWorker(task, attempt, "label_removed", f"the label {labels.auto} was removed", "label")
    if labels.pause in issue.labels:
        return StopWorker(task, attempt, "paused", f"the issue carries {labels.pause}", "pause")
    return None


def _over_cap(s: Snapshot, task: Task, attempt: Attempt) -> StopWorker | None:
    words = caps.over(s, task) or caps.day(s)
    return StopWorker(task, attempt, "cap_reached", words, "cap") if words else None


def _unhealthy(s: Snapshot, task: Task, attempt: Attempt, view: Running | Waiting) -> StopWorker | None:
    """A stalled worker is stopped, whoever or whatever makes it stand still; one that waits for a place is none."""
    if isinstance(view, Waiting) or leapt(view, s.now, s.woke_at):
        return None
    settings = Settings(grace=s.policy.start_grace, stall=s.policy.stall, no_mutation=s.policy.no_mutation,
                        idle_cpu=s.policy.idle_cpu)
    word = judge_health(view, s.now, settings)
    if word.health is not Health.STALLED:
        return None
    return StopWorker(task, attempt, "stalled", word.words, "stall")
