"""A plan file as it was read: many tasks with their dependencies, and how far its repositories came."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

LONGEST_PLAN, LONGEST_TASK = 32, 20
"""Letters of a plan's and of a task's id that go into a task id, which may have 64."""


@dataclass(frozen=True)
class PlanTask:
    """One `### T1: name` of a plan file. `id` is as written there, `line` counts from 1; `location` are paths inside
    the repository `repo`; `beads` is what its commits must name as Feature-Key ("" = the id of the task it becomes).
    `status`, `log` and `files_edited` are what the file says, which the coordinator itself writes."""

    id: str
    name: str
    line: int = 0
    depends_on: tuple[str, ...] = ()
    repo: str = ""
    location: tuple[str, ...] = ()
    description: str = ""
    validation: str = ""
    status: str = ""
    log: str = ""
    files_edited: tuple[str, ...] = ()
    beads: str = ""


@dataclass(frozen=True)
class PlanFile:
    """`id` is the topic in the file's name (`auth` of auth-plan.md): branch, task ids and pull request are named by
    it. `tasks` stand in the file's order."""

    id: str
    name: str
    tasks: tuple[PlanTask, ...] = ()
    overview: str = ""

    def task(self, task_id: str) -> PlanTask | None:
        return next((task for task in self.tasks if task.id == task_id), None)


@dataclass(frozen=True)
class Delivery:
    """What became of a plan in one repository. `root` is the checkout, `base` the branch the pull request goes to;
    `pushed_sha` is what was pushed last, `pr_head_sha` the commit at which its pull request told what it carries.
    `words` say why it is not delivered."""

    name: str
    root: str
    branch: str
    base: str = ""
    pushed_sha: str = ""
    pr_number: int | None = None
    pr_url: str = ""
    pr_head_sha: str = ""
    delivered_at: datetime | None = None
    words: str = ""


@dataclass(frozen=True)
class Result:
    """What a finished task brought into its plan's branch. `sha` is the branch after the merge, `head` the commit that
    was looked through and merged; `validation` says how its validation went, `notes` what was odd about its commits."""

    sha: str
    files: tuple[str, ...] = ()
    commits: int = 0
    validation: str = ""
    notes: tuple[str, ...] = ()
    at: datetime | None = None
    head: str = ""


@dataclass(frozen=True)
class Undertaking:
    """A plan under way: the file as it was when it began (a task's own words are pinned), where the file lies, and a
    delivery for each of its repositories, by the name they have in the file. `results` are those of finished tasks, by
    their id in the file. `wave` is the last wave that may start, 0 = all; `strict`: a wave starts when the one before
    it is merged whole."""

    plan: PlanFile
    path: str
    started_at: datetime
    deliveries: Mapping[str, Delivery] = field(default_factory=dict)
    results: Mapping[str, Result] = field(default_factory=dict)
    wave: int = 0
    strict: bool = False

    @property
    def id(self) -> str:
        return self.plan.id

    def key(self, task: PlanTask) -> str:
        """The id of the task that this one of the file became."""
        return self._keys.get(task.id) or plan_task_id(self.id, task.id)

    def feature_key(self, task: PlanTask) -> str:
        """What the commits of a task must name as Feature-Key: its bead, else the id it is known by here."""
        return task.beads or self.key(task)

    def last_merge(self, repo: str) -> str:
        """What was merged last into the plan's branch of this repository; "" when nothing was, or when the branch was
        out already: who deletes it then means it."""
        if self.deliveries[repo].pushed_sha:
            return ""
        mine = [self.results[one.id] for one in self.plan.tasks if one.repo == repo and one.id in self.results]
        last = max(mine, key=lambda result: result.at or self.started_at, default=None)
        return last.sha if last is not None else ""

    def task_of(self, task_id: str) -> PlanTask | None:
        """The file's task that this task was made of."""
        return self._by_key.get(task_id)

    @cached_property
    def _keys(self) -> Mapping[str, str]:
        return {task.id: plan_task_id(self.id, task.id) for task in self.plan.tasks}

    @cached_property
    def _by_key(self) -> Mapping[str, PlanTask]:
        return {self.key(task): task for task in self.plan.tasks}


def plan_task_id(plan_id: str, task_id: str) -> str:
    """The id of the task that a plan's task becomes, such as `plan-auth-t2`. Names that cannot stand in it are cleaned
    and told apart by a hash."""
    return f"plan-{_part(plan_id, LONGEST_PLAN)}-{_part(task_id.lower(), LONGEST_TASK)}"


def _part(text: str, longest: int) -> str:
    clean = re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-")
    if clean == text and len(clean) <= longest and clean:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{clean[: longest - 9]}-{digest}".lstrip("-")
