"""The loop around the engine: wakes come in by one queue, APScheduler only puts poll wakes into it.

Signals set words into the same queue. Nothing here decides about tasks; the engine's tick does everything.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from coordinator.domain.task import TaskState
from coordinator.engine.tick import Engine
from coordinator.engine.wakes import Handlers, Wakes
from coordinator.planning.actions import Plan
from coordinator.ports import Clock, StoreDamaged, StoreError

EFFECTS_AT_ONCE = {"": 8, "claim": 1, "stop": 4}
"""Threads for each kind of effect (tick.APART): one that must not be late waits for no push, clone or pack."""
LONGEST_SLEEP = 30.0
"""Seconds after which the engine looks again even if nobody woke it."""
DRAIN_SLEEP = 0.5
STORE_REST = 5.0
"""Seconds until a memory that could not be used, or a tick that failed by a fault of ours, is tried again."""
BUGS_IN_A_ROW = 10
"""Ticks that fail by a fault of ours before the daemon ends: one odd moment must not, a broken state should."""


class EffectPool:
    """Slow effects run here, a few at once; those `apart` in threads of their own."""

    def __init__(self) -> None:
        self._threads = {apart: ThreadPoolExecutor(most, thread_name_prefix=f"effect-{apart}".rstrip("-"))
                         for apart, most in EFFECTS_AT_ONCE.items()}

    def submit(self, job: Callable[[], None], apart: str = "", /) -> None:
        self._threads[apart].submit(job)

    def close(self) -> None:
        """Waits for effects under way: each ends by its own time limits."""
        for threads in self._threads.values():
            threads.shutdown(wait=True, cancel_futures=True)


class Daemon:
    """`coordinator run`: ticks until it is told to end. SIGTERM and SIGINT end it, a second one hurries."""

    def __init__(self, engine: Engine, wakes: Wakes, *, reload: Callable[[], None], stop_workers: bool) -> None:
        self._engine = engine
        self._wakes = wakes
        self._reload = reload
        self._stop_workers = stop_workers
        self._running = True
        self._hurry = False
        self._trouble = ""
        self._bugs = 0

    @property
    def hurried(self) -> bool:
        """Whether a second signal came: effects under way are not waited for, as in a crash."""
        return self._hurry

    def run(self, clock: Clock, jitter: float) -> None:
        """Ticks until a signal ends it; workers run on unless they are to be stopped."""
        memory = self._engine.memory
        scheduler = BackgroundScheduler(timezone="UTC")
        polls = scheduler.add_job(self._wakes.put, self._every(jitter), args=("poll",), max_instances=1, coalesce=True)
        scheduler.start()
        with self._signals():
            try:
                seen = clock.now()
                while self._running:
                    words = self._wakes.wait(self._tick(clock))
                    set_back, seen = clock.now() < seen, clock.now()
                    if set_back:   # the scheduler would be silent until the clock has caught up
                        polls.reschedule(self._every(jitter))
                    memory.poll_due = memory.poll_due or "poll" in words or set_back
                    if "hup" in words:
                        self._reload()
                self._engine.world.say("told to end: no new work is started")
                memory.draining = "the coordinator is ending"
                if self._stop_workers:
                    memory.stop_workers = True
                    self._until(self._no_workers, clock)
                self._until(lambda: not self._engine.busy, clock)
            finally:
                scheduler.shutdown(wait=False)

    def _tick(self, clock: Clock) -> float:
        """One tick; how long to sleep after it. A full disk must not end the daemon: what it could not write down is
        found again by looking, as after a crash. Raises StoreDamaged: waiting mends no file."""
        try:
            made = self._engine.tick()
        except StoreDamaged:
            raise
        except StoreError as error:
            if str(error) != self._trouble:
                self._engine.world.say(f"nothing moves until the memory can be used again: {error}")
            self._trouble = str(error)
            return STORE_REST
        except Exception as error:
            self._bugs += 1
            if self._bugs >= BUGS_IN_A_ROW:
                raise
            self._engine.world.say(f"this is a bug of the coordinator, the tick is made again: {error!r}")
            self._engine.world.keep_bug(traceback.format_exc())
            return STORE_REST
        if self._trouble:
            self._engine.world.say("the memory is in use again")
        self._trouble, self._bugs = "", 0
        return _sleep(made, clock.now())

    def _every(self, jitter: float) -> IntervalTrigger:
        """The scheduler moves each firing by the jitter either way: the interval is widened by it, so that two
        polls never come closer than poll.interval."""
        seconds: Any = self._engine.world.policy.poll.total_seconds() + jitter
        return IntervalTrigger(seconds=seconds, jitter=jitter or None)

    def once(self, moving: Callable[[Plan], bool] | None = None) -> Plan:
        """Ticks until nothing is under way that will move by itself soon, then ends: `run --once`. `moving` tells so of
        the last plan in place of the usual. Raises StoreError: whoever asked for one run wants to hear of it."""
        with self._signals():
            while True:
                made = self._engine.tick()
                moves = self._moves_here() if moving is None else moving(made)
                if not self._running or not (self._engine.busy or moves):
                    return made
                self._wakes.wait(DRAIN_SLEEP)

    def _until(self, done: Callable[[], bool], clock: Clock) -> None:
        while not self._hurry:
            rest = self._tick(clock)
            if not self._trouble and done():
                return
            self._wakes.wait(min(DRAIN_SLEEP, rest))
        self._engine.world.say("hurrying: effects under way are left")

    def _moves_here(self) -> bool:
        """Without the claim only what runs here comes to an end here."""
        claimant = self._engine.world.claimant
        return self._moving() if claimant is None or claimant.fresh else not self._no_workers()

    def _moving(self) -> bool:
        """Whether a task is on its way and needs no person, no reviewer and no later poll."""
        moving = (TaskState.PREPARING, TaskState.RUNNING, TaskState.PUBLISHING, TaskState.BACKOFF)
        return any(task.state in moving for task in self._engine.world.store.tasks())

    def _no_workers(self) -> bool:
        return not any(
            task.state in (TaskState.PREPARING, TaskState.RUNNING) for task in self._engine.world.store.tasks()
        )

    def _signals(self) -> AbstractContextManager[None]:
        return Handlers({
            signal.SIGTERM: self._end,
            signal.SIGINT: self._end,
            signal.SIGHUP: lambda: self._wakes.put("hup"),
            signal.SIGUSR1: lambda: self._wakes.put("request"),
            signal.SIGCHLD: lambda: self._wakes.put("exit"),
        })

    def _end(self) -> None:
        """Runs inside a signal handler: it sets flags and says nothing, for a print may be under way."""
        self._hurry = not self._running
        self._running = False
        self._wakes.put("end")


def _sleep(made: Plan, now: datetime) -> float:
    if made.wake_at is None:
        return LONGEST_SLEEP
    return min(LONGEST_SLEEP, max(0.05, (made.wake_at - now).total_seconds()))
