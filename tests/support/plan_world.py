"""A plan under way in the fakes' world: a coordinator of its own that may die at any write and comes up again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from coordinator.adapters.system.seam import watch
from coordinator.domain.planfile import Delivery, PlanFile, PlanTask, Undertaking
from coordinator.domain.task import Task, TaskState
from coordinator.engine.memory import Memory
from coordinator.engine.plans import begin, delivered, goes_on, plans_of
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.world import Site
from coordinator.planning.policy import Policy
from coordinator.wording.plan_md.reading import read_plan
from tests.factories import NOW
from tests.support.fakes import Outside, Script, an_outside

SHOP = "shop"
FILE = Path("/w/auth-plan.md")


def a_plan(depends: Mapping[str, Sequence[str]], **changes: object) -> Undertaking:
    """A plan with these tasks; each has a file of its own and no validation unless `changes` says so."""
    tasks = tuple(
        PlanTask(name, f"name of {name}", depends_on=tuple(others), repo=SHOP, location=(f"src/{name}.py",),
                 description=f"do {name}")
        for name, others in depends.items()
    )
    plain = Undertaking(PlanFile("auth", "Better auth", tasks), str(FILE), NOW,
                        {SHOP: Delivery(SHOP, "/w/shop", "feature-auth", "main")})
    return replace(plain, **changes)  # type: ignore[arg-type]


def written(under: Undertaking) -> str:
    """The plan's file as an operator wrote it."""
    lines = [f"# Plan: {under.plan.name}", "", "## Overview", "All of it.", "", "## Tasks", ""]
    for task in under.plan.tasks:
        lines += [
            f"### {task.id}: {task.name}", f"- **depends_on**: [{', '.join(task.depends_on)}]",
            f"- **repo**: {task.repo}", f"- **location**: {', '.join(task.location)}",
            f"- **description**: {task.description}", f"- **validation**: {task.validation or 'look at it'}",
            "- **status**: Not Started", "- **log**:", "- **files edited**:", "",
        ]
    return "\n".join(lines)


def changed(under: Undertaking, name: str, **changes: object) -> Undertaking:
    """The plan with one task different."""
    tasks = tuple(replace(one, **changes) if one.id == name else one for one in under.plan.tasks)  # type: ignore[arg-type]
    return replace(under, plan=replace(under.plan, tasks=tasks))


class Crash(BaseException):
    """The coordinator dies here."""


class Underway:
    """One plan, one coordinator after the other. `started` are the tasks in the order in which their workers were
    started, each with what was merged by then."""

    def __init__(self, under: Undertaking, *, slots: int = 3, deaths: Random | None = None,
                 scripts: Callable[[str, int], Script] = lambda task, attempt: Script(seconds=1)) -> None:
        self.under, self.slots = under, slots
        self.outside: Outside = an_outside()
        self.outside.files.texts[FILE] = written(under)
        self.started: list[tuple[str, frozenset[str]]] = []
        self.most = 0
        self.crashes = 0
        self._random, self._left = deaths, 0
        self._scripts = scripts
        self.outside.executor.scripts = self._script
        self.come_up(again=False)

    def _script(self, spec: object) -> Script:
        job, attempt = spec.handle.job, spec.attempt  # type: ignore[attr-defined]
        merged = frozenset(sha.rpartition("-c")[0] for sha in self.outside.repo.local.get("feature-auth", ()))
        self.started.append((job, merged))
        return self._scripts(job, attempt)

    def come_up(self, *, again: bool) -> None:
        policy = Policy(provider="command", max_workers=self.slots, sessions_per_day=0, intake=False, login="bot")
        site = Site(self.outside.repo, self.outside.github, "acme/shop")
        begun = False
        while not begun:   # whoever died of it is started again by a person
            world = self.outside.world(policy, site=lambda root: site)
            self.engine = Engine(world, AtOnce(), lambda why: None, Memory())
            begun = self.dying(lambda: begin(self.engine.world, self.under, again=again))

    def dying(self, deed: Callable[[], object]) -> bool:
        """False when the coordinator died of it."""
        lives = (1, 2, 3, 5, 8, 13, 21, 34)   # longer in time: many tasks at once need many writes before one is noted
        self._left = self._random.choice(lives) * (1 + self.crashes // 20) if self._random is not None else 0
        unwatch = watch(self._cross)
        try:
            deed()
            return True
        except Crash:
            self.crashes += 1
            return False
        finally:
            unwatch()

    def _cross(self, moment: str, kind: str, what: str) -> None:
        self._left -= 1
        if self._left == 0:
            raise Crash

    def tick(self) -> None:
        if not self.dying(self.engine.tick):
            self.come_up(again=False)
        self.most = max(self.most, sum(worker.alive for worker in self.outside.executor.workers))

    def run(self, ticks: int = 2000, look: Callable[[], None] = lambda: None) -> bool:
        """Until nothing moves by itself; whether it was delivered."""
        for _ in range(ticks):
            self.tick()
            look()
            made = self.engine.preview()[1]
            if not self.engine.busy and not goes_on(self.engine.world, self.under.id, made):
                self._random = None
                self.tick()   # the last one may have died before it wrote what people read
                return delivered(self.engine.world, self.under.id)
            self.outside.clock.pass_by(2)
        raise AssertionError("the plan does not come to rest")

    # --- what came of it ---

    def task(self, name: str) -> Task:
        found = self.outside.store.task(f"plan-auth-{name.lower()}")
        assert found is not None
        return found

    def states(self) -> dict[str, TaskState]:
        return {one.id: self.task(one.id).state for one in self.under.plan.tasks}

    @property
    def now(self) -> Undertaking:
        return plans_of(self.outside.store)["auth"]

    def file(self) -> PlanFile:
        read = read_plan(self.outside.files.texts[FILE], FILE.name)
        assert [one for one in read.findings if one.level == "error"] == []
        return read.plan
