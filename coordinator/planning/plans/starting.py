"""Whether a task of a plan may start: what it depends on is merged, its wave is open, nobody else is in its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from coordinator.domain.planfile import PlanTask, Undertaking
from coordinator.domain.task import ACTIVE, NEEDS_PERSON, Task, TaskState
from coordinator.planning.actions import Wait
from coordinator.planning.plans.overlap import overlaps, predict
from coordinator.planning.plans.waves import waves_of
from coordinator.planning.snapshot import Snapshot


class Waves:
    """The waves of each plan, found once while one plan of actions is made."""

    def __init__(self, s: Snapshot) -> None:
        self._s = s
        self._waves: dict[str, Mapping[str, int]] = {}
        self._at_work: dict[str, tuple[str, ...]] = {}

    def of(self, under: Undertaking) -> Mapping[str, int]:
        """The wave of each of the file's tasks, from 1."""
        if under.id not in self._waves:
            self._waves[under.id] = waves_of({one.id: one.depends_on for one in under.plan.tasks})
        return self._waves[under.id]

    def hindrance(self, task: Task, starting: Mapping[str, Task]) -> Wait | None:
        """What keeps a queued task of a plan from starting; `starting` are those that this plan of actions starts."""
        if not task.plan:
            return None
        under = self._s.plans.get(task.plan)
        one = under.task_of(task.id) if under is not None else None
        if under is None or one is None:
            return Wait(task.id, "no_plan", f"it is no longer in the plan {task.plan}", f"coordinator stop {task.id}")
        return self._unmet(under, one, task) or self._early(under, one, task) or self._in_the_way(
            under, one, task, starting)

    def _unmet(self, under: Undertaking, one: PlanTask, task: Task) -> Wait | None:
        states = {name: self._state(under, name) for name in one.depends_on}
        unmet = [name for name, state in states.items() if state is not TaskState.DONE]
        if not unmet:
            return None
        bad = [name for name in unmet if states[name] in NEEDS_PERSON]
        words = f"waits for {', '.join(unmet)} to be merged into {_branch(under, one)}"
        if bad:
            named = under.plan.task(bad[0])
            key = under.key(named) if named is not None else bad[0]
            return Wait(task.id, "depends", f"{words}; {bad[0]} is {states[bad[0]]}", f"coordinator retry {key}")
        return Wait(task.id, "depends", words, f"{unmet[0]} is merged")

    def _state(self, under: Undertaking, name: str) -> TaskState | None:
        named = under.plan.task(name)
        task = self._s.tasks.get(under.key(named)) if named is not None else None
        return task.state if task is not None else None

    def _early(self, under: Undertaking, one: PlanTask, task: Task) -> Wait | None:
        waves = self.of(under)
        wave = waves[one.id]
        if under.wave and wave > under.wave:
            return Wait(task.id, "later_wave", f"only waves up to {under.wave} are run, this is wave {wave}",
                        f"coordinator plan resume {under.path}")
        if under.strict:
            open_ = [other.id for other in under.plan.tasks
                     if waves[other.id] < wave and self._state(under, other.id) is not TaskState.DONE]
            if open_:
                return Wait(task.id, "strict_waves", f"wave {wave} starts when {', '.join(open_[:5])} are merged",
                            f"{open_[0]} is merged")
        return None

    def _in_the_way(
        self, under: Undertaking, one: PlanTask, task: Task, starting: Mapping[str, Task]
    ) -> Wait | None:
        mine = _expected(one)
        for other, files in self._busy_files(under, one, task, starting):
            if shared := overlaps(mine, files):
                words = f"{other} works on {', '.join(sorted(shared)[:3])} too: one after the other"
                return Wait(task.id, "overlap", words, f"{other} is merged")
        return None

    def _busy_files(
        self, under: Undertaking, one: PlanTask, task: Task, starting: Mapping[str, Task]
    ) -> Iterator[tuple[str, frozenset[str]]]:
        """Of each task at work in the same repository: the files it is expected to change, and those it changed."""
        for key in (*self._active(under.id), *starting):
            other = under.task_of(key)
            if other is not None and key != task.id and other.repo == one.repo:
                yield other.id, _expected(other) | self._s.touched.get(key, frozenset())

    def _active(self, plan_id: str) -> tuple[str, ...]:
        if plan_id not in self._at_work:
            tasks = self._s.tasks.values()
            self._at_work[plan_id] = tuple(one.id for one in tasks if one.plan == plan_id and one.state in ACTIVE)
        return self._at_work[plan_id]


@lru_cache(maxsize=4096)
def _expected(one: PlanTask) -> frozenset[str]:
    """By its locations, else by its words, else by what an earlier run of the plan had it change."""
    return predict(one.description, one.location, one.files_edited)


def _branch(under: Undertaking, one: PlanTask) -> str:
    delivery = under.deliveries.get(one.repo)
    return delivery.branch if delivery is not None else "the plan's branch"
