"""A verb on a job of a coordinator is asked of that coordinator: it alone moves its tasks. Acts on no worker itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.asking import LOOK_EVERY, PATIENCE, SLOW_PATIENCE, ask
from coordinator.cli.trouble import Trouble
from coordinator.domain.task import TaskState

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.domain.job import Job
    from coordinator.domain.task import Task

STOP, RESTART, UNBLOCK = "stop", "restart", "unblock"
_BLOCKED = (TaskState.BLOCKED, TaskState.FAILED)


def hand_over(job: Job, request: str, by_hand: str) -> None:
    """Has the coordinator of that repository do it, or this process where none runs, and prints its answer. `request`
    "" = it cannot be asked for this; `by_hand` names options that only a job by hand has. Raises Trouble."""
    from coordinator import app

    who = f"{job.id} is run by {job.owner}, not by hand"
    if by_hand:
        cure = f"coordinator job {request} --beads {job.id}"
        raise Trouble(f"{who}: {by_hand} means nothing to it; nothing was changed", cure)
    if not request or not job.meta.get("repo"):
        raise Trouble(f"{who}: nothing was changed", "coordinator status")
    place = app.place(Path(job.meta["repo"]))
    task = _task(place, job.id) if place.store.exists() else None
    if task is None:
        raise Trouble(f"{who}, and {place.root} knows no such task: nothing was changed", "coordinator status")
    if request == STOP:
        ask(place, "stop", job.id, {}, SLOW_PATIENCE)
    elif request == UNBLOCK and task.state not in _BLOCKED:
        print(f"{job.id} was not blocked: it is {task.state}")
    else:
        if task.state is TaskState.RUNNING:
            ask(place, "stop", job.id, {}, SLOW_PATIENCE)
            _await_end(place, job.id)
        ask(place, "retry", job.id, {}, PATIENCE)


def _task(place: Place, task_id: str) -> Task | None:
    from coordinator import app

    store = app.open_store(place)
    try:
        return store.task(task_id)
    finally:
        store.close()


def _await_end(place: Place, task_id: str) -> None:
    """Until the coordinator has taken note of the worker's end: before that there is nothing to try again."""
    until = time.monotonic() + SLOW_PATIENCE
    while (task := _task(place, task_id)) is not None and task.state is TaskState.RUNNING:
        if time.monotonic() >= until:
            raise Trouble(f"{task_id} was told to stop and runs still", f"Later: coordinator retry {task_id}")
        time.sleep(LOOK_EVERY)
