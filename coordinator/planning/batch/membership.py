"""Which batch a task belongs to, and what its batch sees of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.domain.planfile import Undertaking
from coordinator.domain.reasons import REASONS
from coordinator.domain.task import COMPLETED, NEEDS_PERSON, PENDING, Task, TaskState, issue_task_id
from coordinator.planning.batch.members import Member, Stand
from coordinator.planning.batch.signature import last_error
from coordinator.planning.plans.waves import waves_of
from coordinator.planning.snapshot import Snapshot

PLAN, LABEL = "plan:", "label:"
USED_UP = frozenset({"max_retries", "no_auto_restart"})
"""Reasons of a task that say only that its attempts were used up: the last of these says why."""
_UNTOLD = re.compile(r"(?:exit|signal) -?\w+, no result event")
"""An end of which the agent itself said nothing; its log may tell."""
WELL = (None, Ending.SUCCEEDED)
LONGEST_SAID = 160
"""Letters of a detail that was one line; a longer one is several, run together."""


def batch_of(s: Snapshot, task: Task) -> str:
    """The key of a task's batch: `plan:auth`, `label:batch:spring`, "" for none. Of an issue that GitHub does not list
    any more what was known of it last."""
    if task.plan:
        return f"{PLAN}{task.plan}"
    issue = s.issue_of(task)
    if issue is None:
        return s.batched.get(task.id, "")
    return next((f"{LABEL}{name}" for name in sorted(issue.labels) if _names_batch(s, name)), "")


def _names_batch(s: Snapshot, label: str) -> bool:
    prefix = s.policy.batch_label
    return label.startswith(prefix) and len(label) > len(prefix)


def batches_of(s: Snapshot) -> Mapping[str, tuple[Task, ...]]:
    """The tasks of each batch, oldest first."""
    if "batches" not in s.memo:
        found: dict[str, list[Task]] = {}
        for task in s.tasks.values():
            if key := batch_of(s, task):
                found.setdefault(key, []).append(task)
        s.memo["batches"] = {key: tuple(sorted(tasks, key=by_age)) for key, tasks in sorted(found.items())}
    made: Mapping[str, tuple[Task, ...]] = s.memo["batches"]
    return made


def by_age(task: Task) -> tuple[datetime, int, str]:
    return (task.created_at, task.issue or 0, task.id)


def title_of(key: str) -> str:
    """A batch as people name it: `batch:spring`, `plan:auth`."""
    return key.removeprefix(LABEL)


def resolve(s: Snapshot, name: str) -> str:
    """The key of the batch that a person means by `batch:spring`, `spring`, `plan:auth` or `auth`; "" for none."""
    known = {*batches_of(s), *s.batches}
    spellings = (name, f"{LABEL}{name}", f"{LABEL}{s.policy.batch_label}{name}", f"{PLAN}{name}")
    return next((one for one in spellings if one in known), "")


def needs(s: Snapshot, tasks: tuple[Task, ...]) -> dict[str, frozenset[str]]:
    """What each task of a batch waits for, of that batch alone."""
    ids = {task.id for task in tasks}
    files = {name: _of_file(s.plans[name]) for name in {task.plan for task in tasks} if name in s.plans}
    return {task.id: frozenset(_needs(s, task, files) & ids) for task in tasks}


def _of_file(under: Undertaking) -> dict[str, set[str]]:
    ids = {one.id: under.key(one) for one in under.plan.tasks}
    return {ids[one.id]: {ids[name] for name in one.depends_on if name in ids} for one in under.plan.tasks}


def _needs(s: Snapshot, task: Task, files: Mapping[str, dict[str, set[str]]]) -> set[str]:
    if task.plan in files:
        return files[task.plan].get(task.id, set())
    vet = s.vets.get(task.issue) if task.issue is not None else None
    return {issue_task_id(number) for number in (*task.depends_on, *(vet.blocked_by if vet is not None else ()))}


def members_of(s: Snapshot, key: str, *, since: datetime | None = None) -> tuple[Member, ...]:
    """The members of a batch. With `since`, what ended of an earlier beginning is left out, and a task that waits to
    be tried again is a fresh one."""
    tasks = batches_of(s).get(key, ())
    waves = waves_of(needs(s, tasks))
    members = (_recent(s, task, member(s, task, waves), since) for task in tasks)
    return tuple(one for one in members if one is not None)


def _recent(s: Snapshot, task: Task, one: Member, since: datetime | None) -> Member | None:
    if since is None or begun(s, task) >= since or one.stand is Stand.RUNNING:
        return one
    return replace(one, reason="", words="", excluded=False) if one.stand is Stand.WAITING else None


def begun(s: Snapshot, task: Task) -> datetime:
    """When its last attempt was begun; of one that had none, when it came to where it stands."""
    attempt = s.attempt(task.id)
    return attempt.created_at if attempt is not None else task.state_since


def member(s: Snapshot, task: Task, waves: Mapping[str, int]) -> Member:
    attempt = s.attempt(task.id)
    stand = _stand(task)
    failed = stand is Stand.BAD or (task.state in PENDING and attempt is not None and attempt.ending not in WELL)
    code, words = _cause(task, attempt) if failed else ("", "")
    return Member(
        id=task.id, stand=stand, state=str(task.state), wave=waves.get(task.id, 1), reason=code, words=words,
        excluded=code in REASONS and not REASONS[code].counts, since=task.state_since,
        started_at=attempt.launched_at if attempt is not None else None,
        ended_at=attempt.ended_at if attempt is not None else None,
        duration_sec=attempt.duration_sec if attempt is not None else 0.0, attempts=task.attempts,
        provider=attempt.provider if attempt is not None else task.provider, title=task.title,
        artefact="ok" if stand is Stand.GOOD else "",
    )


def _stand(task: Task) -> Stand:
    if task.state in COMPLETED:
        return Stand.GOOD
    if task.state is TaskState.CANCELLED:
        return Stand.STOPPED
    if task.state in NEEDS_PERSON:
        return Stand.BAD
    return Stand.WAITING if task.state in PENDING else Stand.RUNNING


def _cause(task: Task, attempt: Attempt | None) -> tuple[str, str]:
    """The reason code a task failed for, and the line that tells most of it."""
    if attempt is None or not attempt.reason or task.reason not in {attempt.reason, *USED_UP}:
        return task.reason, task.detail
    if attempt.detail and len(attempt.detail) <= LONGEST_SAID and not _UNTOLD.match(attempt.detail):
        return attempt.reason, attempt.detail
    return attempt.reason, last_error(attempt.log_tail) or attempt.detail
