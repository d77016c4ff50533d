"""One process that moves tasks: the daemon of `run`, or a command that settles its own request and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from coordinator.domain.task import HOLDS_SLOT, TaskState
from coordinator.engine.daemon import Daemon, EffectPool
from coordinator.engine.memory import Memory
from coordinator.engine.plans import goes_on, settled
from coordinator.engine.tick import Engine
from coordinator.engine.wakes import Wakes
from coordinator.engine.world import Options, World
from coordinator.planning.actions import POLL_LANE, Plan, work_lane
from coordinator.planning.claiming import Hold
from coordinator.planning.policy import Policy
from coordinator.ports import GitError, StoreError

LOOK_EVERY = 0.25


class KeepOld(Exception):
    """The configuration cannot be used as it stands now: the words say why."""


@dataclass
class Runner:
    """World, engine and wakes of this process; to be closed. `options` makes policy and options of a configuration;
    `hurried` says that a person would not wait for effects under way."""

    world: World
    engine: Engine
    memory: Memory
    wakes: Wakes
    pool: EffectPool | None
    options: Callable[[Any], tuple[Policy, Options]]
    hurried: bool = False

    def serve(self, jitter: timedelta, reread: Callable[[], Any], *, stop_workers: bool, once: bool) -> Plan:
        """Ticks until a signal ends it, or with `once` until nothing moves. `reread` gives the configuration as it
        stands now and raises KeepOld for a bad one: then the last good one stays."""
        daemon = Daemon(self.engine, self.wakes, reload=lambda: self._reload(reread), stop_workers=stop_workers)
        if once:
            return daemon.once()
        daemon.run(self.world.clock, jitter.total_seconds())
        self.hurried = daemon.hurried
        return self.engine.preview()[1]

    def serve_plan(self, plan_id: str) -> bool:
        """Ticks until nothing of the plan moves by itself, or a signal ends it; whether all that was asked is done."""
        daemon = Daemon(self.engine, self.wakes, reload=lambda: None, stop_workers=False)
        daemon.once(lambda made: goes_on(self.world, plan_id, made))
        return settled(self.world, plan_id)

    def _reload(self, reread: Callable[[], Any]) -> None:
        try:
            policy, self.world.options = self.options(reread())
        except KeepOld as error:
            self.world.say(f"the configuration is not taken over, the settings from before stay: {error}")
            return
        self.world.policy = replace(policy, login=self.world.policy.login)
        self.world.say("the configuration was read anew")

    def settle_request(
        self, request: int, task_id: str, patience: float, others: Collection[str] = ()
    ) -> str | None:
        """Ticks for one request alone, at most `patience` seconds: no work but that of its task, or of these `others`
        that it is about too, goes on, and nothing new is started. The answer, None without one."""
        self.memory.draining = "no coordinator runs here"
        store = self.world.store
        beside = (task.id for task in store.tasks() if task.id not in {task_id, *others})
        self.memory.busy |= {POLL_LANE, *map(work_lane, beside)}
        for _ in range(1 + int(patience / LOOK_EVERY)):
            self.engine.tick()
            task = store.task(task_id) if task_id else None
            if store.answered(request) is not None and (task is None or task.state is not TaskState.RUNNING):
                break
            self.wakes.wait(LOOK_EVERY)
        return store.answered(request)

    @property
    def unclaimed(self) -> Hold | None:
        """Why nothing could be done here, where the claim on the repository is not ours; None when it is."""
        claimant = self.world.claimant
        hold = claimant.hold(self.world.clock.now()) if claimant is not None else None
        return hold if hold is not None and not hold.open else None

    def close(self) -> None:
        """Waits for effects under way, gives the claim back, then lets go of everything; workers run on."""
        if self.pool is not None:
            self.pool.close()
        if not self.hurried:
            give_back(self.world)
        let_go(self.world)
        self.world.store.close()


def give_back(world: World) -> None:
    """A restart elsewhere may begin at once, unless workers run on here: then it waits as after a crash, and only a
    restart here does not."""
    if world.claimant is None or not world.claimant.fresh:
        return
    try:
        if any(task.state in HOLDS_SLOT for task in world.store.tasks()):
            until = world.claimant.hold(world.clock.now()).until
            world.say(f"workers run on: the claim on the repository stays ours until {until:%H:%M} UTC")
            return
        if world.claimant.give_back():
            world.say("the claim on the repository is given back")
    except (GitError, StoreError) as error:
        world.say(f"the claim on the repository could not be given back: {error.words}")


def let_go(world: World) -> None:
    """Closes what holds threads and connections; a part without `close` holds none."""
    for part in (world.executor, world.github):
        close = getattr(part, "close", None)
        if close is not None:
            close()
