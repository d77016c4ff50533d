"""What did not change is not read again, and whatever another process wrote is seen at the next look."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.store import SqlStore
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event
from coordinator.engine.memory import Memory
from coordinator.planning.policy import Policy
from tests.factories import NOW, a_pull, a_task, a_vet, an_attempt


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def pair(path: Path) -> Iterator[tuple[SqlStore, SqlStore]]:
    """Two processes' stores on one file, with three tasks."""
    ours, theirs = SqlStore(path), SqlStore(path)
    for number in (3, 1, 2):
        ours.add(a_task(number), Event(f"gh-{number}", NOW, "adopted", ""))
    yield ours, theirs
    ours.close()
    theirs.close()


def changed(store: SqlStore, number: int, **fields: Any) -> None:
    before = store.task(f"gh-{number}")
    assert before is not None
    event = Event(before.id, NOW, "changed", "")
    store.save(replace(before, version=before.version + 1, **fields), event, was=before.version)


def test_of_tasks_that_did_not_change_the_same_objects_are_given_again(pair: tuple[SqlStore, SqlStore]) -> None:
    ours, theirs = pair
    first = ours.tasks()
    assert [task.id for task in first] == ["gh-1", "gh-2", "gh-3"]
    assert ours.tasks() is first
    changed(theirs, 2, branch="rpi/other")
    second = ours.tasks()
    assert [task.branch for task in second] == ["rpi/gh-1", "rpi/other", "rpi/gh-3"]
    assert [one is other for one, other in zip(first, second, strict=True)] == [True, False, True]
    theirs.add(a_task(0), Event("gh-0", NOW, "adopted", ""))
    assert [task.id for task in ours.tasks()] == ["gh-0", "gh-1", "gh-2", "gh-3"]


def test_of_attempts_that_did_not_change_the_same_objects_are_given_again(pair: tuple[SqlStore, SqlStore]) -> None:
    ours, theirs = pair
    for number in (1, 2):
        theirs.record(an_attempt(task_id=f"gh-{number}"), Event(f"gh-{number}", NOW, "begun", "", 1))
    first = ours.attempts()
    theirs.record(an_attempt(task_id="gh-2", pid=7), Event("gh-2", NOW, "launched", "", 1))
    theirs.record(an_attempt(task_id="gh-3"), Event("gh-3", NOW, "begun", "", 1))
    second = ours.attempts()
    assert second == theirs.attempts()
    assert list(second) == ["gh-1", "gh-2", "gh-3"]
    assert (second["gh-1"] is first["gh-1"], second["gh-2"][0].pid) == (True, 7)


def test_after_the_file_was_put_back_to_how_it_was_nothing_is_believed_that_was_read(path: Path) -> None:
    store = SqlStore(path)
    store.add(a_task(1), Event("gh-1", NOW, "adopted", ""))
    store.close()
    shutil.copy(path, path.with_suffix(".kept"))
    changed(store, 1, branch="rpi/first")
    store.log(Event("", NOW, "more", ""))
    assert [task.branch for task in store.tasks()] == ["rpi/first"]
    store.close()
    for name in ("-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    shutil.copy(path.with_suffix(".kept"), path)
    changed(store, 1, branch="rpi/second")
    assert [task.branch for task in store.tasks()] == ["rpi/second"]
    store.close()


def test_what_another_process_wrote_of_vets_pulls_and_words_is_seen(pair: tuple[SqlStore, SqlStore]) -> None:
    ours, theirs = pair
    for turn in range(2):
        theirs.keep_vet(a_vet(1, label_event_id=turn))
        theirs.keep_pulls([a_pull(7, title=f"turn {turn}")])
        theirs.keep_outward(Outward("gh-1", turn))
        assert ours.vets()[1].label_event_id == turn
        assert ours.pulls()[7].title == f"turn {turn}"
        assert ours.outward()["gh-1"].comment_id == turn
        assert ours.vets() is ours.vets()
        assert ours.pulls() is ours.pulls()
        assert ours.outward() is ours.outward()


def test_what_is_said_of_a_task_is_made_anew_when_the_task_its_sessions_or_the_settings_change() -> None:
    memory, task, history, policy = Memory(), a_task(1), (an_attempt(),), Policy()
    other = replace(a_task(1), state=a_task(1).state.RUNNING, attempts=1)
    first = memory.speeches.of([task], {}, policy)["gh-1"]
    assert memory.speeches.of([task], {}, policy)["gh-1"] is first
    fresh = Memory().speeches.of([other], {"gh-1": history}, policy)["gh-1"]
    assert memory.speeches.of([other], {"gh-1": history}, policy)["gh-1"] == fresh != first
    known = memory.speeches.of([other], {"gh-1": history}, policy)["gh-1"]
    assert memory.speeches.of([other], {"gh-1": history}, policy)["gh-1"] is known
    assert memory.speeches.of([other], {"gh-1": (*history, an_attempt(2))}, policy)["gh-1"] is not known
    full = replace(policy, labels=replace(policy.labels, mode="full"))
    assert memory.speeches.of([other], {"gh-1": history}, full)["gh-1"].labels == {"rpi:running"}
    assert memory.speeches.of([], {}, full) == {}
