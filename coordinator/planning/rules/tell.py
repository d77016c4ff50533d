"""What stands on the issue follows the task: compare what should be said with what was said.

While the requests left are kept for people, only what became of work is said: that it waits or runs can be said later.
Labels are compared with those seen on the issue: what we remember to have set may be wrong after a crash.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.domain.outward import Outward
from coordinator.domain.task import HOLDS_SLOT, NEEDS_PERSON, PENDING, Task
from coordinator.planning.actions import Tell, mute_lane, say_lane
from coordinator.planning.snapshot import Snapshot, Speech

LABELS_AGAIN = 2
"""How often labels that somebody changed are set as they were in one state of a task, until it was worked on again:
somebody who changes them each time, a bot or another coordinator, has them their way."""
LABELS_IN_ALL = 20
"""How often they are set without any work in between: who sends a task back to its cap each time has them their way
too, and people who close and open it again do not come that far."""


def rule(s: Snapshot) -> Iterator[Tell]:
    if not s.github_ok:
        return
    for task in s.tasks.values():
        speech = s.speech.get(task.id)
        if task.issue is None or speech is None or not s.free(say_lane(task.id)):
            continue
        if s.reserve is not None and task.state in PENDING | HOLDS_SLOT:
            continue
        tell = _difference(s, task, speech, s.outward.get(task.id, Outward(task.id)))
        if tell.living or tell.notices or tell.labels or tell.unretry:
            yield tell


def _difference(s: Snapshot, task: Task, speech: Speech, said: Outward) -> Tell:
    issue = s.issue_of(task)
    asked = issue is not None and s.policy.labels.retry in issue.labels and issue.open
    may, mute = task.id not in s.flipped, not s.free(mute_lane(task.id))
    return Tell(
        task,
        s.attempt(task.id),
        living=bool(speech.living) and speech.living != said.living_key and not mute,
        notices=frozenset() if mute else speech.notices - said.notices,
        labels=may and _labels_differ(s, task, speech, said),
        unretry=may and asked and task.state not in NEEDS_PERSON,
    )


def _labels_differ(s: Snapshot, task: Task, speech: Speech, said: Outward) -> bool:
    """By what was seen on the issue; of one that is closed, by what we are sure to have set: a full listing has the
    open ones alone, so what was seen of it may be from before."""
    issue = s.issue_of(task)
    if issue is not None and issue.open:
        return issue.labels & s.policy.labels.ours != speech.labels
    return said.labels != speech.labels and (bool(speech.labels) or task.id in s.outward)
