"""What goes out of a plan: what was decided on. What came since goes out later, what was refused when it is resumed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.domain.task import TaskState
from coordinator.engine.effects import perform
from coordinator.engine.facts import EffectFailed
from coordinator.engine.plans import begin
from coordinator.planning.actions import Deliver, Join
from coordinator.planning.plan import plan
from coordinator.planning.plans import delivering
from coordinator.ports import PushRefused, Refused
from tests.factories import NOW, a_snapshot, a_task, an_attempt
from tests.support.plan_world import SHOP, Underway, a_plan

S = TaskState
TWO, THREE = {"T1": [], "T2": ["T1"]}, {"T1": [], "T2": ["T1"], "T3": ["T2"]}
DONE = {"pushed_sha": "abc", "delivered_at": NOW, "pr_number": 7, "words": ""}
REFUSED = {"pushed_sha": "abc", "words": "protected branch"}


@pytest.mark.parametrize(("of", "news", "pushed", "closed", "words"), [
    (("T1", "T2"), DONE, "abc", True, ""),
    (("T1", "T2", "T3"), DONE, "abc", True, ""),      # one left the plan: what is left went out whole
    (("T1",), DONE, "abc", False, ""),
    ((), DONE, "abc", False, ""),
    (("T1", "T2"), REFUSED, "abc", False, "protected branch"),
    (("T1",), REFUSED, "abc", False, ""),
])
def test_the_news_of_a_delivery_hold_for_the_tasks_that_it_is_of(of, news, pushed, closed, words):
    delivery = delivering.noted(a_plan(TWO), SHOP, of, news).deliveries[SHOP]
    assert (delivery.pushed_sha, delivery.delivered_at is not None, delivery.words) == (pushed, closed, words)
    assert delivering.awaited(delivery) is (not closed and not words)
    assert delivery.pr_number == news.get("pr_number")


def test_news_of_a_repository_that_left_the_plan_change_nothing():
    under = a_plan(TWO)
    assert delivering.noted(under, "site", ("T1", "T2"), DONE) == under


@pytest.mark.parametrize(("states", "whole"), [
    ((), False), ((S.DONE,), False), ((S.DONE, S.DONE), True), ((S.DONE, S.PUBLISHING), False),
    ((S.CANCELLED, S.DONE), False),
])
def test_a_plan_is_whole_when_every_task_of_it_is_merged(states, whole):
    tasks = [replace(a_task(1, state), id=f"plan-auth-t{number}") for number, state in enumerate(states, 1)]
    assert delivering.whole(a_plan(TWO), tasks) is whole


@pytest.mark.parametrize(("busy", "joins"), [
    ((), True), (("plan:auth:shop",), False), (("plan:auth:site",), True), (("plan:other:shop",), True),
])
def test_nothing_comes_into_a_branch_while_it_goes_out(busy, joins):
    task = replace(a_task(1, S.PUBLISHING), id="plan-auth-t2", issue=None, plan="auth")
    made = plan(a_snapshot(task, attempts={task.id: (replace(an_attempt(), task_id=task.id),)},
                           plans={"auth": a_plan(TWO)}, busy=frozenset(busy)))
    assert [type(action) for action in made.actions] == ([Join] if joins else [])
    assert made.waits[task.id].code == "joining"


def grows_at(way: Underway, monkeypatch, name: str, *, refused: str = "") -> None:
    """The plan gets a third task in the middle of the first call of this method of the repository."""
    plain, calls = getattr(way.outside.repo, name), []

    def call(*args: object, **more: object) -> object:
        calls.append(name)
        if len(calls) == 1:
            way.under = a_plan(THREE)
            begin(way.engine.world, way.under, again=False)
            if refused:
                raise PushRefused(refused)
        return plain(*args, **more)

    monkeypatch.setattr(way.outside.repo, name, call)


@pytest.mark.parametrize("refused", ["", "protected branch"])
def test_what_comes_to_a_plan_while_its_branch_is_pushed_is_delivered_too_and_with_it_the_whole(monkeypatch, refused):
    way = Underway(a_plan(TWO))
    grows_at(way, monkeypatch, "push", refused=refused)
    assert way.run()
    assert set(way.states().values()) == {S.DONE}
    [pull] = way.outside.github.pulls.values()
    remote = way.outside.repo.remote["feature-auth"]
    assert (remote, pull.head_ref) == (way.outside.repo.local["feature-auth"], "feature-auth")
    assert any(sha.startswith("plan-auth-t3-") for sha in remote)
    assert way.now.deliveries[SHOP].pushed_sha == remote[-1]


def test_a_delivery_that_waited_while_the_plan_grew_is_not_begun():
    way = Underway(a_plan(TWO))
    assert way.run()
    before = dict(way.outside.repo.remote)
    begin(way.engine.world, a_plan(THREE), again=False)
    fact = perform(Deliver("auth", SHOP, ("T1", "T2")), way.engine.world)
    assert isinstance(fact, EffectFailed)
    assert fact.words == "the plan grew: it is delivered when all of it is merged"
    assert way.outside.repo.remote == before


def test_a_pull_request_that_was_refused_after_its_push_is_opened_by_resume_and_nothing_is_run_again(monkeypatch):
    way = Underway(a_plan(TWO))
    with monkeypatch.context() as patched:
        patched.setattr(way.outside.github, "open_pull", _no)
        assert not way.run()
    refused, pushed = way.now.deliveries[SHOP], list(way.outside.repo.remote["feature-auth"])
    assert (refused.words, refused.pushed_sha) == ("the pull request was refused: no base", pushed[-1])
    assert any("plan auth is not delivered" in line for line in way.outside.lines)
    assert not way.run(), "it waits for a person"

    way.come_up(again=True)
    assert way.run()

    [pull] = way.outside.github.pulls.values()
    assert (pull.head_ref, len(way.started)) == ("feature-auth", 2)
    assert way.outside.repo.remote["feature-auth"] == pushed
    assert (way.now.deliveries[SHOP].words, way.now.deliveries[SHOP].pr_number) == ("", pull.number)


def _no(**_: object) -> None:
    raise Refused("no base")
