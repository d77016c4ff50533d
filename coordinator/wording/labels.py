"""Which of our own labels stand on an issue: a projection of the task's state, one at a time at most."""

from __future__ import annotations

from typing import Protocol

from coordinator.domain.task import TaskState

_S = TaskState


class Names(Protocol):
    """The table of label names; `mode` is minimal (only `blocked` is written) or full."""

    @property
    def mode(self) -> str: ...
    @property
    def queued(self) -> str: ...
    @property
    def running(self) -> str: ...
    @property
    def in_review(self) -> str: ...
    @property
    def blocked(self) -> str: ...
    @property
    def failed(self) -> str: ...
    @property
    def done(self) -> str: ...


def _by_state(names: Names) -> dict[TaskState, str]:
    return {
        _S.QUEUED: names.queued,
        _S.BACKOFF: names.queued,
        _S.PREPARING: names.running,
        _S.RUNNING: names.running,
        _S.PUBLISHING: names.running,
        _S.IN_REVIEW: names.in_review,
        _S.BLOCKED: names.blocked,
        _S.FAILED: names.failed,
        _S.DONE: names.done,
    }


def desired_labels(state: TaskState, names: Names) -> frozenset[str]:
    """What should stand now. A cancelled task carries none of ours: a person has said no, and knows."""
    if names.mode != "full" and state is not TaskState.BLOCKED:
        return frozenset()
    name = _by_state(names).get(state)
    return frozenset() if name is None else frozenset({name})


def own_labels(names: Names) -> frozenset[str]:
    """Every label that we may set or take away."""
    return frozenset(_by_state(names).values())
