"""What should be said about a task now, out of the store's latest words: keys for the planner, texts for telling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Task
from coordinator.engine.world import World
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Speech
from coordinator.wording import comments, labels


def speech_of(task: Task, attempts: Sequence[Attempt], policy: Policy) -> Speech:
    """Keys of the living comment and the notices, and our labels, as they should stand on the issue."""
    last = attempts[-1] if attempts else None
    living = comments.desired_living(task, last, policy.labels)
    notices = comments.desired_notices(task, last, attempts, policy.labels)
    return Speech(
        living=living.key if living is not None else "",
        notices=frozenset(notice.key for notice in notices),
        labels=labels.desired_labels(task.state, policy.labels),
    )


def speeches(tasks: Sequence[Task], attempts: Mapping[str, Sequence[Attempt]], policy: Policy) -> dict[str, Speech]:
    return {task.id: speech_of(task, attempts.get(task.id, ()), policy) for task in tasks if task.issue is not None}


def living_of(task: Task, world: World) -> comments.Said | None:
    history = world.store.attempts().get(task.id, ())
    return comments.desired_living(task, history[-1] if history else None, world.policy.labels)


def notices_of(task: Task, world: World) -> Sequence[comments.Notice]:
    history = world.store.attempts().get(task.id, ())
    return comments.desired_notices(task, history[-1] if history else None, history, world.policy.labels)


def own_labels(task: Task, world: World) -> tuple[frozenset[str], frozenset[str]]:
    """(what should stand, every label of ours)."""
    names = world.policy.labels
    return labels.desired_labels(task.state, names), labels.own_labels(names)
