"""How long every labelled open issue has stood in the one state it is in. A task remembers when it came to its state;
an issue that is no task yet does not, nor does a task whose clock was set back since: for these it is noted here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.task import ENDED, Task, TaskState, issue_task_id
from coordinator.planning.actions import Held
from coordinator.planning.snapshot import Snapshot, Stay

HELD = "HELD"
"""The state of a labelled open issue that is no task yet."""
SLACK = timedelta(minutes=1)
"""A moment that lies further in the future was told by a clock that has been set back since."""


def noted(s: Snapshot, held: Iterable[Held]) -> Mapping[str, Stay]:
    """What is to be remembered after this plan: the same mapping where nothing changed."""
    fresh = {name: _since(s, name, state) for name, state in _unremembered(s, held)}
    return s.stays if fresh == s.stays else fresh


def _unremembered(s: Snapshot, held: Iterable[Held]) -> Iterator[tuple[str, str]]:
    for one in held:
        yield issue_task_id(one.number), HELD
    for task in s.tasks.values():
        if task.state_since > s.now + SLACK:
            yield task.id, f"{task.state}:{task.state_since.isoformat()}"


def _since(s: Snapshot, name: str, state: str) -> Stay:
    before = s.stays.get(name)
    same = before is not None and before.state == state and before.since <= s.now + SLACK
    return before if before is not None and same else Stay(state, s.now)


@dataclass(frozen=True)
class Overdue:
    """What stands longer in `state` than its age limit; `stay` names this stay, for as long as it lasts."""

    name: str
    state: str
    since: datetime
    stay: str


def overdue(s: Snapshot) -> Iterator[Overdue]:
    for one in _standing(s):
        limit = s.policy.ages.get(one.state, timedelta(0))
        if limit and s.now - one.since > limit:
            yield one


def _standing(s: Snapshot) -> Iterator[Overdue]:
    for name, stay in s.stays.items():
        if stay.state == HELD and name not in s.tasks:
            yield Overdue(name, HELD, stay.since, stay.since.isoformat())
    for task in s.tasks.values():
        if _counts(s, task):
            yield Overdue(task.id, str(task.state), _since_state(s, task), task.state_since.isoformat())


def _counts(s: Snapshot, task: Task) -> bool:
    """What has ended may rest for ever once its issue is closed or without the label; what is blocked without an issue
    waits for a person all the same."""
    if task.state not in ENDED:
        return True
    if task.issue is None:
        return task.state is TaskState.BLOCKED
    issue = s.issue_of(task)
    return issue is not None and issue.open and s.policy.labels.auto in issue.labels


def _since_state(s: Snapshot, task: Task) -> datetime:
    stay = s.stays.get(task.id)
    ahead = task.state_since > s.now + SLACK
    return stay.since if ahead and stay is not None else min(task.state_since, s.now)
