"""An ended attempt whose evidence is in: what it means for its task."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.task import TaskState
from coordinator.planning import stages
from coordinator.planning.actions import Settle
from coordinator.planning.limits import circuit
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Settle]:
    for task_id, evidence in s.evidence.items():
        task, attempt = s.tasks.get(task_id), s.attempt(task_id)
        if task is None or attempt is None or task.state is not TaskState.RUNNING:
            continue
        settlement = stages.settle(s, task, attempt, evidence)
        yield Settle(task, attempt, evidence, circuit.after(s, attempt, evidence.outcome, settlement))
