"""Plans under way: kept in the store whole, taken up from a file as it stands now, written down as they go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from coordinator.domain.issue import fingerprint
from coordinator.domain.planfile import Delivery, PlanTask, Undertaking
from coordinator.domain.request import Event, RequestKind
from coordinator.domain.task import ACTIVE, ENDED, NEEDS_PERSON, Pin, Task, TaskState
from coordinator.engine.facts import Delivered, NotDelivered
from coordinator.engine.world import World
from coordinator.planning.actions import Plan
from coordinator.planning.plans import delivering
from coordinator.planning.plans.waves import waves_of
from coordinator.planning.policy import Policy
from coordinator.planning.waits import OF_ITSELF
from coordinator.ports import Store

DOCUMENT = "plans"
TEMPLATE = "plan-task"
GONE = "it is no longer in the plan file"
NOT_TAKEN = "the plan is not taken up"
"""How the answer to a request begins that gave a plan and was refused."""


class OtherPlan(Exception):
    """A plan of this id is under way from another file; the words name it."""


def plans_of(store: Store) -> Mapping[str, Undertaking]:
    """The plans that were ever begun here, by id."""
    return _decoded(store.document(DOCUMENT) or "{}")


@lru_cache(maxsize=2)
def _decoded(text: str) -> Mapping[str, Undertaking]:
    return msgspec.json.decode(text, type=dict[str, Undertaking])


def keep(store: Store, under: Undertaking) -> None:
    """Writes one plan down, beside the others."""
    plans = {**plans_of(store), under.id: under}
    store.keep_document(DOCUMENT, msgspec.json.encode(plans).decode())


def note_delivery(store: Store, fact: Delivered | NotDelivered, **news: Any) -> None:
    """Writes down what became of a delivery; of a plan that grew since it was decided on, that it is not over."""
    keep(store, delivering.noted(plans_of(store)[fact.plan], fact.repo, fact.of, news))


def decode(text: str) -> Undertaking:
    """A plan out of a request. Raises ValueError for what is none."""
    return msgspec.json.decode(text, type=Undertaking)


def encode(under: Undertaking) -> str:
    return msgspec.json.encode(under).decode()


def take(world: World, new: Undertaking) -> Undertaking:
    """Takes a plan up, or goes on with it as its file stands now: what began keeps the words it began with, what did
    not takes the new ones, what is no longer in the file is cancelled. Safe to repeat. Raises OtherPlan."""
    store, now = world.store, world.clock.now()
    old = plans_of(store).get(new.id)
    if old is not None and old.path != new.path:
        raise OtherPlan(f"a plan {new.id} is under way from {old.path}: give one of the two files another name")
    _refuse_taken(store, new)
    tasks = {task.id: task for task in store.tasks() if task.plan == new.id}
    under = new if old is None else _joined(old, new, tasks)
    keep(store, under)
    for place, one in enumerate(under.plan.tasks):
        _take_task(world, under, one, tasks.get(under.key(one)), now + timedelta(microseconds=place))
    for task in tasks.values():
        if under.task_of(task.id) is None and task.state in (TaskState.QUEUED, TaskState.BACKOFF):
            moved = task.move(TaskState.CANCELLED, now, reason="manual_stop", detail=GONE)
            store.save(replace(moved, completed_at=now), Event(task.id, now, "to CANCELLED", "not in the plan file"),
                       was=task.version)
    return under


def _refuse_taken(store: Store, new: Undertaking) -> None:
    """T1 of the plan a-b and b-T1 of the plan a would be one task, on one branch."""
    for one in new.plan.tasks:
        other = store.task(new.key(one))
        if other is not None and other.plan != new.id:
            raise OtherPlan(f"{other.id}, which {one.id} would be, is a task of the plan {other.plan} already: give "
                            f"{one.id} another id, or the file another name")


def begin(world: World, new: Undertaking, *, again: bool) -> Undertaking:
    """Takes a plan up; with `again` what a person must look at is tried again. Raises OtherPlan."""
    under, now = take(world, new), world.clock.now()
    asked = {request.task_id for request in world.store.requests() if request.kind is RequestKind.RETRY}
    for task in world.store.tasks():
        if again and task.plan == under.id and task.state in NEEDS_PERSON and task.id not in asked:
            world.store.ask(RequestKind.RETRY, task.id, {}, "cli", now)
    return under


def delivered(world: World, plan_id: str) -> bool:
    """Whether every repository of the plan has its branch out."""
    under = plans_of(world.store).get(plan_id)
    return under is not None and all(one.delivered_at is not None for one in under.deliveries.values())


def settled(world: World, plan_id: str) -> bool:
    """Whether all that was asked for is done: the plan is delivered, or the waves that may start are merged."""
    under = plans_of(world.store).get(plan_id)
    if under is None or not under.wave:
        return delivered(world, plan_id)
    waves = waves_of({one.id: one.depends_on for one in under.plan.tasks})
    asked = [world.store.task(under.key(one)) for one in under.plan.tasks if waves[one.id] <= under.wave]
    return all(task is not None and task.state is TaskState.DONE for task in asked)


def goes_on(world: World, plan_id: str, made: Plan) -> bool:
    """Whether something of the plan will move without a person: time, a worker's end, a delivery to come."""
    under = plans_of(world.store).get(plan_id)
    if under is None:
        return False
    tasks = [task for task in world.store.tasks() if task.plan == plan_id and under.task_of(task.id) is not None]
    if all(task.state is TaskState.DONE for task in tasks):
        return any(delivering.awaited(one) for one in under.deliveries.values())
    waits = (made.waits[task.id] for task in tasks if task.id in made.waits)
    return any(wait.until is not None or (wait.code in OF_ITSELF and wait.code != "leaked") for wait in waits)


def _joined(old: Undertaking, new: Undertaking, tasks: Mapping[str, Task]) -> Undertaking:
    """The plan as it goes on. A task that began is pinned; one that is gone from the file stays if it began, unless it
    waits for a person, who has said by this what is to become of it."""
    begun = {one.id: one for one in old.plan.tasks if (task := tasks.get(old.key(one))) and task.attempts}
    kept = [begun.get(one.id, one) for one in new.plan.tasks]
    known = {one.id for one in kept}
    kept += [one for one in begun.values() if one.id not in known and tasks[old.key(one)].state not in NEEDS_PERSON]
    used = {one.repo for one in kept}   # one that no task changes any more has nothing to be delivered
    whole = all((task := tasks.get(old.key(one))) and task.state in ENDED for one in kept)
    deliveries = {
        name: _delivery(old.deliveries.get(name), delivery, whole=whole) for name, delivery in new.deliveries.items()
    }
    return replace(
        new, plan=replace(new.plan, tasks=tuple(kept)), started_at=old.started_at, results=old.results,
        deliveries={name: one for name, one in {**old.deliveries, **deliveries}.items() if name in used},
    )


def _delivery(old: Delivery | None, new: Delivery, *, whole: bool) -> Delivery:
    """What was refused is tried again; a plan that grew is delivered again."""
    if old is None:
        return new
    return replace(old, root=new.root, words="", delivered_at=old.delivered_at if whole else None)


def _take_task(world: World, under: Undertaking, one: PlanTask, known: Task | None, at: datetime) -> None:
    fresh = task_of(under, one, world.policy, at)
    if known is not None and known.state is TaskState.CANCELLED and known.detail == GONE:
        back = replace(known.move(TaskState.QUEUED, at, detail="it is in the plan file again"), pin=fresh.pin,
                       repo=fresh.repo, completed_at=None)
        world.store.save(back, Event(known.id, at, "to QUEUED", back.detail), was=known.version)
    elif known is None:
        world.store.add(fresh, Event(fresh.id, at, "adopted", f"task {one.id} of plan {under.id}"))
    elif not known.attempts and known.state not in ACTIVE and known.pin.sha256 != fresh.pin.sha256:
        changed = replace(known, pin=fresh.pin, repo=fresh.repo, version=known.version + 1, updated_at=at)
        world.store.save(changed, Event(known.id, at, "changed", "the plan file has other words now"),
                         was=known.version)


def task_of(under: Undertaking, one: PlanTask, policy: Policy, at: datetime) -> Task:
    """The task that a plan's task becomes."""
    task_id, title = under.key(one), f"{one.id}: {one.name}"
    return Task(
        id=task_id,
        pin=Pin(title, one.description, fingerprint(title, repr(one)), 0, "plan"),
        branch=f"rpi/{task_id}",
        created_at=at,
        updated_at=at,
        state_since=at,
        provider=policy.provider,
        template=TEMPLATE,
        plan=under.id,
        repo=under.deliveries[one.repo].root,
    )
