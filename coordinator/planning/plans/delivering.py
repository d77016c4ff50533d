"""What a delivery is of: decided once, kept to while it is under way, and judged by when its news come in. Pure.

A plan may grow while its branch is being pushed. What came since is delivered with the whole plan later: it does not go
out half done with what was decided on, and what was decided on does not count as the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from coordinator.domain.planfile import Delivery, Undertaking
from coordinator.domain.task import Task, TaskState


def load(under: Undertaking) -> tuple[str, ...]:
    """The tasks, by their id in the file, that a delivery decided on now is of."""
    return tuple(one.id for one in under.plan.tasks)


def whole(under: Undertaking, tasks: Iterable[Task]) -> bool:
    """Whether all of the plan is merged. `tasks` are those of it that are known."""
    done = {task.id for task in tasks if task.state is TaskState.DONE}
    return bool(under.plan.tasks) and all(under.key(one) in done for one in under.plan.tasks)


def grew(under: Undertaking, of: tuple[str, ...]) -> bool:
    """Whether tasks came to the plan since a delivery of these was decided on."""
    return not set(load(under)) <= set(of)


def awaited(delivery: Delivery) -> bool:
    """Whether it is neither done nor refused; what was refused waits for a person."""
    return delivery.delivered_at is None and not delivery.words


def noted(under: Undertaking, repo: str, of: tuple[str, ...], news: Mapping[str, Any]) -> Undertaking:
    """The plan with the news of a delivery of these tasks, fields of Delivery. What is on the remote now is true in any
    case; that it is done, or refused, holds for these tasks alone. Unchanged where the repository has left the plan."""
    delivery = under.deliveries.get(repo)
    if delivery is None:
        return under
    known = {**news, "delivered_at": None, "words": ""} if grew(under, of) else news
    return replace(under, deliveries={**under.deliveries, repo: replace(delivery, **known)})
