"""What is new in a repository's git is told at the end of a run, once; what its owner changed between runs is not."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.engine import planted
from coordinator.ports import StoreError
from tests.factories import NOW, a_task, an_attempt
from tests.support.fakes import Outside, an_outside

OLD, NEW = {"core.editor in .git/config": "1"}, {"core.editor in .git/config": "1", ".git/hooks/pre-push": "2"}


def at_work(state: TaskState = TaskState.PREPARING) -> Outside:
    outside = an_outside()
    outside.store.add(a_task(1, state), Event("gh-1", NOW, "adopted"))
    return outside


def notes(outside: Outside, *found: tuple[dict[str, str], bool]) -> list[str]:
    world = outside.world()
    for there, ended in found:
        planted.note(world, a_task(1), an_attempt(), there, ended=ended)
    return [event.detail for event in outside.store.events("gh-1", (planted.KIND,))]


def test_what_is_there_at_first_and_what_came_between_two_runs_is_the_owner_s() -> None:
    assert notes(at_work(), (OLD, False), (OLD, True), (NEW, False), (NEW, True)) == []


def test_what_is_new_at_the_end_of_a_run_is_told_once_and_a_change_of_it_again() -> None:
    changed = {**NEW, "core.editor in .git/config": "3"}
    told = notes(at_work(), (OLD, False), (NEW, True), (NEW, True), (changed, True), (OLD, True))
    assert told == [".git/hooks/pre-push", "core.editor in .git/config", "core.editor in .git/config"]


def test_what_could_not_be_told_is_told_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = at_work()
    notes(outside, (OLD, False))
    with monkeypatch.context() as broken:
        broken.setattr(outside.store, "log", Mock(side_effect=StoreError("the disk is full")))
        with pytest.raises(StoreError):
            notes(outside, (NEW, True))
    assert notes(outside, (NEW, True), (NEW, True)) == [".git/hooks/pre-push"]


def test_before_a_run_it_is_told_while_another_goes_on() -> None:
    assert notes(at_work(TaskState.RUNNING), (OLD, False), (NEW, False)) == [".git/hooks/pre-push"]


def test_a_long_list_is_cut() -> None:
    [words] = notes(at_work(), ({}, False), ({f"alias.a{n:02}": "1" for n in range(25)}, True))
    assert words.endswith("alias.a19 and 5 more")
