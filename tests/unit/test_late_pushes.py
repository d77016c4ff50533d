"""A push that comes late: not made once its task has moved on, and not forgotten where it was made all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.policy import Policy
from tests.factories import NOW
from tests.support.fake_github import BOT
from tests.support.fakes import Outside, Script, an_outside

S = TaskState


class InLine:
    """A pool whose threads are all at work elsewhere: what is asked for waits."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None], apart: str = "") -> None:
        self.waiting.append(job)


def blocked() -> Outside:
    """A task that a person must look at, whose commits are to be kept on its branch."""
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    outside.executor.scripts = lambda spec: (
        Script(seconds=1, ending=Ending.FAILED, reason="no_credit") if spec.attempt == 1 else Script(seconds=1))
    ticking(outside, an_engine(outside, AtOnce(), keeps=False), 3)
    assert outside.store.task("gh-1").state is S.BLOCKED
    return outside


def ticking(outside: Outside, engine: Engine, ticks: int) -> None:
    for _ in range(ticks):
        engine.tick()
        outside.clock.pass_by(6)


def an_engine(outside: Outside, pool: object, *, keeps: bool = True) -> Engine:
    world = outside.world(Policy(provider="command", login=BOT, retry_max=0, push_wip=keeps))
    return Engine(world, pool, lambda why: None)  # type: ignore[arg-type]


def retried(outside: Outside, engine: Engine, fresh: str = "") -> None:
    """A person's word is heard, in the middle of something else."""
    outside.store.ask(RequestKind.RETRY, "gh-1", {"fresh": fresh}, "cli", NOW)
    engine._apply(engine.preview()[1])


@pytest.mark.parametrize("fresh", ["", "1"])
def test_a_push_that_waited_until_its_task_was_tried_again_is_not_made(fresh):
    outside, line = blocked(), InLine()
    engine = an_engine(outside, line)
    engine.tick()
    outside.store.ask(RequestKind.RETRY, "gh-1", {"fresh": fresh}, "cli", NOW)
    engine.tick()
    assert outside.store.task("gh-1").state is S.QUEUED

    for job in line.waiting:
        job()

    assert "rpi/gh-1" not in outside.repo.remote
    ticking(outside, an_engine(outside, AtOnce()), 8)
    assert outside.store.task("gh-1").state is S.IN_REVIEW
    assert outside.repo.remote["rpi/gh-1"] == outside.repo.local["rpi/gh-1"]


@pytest.mark.parametrize("fresh", ["", "1"])
def test_what_was_pushed_while_its_task_was_tried_again_is_known_to_be_ours(fresh, monkeypatch):
    outside = blocked()
    engine = an_engine(outside, AtOnce())
    plain, tries = outside.repo.push, []

    def push(branch: str, **more: object) -> str:
        sha = plain(branch, **more)
        if not tries:   # a person's word comes in while the answer of the remote is on its way
            retried(outside, engine, fresh)
        tries.append(sha)
        return sha

    monkeypatch.setattr(outside.repo, "push", push)
    ticking(outside, engine, 10)

    task = outside.store.task("gh-1")
    assert (task.state, task.reason, len(tries)) == (S.IN_REVIEW, "pr_open", 2)
    assert task.pushed_sha == outside.repo.remote["rpi/gh-1"][-1] == tries[1]


def test_what_moves_on_while_its_work_is_looked_through_is_not_pushed(monkeypatch):
    outside = blocked()
    engine = an_engine(outside, AtOnce())
    plain = outside.repo.cargo

    def cargo(head: str, search: object) -> object:
        monkeypatch.undo()
        retried(outside, engine)
        return plain(head, search)

    monkeypatch.setattr(outside.repo, "cargo", cargo)
    engine.tick()
    assert "rpi/gh-1" not in outside.repo.remote
    assert any("gh-1 has moved on: rpi/gh-1 is not pushed as it was to be" in line for line in outside.lines)
