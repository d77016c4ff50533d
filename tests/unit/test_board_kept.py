"""The board's rows are kept from tick to tick: what is kept is what would be made anew, whatever has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.outcome import Usage
from coordinator.domain.task import TaskState
from coordinator.domain.workflow import BUILD, Library, Stage, Workflow
from coordinator.engine import board as room
from coordinator.engine.board import Board
from coordinator.engine.memory import Memory
from coordinator.planning.actions import Plan, Wait
from coordinator.planning.snapshot import Snapshot
from coordinator.ports import Signs
from tests.factories import NOW, a_running, a_snapshot, a_task, a_view, an_attempt, an_issue
from tests.support.fakes import an_outside

RUNNING, ATTEMPT = a_running(2)
BEFORE = a_snapshot(a_task(1), RUNNING, a_task(3, TaskState.DONE), attempts={"gh-2": (ATTEMPT,)},
                    views={"gh-2": a_view()})
WAITS = Plan((), waits={"gh-1": Wait("gh-1", "slots", "all are taken")})
STAGES = Library({BUILD.name: Workflow(BUILD.name, (Stage("plan"), Stage("build")))})


def signs(memory: Memory) -> None:
    memory.signs["gh-2"] = Signs(1, "edits a file", NOW)


CHANGES: list[tuple[str, dict[str, Any], Plan, Callable[[Memory], None] | None]] = [
    ("gh-1", {"tasks": BEFORE.tasks | {"gh-1": replace(BEFORE.tasks["gh-1"], detail="x")}}, WAITS, None),
    ("gh-2", {"attempts": {"gh-2": (replace(ATTEMPT, number=1), an_attempt(2, task=2))}}, WAITS, None),
    ("gh-1", {"issues": dict(BEFORE.issues) | {1: an_issue(1, labels=frozenset({"new"}))}}, WAITS, None),
    ("gh-1", {}, Plan((), {}), None),
    ("gh-1", {}, Plan((), waits={"gh-1": Wait("gh-1", "slots", "all are taken", until=NOW)}), None),
    ("gh-2", {"usage": {"gh-2": Usage(10, 5, 0.5)}}, WAITS, None),
    ("gh-2", {"views": {"gh-2": replace(a_view(), pid=4712)}}, WAITS, None),
    ("gh-2", {}, WAITS, signs),
    ("gh-2", {"workflows": STAGES}, WAITS, None),
]


@pytest.mark.parametrize(("task", "changed", "made", "meanwhile"), CHANGES)
def test_a_row_is_made_anew_when_anything_that_it_shows_has_changed_and_no_other_is(
        monkeypatch: pytest.MonkeyPatch, task: str, changed: dict[str, Any], made: Plan,
        meanwhile: Callable[[Memory], None] | None):
    world, memory, again = an_outside().world(), Memory(), []
    keeping = Board(world, memory)
    keeping.data(BEFORE, WAITS)
    if meanwhile is not None:
        meanwhile(memory)
    after: Snapshot = replace(BEFORE, now=NOW + timedelta(seconds=1), **changed)
    anew = Board(world, memory).data(after, made)
    plain = room._row
    monkeypatch.setattr(room, "_row", lambda shown: again.append(shown.task.id) or plain(shown))
    kept = keeping.data(after, made)

    assert kept == anew
    assert task in again
    if "workflows" not in changed:   # which all tasks share
        assert again == [task]


def test_of_a_tick_that_changed_nothing_no_row_is_made_and_a_task_that_went_is_forgotten(
        monkeypatch: pytest.MonkeyPatch):
    board = Board(an_outside().world(), Memory())
    before = board.data(BEFORE, WAITS)
    monkeypatch.setattr(room, "_row", lambda shown: pytest.fail(f"{shown.task.id} is made anew"))
    assert board.data(BEFORE, WAITS)["tasks"] == before["tasks"]
    fewer = replace(BEFORE, tasks={"gh-1": BEFORE.tasks["gh-1"]})
    assert [row["id"] for row in board.data(fewer, WAITS)["tasks"]] == ["gh-1"]
