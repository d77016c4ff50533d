"""The engine against random histories: people, weather, workers, and a death of the coordinator every few writes.

COORDINATOR_HISTORIES sets how many (`make proof`). Faults are planted to show that the histories would find them.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import pytest
from sqlalchemy import update

from coordinator.adapters.store import rows, schema, sql
from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.domain.request import Event
from coordinator.domain.task import Task
from coordinator.domain.worker import Unknown
from coordinator.engine import effects
from coordinator.engine.effects import examining, staging, starting
from coordinator.planning.actions import Launch
from coordinator.planning.batch import gate
from coordinator.planning.berths import Berths
from coordinator.planning.limits.ladder import Ladder
from coordinator.planning.rules import supervise
from tests.support import histories
from tests.support.fake_hosts import FakeHosts
from tests.support.fakes import FakeExecutor, Script, Worker
from tests.support.figures import note
from tests.support.histories import Broken, History
from tests.support.memory_store import MemoryStore
from tests.support.shapes import ROUGH, Shape, shape_of
from tests.support.troubles import TROUBLES

HISTORIES = int(os.environ.get("COORDINATOR_HISTORIES", "20000"))
PARTS = 40
TO_FIND = 4000
"""So many histories at most may pass before a planted fault is found: a fifth of what CI runs."""


@pytest.mark.req("P50", "P52", "W12", "W23", "N7", "N9", "N2")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_or_done_twice_whatever_people_do_and_wherever_it_dies(part):
    deaths, ran, met, broken = 0, 0, Counter(), []
    for seed in range(part, HISTORIES, PARTS):
        history = History(seed)
        try:
            history.run()
        except Broken as error:
            broken.append(f"{error}\n  again, step by step: .venv/bin/python -m tests.simulate {seed}")
        deaths, ran, met = deaths + history.crashes, ran + 1, met + history.troubles.met
    note("histories", seeds=ran, deaths=deaths, troubles=met)
    assert not broken, "\n".join(broken[:3])
    assert deaths >= ran // 2


def test_every_trouble_is_met_among_few_histories():
    met: Counter[str] = Counter()
    for seed in range(TO_FIND):
        if shape_of(seed).rate == ROUGH and set(met) != TROUBLES:
            history = History(seed)
            history.run()
            met += history.troubles.met
    assert set(met) == TROUBLES


def test_a_history_is_the_same_each_time():
    def story(seed: int) -> list[str]:
        history = History(seed)
        history.run()
        return history.story

    on_disk = next(seed for seed in count() if shape_of(seed).on_disk)
    assert story(5) == story(5)
    assert story(on_disk) == story(on_disk)


def found(fault: str, fits: Callable[[Shape], bool] = lambda shape: not shape.on_disk, **shape: Any) -> str:
    """What the first broken history says of those that can have the fault; `shape` are changes that let more of them
    come to it."""
    for seed in range(TO_FIND):
        if fits(shape_of(seed)):
            try:
                History(seed, replace(shape_of(seed), **shape)).run()
            except Broken as broken:
                note("planted", fault=fault, seeds=seed + 1)
                return str(broken).partition("\n")[0]
    return "nothing"


def test_a_dropped_compare_and_swap_is_found(monkeypatch):
    def save(self: MemoryStore, task: Task, event: Event, *, was: int, attempt: Any = None, answer: Any = None) -> None:
        with self._writing(f"save {task.id}"):
            if attempt is not None:
                self._keep_attempt(attempt)
            self._tasks[task.id] = task
            self._events.append(event)
            if answer is not None:
                self._answer(*answer)

    monkeypatch.setattr(MemoryStore, "save", save)
    assert " became " in found("compare-and-swap dropped")


def test_a_compare_and_swap_that_the_real_store_drops_is_found(monkeypatch):
    def swap(connection: Any, task: Task, was: int) -> None:
        connection.execute(update(schema.tasks).where(schema.tasks.c.id == task.id).values(**rows.task_row(task)))

    monkeypatch.setattr(sql, "_swap", swap)
    assert " became " in found("compare-and-swap dropped, on disk", lambda shape: not (shape.hosted or shape.staged),
                               on_disk=True, steps=25, issues=(1, 2), respite=30)


def test_an_intent_written_after_its_effect_is_found(monkeypatch):
    def launch(action: Launch, world: Any) -> Any:
        return starting.launch(replace(action, attempt=replace(action.attempt, token=world.new_token())), world)

    monkeypatch.setitem(effects._MADE_BY, Launch, launch)
    words = found("intent after effect")
    assert "two live workers" in words or "nobody knows of Handle" in words


def test_a_token_that_is_started_again_is_found(monkeypatch):
    def submit(self: FakeExecutor, spec: Any) -> int:
        self.workers.append(Worker(spec.handle, self.scripts(spec), self.clock.now(), self.passed()))
        return 4000

    monkeypatch.setattr(FakeExecutor, "submit", submit)
    words = found("fence ignored: a token is started again")
    assert "two live workers" in words or "a token was started twice" in words


def test_a_parked_provider_that_is_tried_by_many_is_found(monkeypatch):
    limited = Script(ending=Ending.FAILED, reason="command_usage_limited", commits=0)
    monkeypatch.setattr(histories, "SCRIPTS", (limited, limited, Script()))   # or few histories would park one
    monkeypatch.setattr(Ladder, "take", lambda self, task, provider: None)
    assert " at once" in found("a parked provider is tried by many",
                               lambda shape: not (shape.on_disk or shape.hosted or shape.staged), issues=(1, 2, 4))


def test_a_provider_that_stands_in_unproven_is_found(monkeypatch):
    monkeypatch.setattr(Ladder, "_proven", lambda self, provider: True)
    assert "never answered" in found("an unproven provider stands in")


def test_a_gate_of_a_batch_that_nobody_heeds_is_found(monkeypatch):
    monkeypatch.setattr(gate, "shut", lambda snapshot: {})
    assert " began behind the gate" in found("the gate of a batch is not heeded")


def test_a_plan_that_is_not_handed_on_is_found(monkeypatch):
    monkeypatch.setattr(staging, "keep", lambda action, store: None)
    assert "without a plan" in found("a plan is not handed on")


# --- faults of what happens on other hosts -------------------------------------------------------------------

def test_a_second_worker_beside_one_that_was_given_up_in_the_same_place_is_found(monkeypatch):
    def parted(self: History) -> None:
        executor = self.outside.executor
        executor.away.update(*[(one.handle.host,) for one in executor.workers if one.alive and not executor.away][:1])

    monkeypatch.setattr(histories, "SCRIPTS", (Script(seconds=300),))   # it lives while its host is given up
    monkeypatch.setattr(History, "_acts", lambda self: [partial(parted, self)])
    monkeypatch.setattr(Berths, "_haunted", lambda self, task: None)
    assert "two live workers in one place" in found(
        "a second worker in the same place", lambda shape: shape.shared and not shape.on_disk, steps=25)


def test_a_worker_that_was_given_up_and_is_never_told_is_found(monkeypatch):
    monkeypatch.setattr(FakeHosts, "_recall", lambda self, name, now: frozenset())
    words = found("a worker given up is never told", lambda shape: shape.hosted)
    assert "still alive" in words or "does not come to rest" in words or "in one place" in words


def test_a_lease_that_is_not_waited_for_is_found(monkeypatch):
    monkeypatch.setattr(supervise, "lease_over", lambda s, attempt, view: bool(attempt.host))
    assert "before the end of its lease" in found("a lease is not waited for", lambda shape: shape.hosted)


def test_work_that_comes_home_from_one_who_was_given_up_is_found(monkeypatch):
    def take_in(world: Any, task: Task, attempt: Attempt, view: Any) -> str:
        handle = starting.handle_of(attempt)
        if isinstance(view, Unknown):
            world.executor.give_up(handle)
        if (inbound := world.executor.fetch(handle)) is not None:
            world.repo_of(task).unpack(task.id, task.branch, inbound, attempt.number)
        return ""

    monkeypatch.setattr(examining, "_take_in", take_in)
    assert "though it was given up" in found("work of one given up comes home", lambda shape: shape.hosted)
