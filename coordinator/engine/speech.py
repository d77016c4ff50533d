"""What should be said about a task now, out of the store's latest words: keys for the planner, texts for telling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from coordinator.domain.attempt import Attempt
from coordinator.domain.outward import Outward
from coordinator.domain.task import Task
from coordinator.engine.world import World
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Speech
from coordinator.ports import Store
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


class Speeches:
    """Those of all tasks, made anew only of what changed: by the objects themselves, for the store gives the same ones
    again where nothing did."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Task, Sequence[Attempt], Policy, Speech]] = {}

    def of(self, tasks: Iterable[Task], attempts: Mapping[str, Sequence[Attempt]], policy: Policy) -> dict[str, Speech]:
        known, self._known = self._known, {}
        for task in tasks:
            if task.issue is not None:
                history, before = attempts.get(task.id, ()), known.get(task.id)
                if before is None or before[0] is not task or before[1] is not history or before[2] is not policy:
                    before = (task, history, policy, speech_of(task, history, policy))
                self._known[task.id] = before
        return {task_id: one[3] for task_id, one in self._known.items()}


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


def forget_labels(store: Store, task_id: str) -> None:
    """From now on nobody knows what stands on its issue, until a fact is in."""
    said = store.outward().get(task_id)
    if said is None or said.labels is not None:
        store.keep_outward(replace(said or Outward(task_id), labels=None))
