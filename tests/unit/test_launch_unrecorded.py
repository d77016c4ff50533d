"""A launch that was never recorded and cannot be made now: where nobody knows whether it runs nothing is concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.domain.worker import Exited, Missing, Running, Unknown, Waiting, WorkerView
from coordinator.engine.effects import perform
from coordinator.engine.facts import EffectFailed, Launched, NotStarted
from coordinator.planning.actions import Launch
from coordinator.planning.plan import plan
from coordinator.ports import GitUnreachable, Handle, LaunchFailed, Quarters
from coordinator.wording.prompt import Template, TemplateError
from tests.factories import NOW, a_running, a_snapshot, a_task, an_attempt
from tests.support.fakes import FakeExecutor, FakeRepository, Outside, an_outside


def broken(name: str) -> Template:
    raise TemplateError(f"{name} is no template any more")


def beside_another(view: WorkerView) -> tuple[Outside, object, list[frozenset[str]]]:
    """The fact of a launch whose template is broken, beside a worker of another task; and who was looked for."""
    outside, asked = an_outside(), list[frozenset[str]]()
    task, attempt = a_task(1, TaskState.PREPARING, attempts=1), an_attempt(token="t-1", host="slurm")
    other, running = a_running(2)
    for one, its in ((task, attempt), (other, replace(running, token="t-2", host="epyc12"))):
        outside.store.add(replace(one, state=TaskState.QUEUED, attempts=0), Event(one.id, NOW, "adopted"))
        outside.store.save(replace(one, version=1), Event(one.id, NOW, "x"), was=0, attempt=its)

    class Asked(FakeExecutor):
        def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
            asked.append(frozenset(handle.job for handle in handles))
            return dict.fromkeys(handles, view)

    executor = Asked(outside.clock, outside.repo, outside.github)
    world = replace(outside.world(), executor=executor, template=broken)
    return outside, perform(Launch(task, attempt), world), asked


@pytest.mark.parametrize(("view", "fact"), [
    (Running(7, 0.0), Launched), (Exited(0, None, "process_exit"), Launched), (Waiting("Priority"), Launched),
    (Missing(started=False), NotStarted), (Unknown("no answer", NOW), EffectFailed),
])
def test_only_a_run_that_surely_is_not_there_was_not_started(view: WorkerView, fact: type) -> None:
    assert isinstance(beside_another(view)[1], fact)


def test_who_asks_for_one_worker_asks_for_all_or_the_others_would_be_forgotten() -> None:
    assert beside_another(Waiting("Priority"))[2] == [frozenset({"gh-1", "gh-2"})]


@pytest.mark.parametrize(("view", "met"), [
    (Running(7, 0.0), True), (Waiting("Priority"), True), (Exited(0, None, "process_exit"), True),
    (Missing(started=False), False),
])
def test_the_launch_of_a_worker_that_was_seen_says_so(view: WorkerView, met: bool) -> None:
    task, attempt = a_task(1, TaskState.PREPARING, attempts=1), an_attempt(prepared_at=NOW)
    s = a_snapshot(task, attempts={"gh-1": (attempt,)}, views={"gh-1": view})
    assert [one.met for one in plan(s).actions if isinstance(one, Launch)] == [met]


@pytest.mark.parametrize(("met", "view", "fact"), [
    (True, Running(7, 0.0), Launched), (True, Unknown("no answer", NOW), EffectFailed),
    (False, Missing(started=False), NotStarted), (False, Unknown("no answer", NOW), NotStarted),
])
def test_a_worker_that_was_seen_is_no_failed_start_though_nothing_can_be_started_now(
    met: bool, view: WorkerView, fact: type
) -> None:
    outside = an_outside()
    task, attempt = a_task(1, TaskState.PREPARING, attempts=1), an_attempt(token="t-1", host="epyc12")

    class Broken(FakeExecutor):
        def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
            raise LaunchFailed("host_lost", "epyc12: no answer")

        def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
            return dict.fromkeys(handles, view)

    world = replace(outside.world(), executor=Broken(outside.clock, outside.repo, outside.github))
    assert isinstance(perform(Launch(task, attempt, met=met), world), fact)


@pytest.mark.parametrize(("view", "fact"), [
    (Running(7, 0.0), Launched), (Exited(0, None, "process_exit"), Launched), (Missing(started=False), EffectFailed),
])
def test_a_worker_is_met_again_while_the_remote_cannot_be_asked_for_its_base(view: WorkerView, fact: type) -> None:
    outside = an_outside()
    task, attempt = a_task(1, TaskState.PREPARING, attempts=1), an_attempt(token="t-1")

    class Asked(FakeExecutor):
        def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
            return dict.fromkeys(handles, view)

    class Away(FakeRepository):
        def default_branch(self) -> str:
            raise GitUnreachable("the network is down")

    executor = Asked(outside.clock, outside.repo, outside.github)
    world = replace(outside.world(), executor=executor, repo=Away())
    found = perform(Launch(task, attempt, met=True), replace(world, options=replace(world.options, base="")))
    assert isinstance(found, fact)
    assert "the network is down" in getattr(found, "words", "the network is down")
