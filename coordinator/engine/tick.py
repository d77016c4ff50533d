"""One turn: take facts, observe, plan, apply; again at once while something moved; then write what people read."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any, Protocol
from uuid import UUID

from coordinator.domain.attempt import Attempt
from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.engine import plans
from coordinator.engine.effects import perform
from coordinator.engine.facts import EffectFailed, Examined, Fact
from coordinator.engine.gates import keep_members, turn
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.engine.projections import Projections
from coordinator.engine.record import Recorder, changed
from coordinator.engine.speech import forget_labels
from coordinator.engine.staying import note_stays
from coordinator.engine.world import World
from coordinator.planning.actions import (
    Action,
    Adopt,
    Answer,
    Begin,
    Flag,
    KeepBatches,
    KeepClaim,
    Move,
    Plan,
    Poll,
    Settle,
    StopWorker,
    TakePlan,
    Tell,
    TurnBatch,
)
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Snapshot
from coordinator.ports import Stale, StoreError, Wake

MOST_TURNS = 100
"""Turns of one tick: a chain of moves is far shorter; more would be a loop of ours."""


APART: dict[type[Any], str] = {KeepClaim: "claim", StopWorker: "stop"}
"""Effects that wait for no other: a claim that is not renewed in time is lost, and a stop is a person's word."""


class Pool(Protocol):
    """Runs effects beside the engine's thread, or at once. `apart` names threads of their own, "" the common ones."""

    def submit(self, job: Callable[[], None], apart: str = "", /) -> None: ...


class AtOnce:
    """The pool of `run --once` and of tests: an effect is made where it is asked for."""

    def submit(self, job: Callable[[], None], _apart: str = "", /) -> None:
        job()


class Engine:
    """Owns snapshot and store; to be used from one thread. Effects run on the pool and come back as facts."""

    def __init__(self, world: World, pool: Pool, wake: Wake, memory: Memory | None = None) -> None:
        self.world = world
        self.memory = memory or Memory()
        self._pool = pool
        self._wake = wake
        self._facts: SimpleQueue[tuple[Action, Fact]] = SimpleQueue()
        self._recorder = Recorder(world, self.memory)
        self._projections = Projections(world, self.memory)
        self._apply_by: dict[type[Any], Callable[[Any], None]] = {
            Adopt: self._adopt,
            Move: self._move,
            Begin: self._begin,
            Settle: self._settle,
            Answer: self._answer,
            Flag: self._flag,
            TurnBatch: lambda action: turn(world, action),
            KeepBatches: lambda action: keep_members(world.store, action.batched),
            TakePlan: self._take_plan,
        }

    def tick(self) -> Plan:
        """Everything that can be done now. Returns the last plan: its waits say why the rest stands still."""
        for pid, code in self.world.executor.reap():
            self.world.say(f"wrapper {pid} ended with exit code {code}")
        self._projections.read_edits()
        snapshot, made = self._turn()
        for _ in range(MOST_TURNS):
            if not self._apply(made):
                break
            snapshot, made = self._turn()
        note_stays(self.world.store, snapshot, made)
        self._projections.write(snapshot, made)
        return made

    def _turn(self) -> tuple[Snapshot, Plan]:
        self._take_facts()
        snapshot = observe(self.world, self.memory)
        return snapshot, plan(snapshot)

    def preview(self) -> tuple[Snapshot, Plan]:
        """What the next tick would do; changes nothing."""
        snapshot = observe(self.world, self.memory)
        return snapshot, plan(snapshot)

    @property
    def busy(self) -> bool:
        """Whether an effect is under way or its fact not taken yet."""
        return bool(self.memory.busy) or not self._facts.empty()

    def _take_facts(self) -> None:
        while True:
            try:
                action, fact = self._facts.get_nowait()
            except Empty:
                return
            self.memory.busy.discard(action.lane)
            self._record(action, fact)

    def _record(self, action: Action, fact: Fact) -> None:
        """A fault of ours in writing one fact down must not end the daemon: it counts as one of the effect."""
        try:
            self._recorder.record(fact)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - saved and shown, and given to a person when it comes again
            fact = EffectFailed(action, f"{type(error).__name__}: {error}", bug=traceback.format_exc())
            self._recorder.record(fact)
        leaked = isinstance(fact, Examined) and fact.survivors   # swept again after its rest
        if not isinstance(fact, EffectFailed) and not leaked:
            self.memory.recovered(action.lane)

    def _apply(self, made: Plan) -> bool:
        """Whether anything moved, so that a further turn may see more."""
        moved = False
        for action in made.actions:
            try:
                moved = self._one(action) or moved
            except Stale as error:
                self.world.say(f"planned anew: {error}")
                moved = True
        return moved

    def _one(self, action: Action) -> bool:
        apply = self._apply_by.get(type(action))
        if apply is not None:
            apply(action)
            return True
        if isinstance(action, StopWorker):
            action = self._intend_stop(action)
        elif isinstance(action, Tell) and action.labels:
            forget_labels(self.world.store, action.task.id)
        elif isinstance(action, Poll):
            self.memory.poll_due = False
        self.memory.busy.add(action.lane)
        self._pool.submit(lambda: self._perform(action), APART.get(type(action), ""))
        return not self._facts.empty()

    def _perform(self, action: Action) -> None:
        self._facts.put((action, perform(action, self.world)))
        self._wake("fact")

    # --- changes of memory ---

    def _adopt(self, action: Adopt) -> None:
        task, now = action.task, self.world.clock.now()
        if self.world.store.add(task, Event(task.id, now, "adopted", f"by {task.pin.actor}")):
            self.world.say(f"{task.id}: adopted: {task.title[:80]}")
        if action.request is not None:
            self.world.store.answer(action.request.id, f"{task.id} is queued")

    def _move(self, action: Move) -> None:
        now = self.world.clock.now()
        if action.to is None:
            task = changed(action.task, now, **action.changes)
        else:
            moved = action.task.move(action.to, now, reason=action.reason, detail=action.detail)
            ends = action.to in (TaskState.CANCELLED, TaskState.BLOCKED, TaskState.FAILED)
            fields: dict[str, Any] = {"completed_at": now} if ends else {}
            task = replace(moved, **{**fields, **action.changes})
        answer = (action.request.id, action.words) if action.request is not None else None
        event = Event(task.id, now, f"to {task.state}", action.reason or action.detail)
        self.world.store.save(task, event, was=action.task.version, answer=answer)
        self.world.say(f"{task.id}: {action.task.state} -> {task.state} {action.reason} {action.detail}".rstrip())

    def _begin(self, action: Begin) -> None:
        """The intent to run a worker: from here on its token can be looked for."""
        now = self.world.clock.now()
        token = self.world.new_token()
        number = action.task.attempts + 1
        task = replace(action.task.move(TaskState.PREPARING, now), attempts=number)
        attempt = Attempt(
            task_id=task.id,
            number=number,
            token=token,
            fence=number,
            worker_id=f"w-{token[:6]}",
            provider=action.provider,
            run_id=now.strftime("%Y%m%d%H%M%S"),
            created_at=now,
            session_id=str(UUID(hex=token)),
            switch_from=action.switch_from,
            fallback_reason=action.fallback_reason,
            stage=action.stage,
            host=action.host,
        )
        instead = f" instead of {action.switch_from} ({action.fallback_reason})" if action.switch_from else ""
        where = f" on {attempt.host}" if attempt.host else ""
        event = Event(task.id, now, "begun", f"{attempt.worker_id} {attempt.provider}{where}{instead}", number)
        self.world.store.save(task, event, was=action.task.version, attempt=attempt)
        if instead:
            self.world.say(f"{task.id}: {attempt.provider}{instead}")

    def _settle(self, action: Settle) -> None:
        self._recorder.settle(action, self.world.clock.now())

    def _answer(self, action: Answer) -> None:
        self.world.store.answer(action.request.id, action.words)

    def _take_plan(self, action: TakePlan) -> None:
        try:
            again = action.request.args.get("again") == "1"
            under = plans.begin(self.world, plans.decode(action.plan), again=again)
            words = f"plan {under.id}: {len(under.plan.tasks)} tasks are taken up"
        except (plans.OtherPlan, ValueError) as error:
            words = f"{plans.NOT_TAKEN}: {error}"
        self.world.store.answer(action.request.id, words)
        self.world.say(words)

    def _flag(self, action: Flag) -> None:
        now = self.world.clock.now()
        if action.name == "rebuild":
            self._projections.forget()
        elif action.name == "errors_reset":
            self.world.store.keep_document("errors_reset_at", now.isoformat())
        else:
            self.world.store.keep_document(action.name, action.value or None)
            if not action.value:
                self._recorder.try_providers(now)
        self.world.store.log(Event("", now, action.name, action.value))
        self.world.store.answer(action.request.id, action.words)
        self.world.say(action.words)

    def _intend_stop(self, action: StopWorker) -> StopWorker:
        """Who wants the worker stopped is written down before it is told: the outcome must be read rightly."""
        now = self.world.clock.now()
        attempt = replace(
            action.attempt, stop_asked_at=now, stop_reason=action.reason, stop_words=action.words,
            stop_by=action.by,
        )
        self.world.store.record(attempt, Event(action.task.id, now, "stop_asked", action.words, attempt.number))
        if action.request is not None:
            self.world.store.answer(action.request.id, f"{action.task.id} is being stopped")
        self.world.say(f"{action.task.id}: stopping {attempt.worker_id}: {action.words or action.reason}")
        return replace(action, attempt=attempt)
