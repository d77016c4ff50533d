"""Nothing piles up and nothing is lost: merged work is tidied, a troubled root cleaned up, files made anew."""

from __future__ import annotations

import json
import os
import threading
from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import Task
from tests.support.yard import Yard, a_yard

HOLD = "commit()\nwrite('more.txt', 'half')\nwhile not os.path.exists('GO'): time.sleep(0.02)\nresult()"
COUNTERS = ("workers_launched", "workers_completed", "workers_failed", "worktree_errors", "prs_created")


def in_review(yard: Yard, title: str = "Make it turn") -> Task:
    return yard.until_state(yard.issue(title), "IN_REVIEW")


def number_of(task: Task) -> int:
    assert task.issue is not None
    return task.issue


def rescues(yard: Yard, task: Task) -> list[str]:
    return yard.git("for-each-ref", "--format=%(refname)", f"refs/coordinator/rescue/{task.id}/").split()


def metrics(yard: Yard) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(yard.read("adws/metrics.json"))
    return found


def ask(yard: Yard, kind: RequestKind, task_id: str = "") -> str:
    """A person's request, and what it was answered."""
    store = yard.engine.world.store
    number = store.ask(kind, task_id, {}, "cli", yard.engine.world.clock.now())
    yard.until(lambda: store.answered(number) is not None)
    return store.answered(number) or ""


# --- merged and closed work --------------------------------------------------------------------------


@pytest.mark.req("X2", "E29")
@pytest.mark.parametrize("method", ["merge", "squash", "rebase"])
def test_work_merged_by_any_method_with_its_branch_deleted_is_done_and_tidied_and_not_lost(yard: Yard, method: str):
    yard.repository.state.delete_branch_on_merge = True
    task = in_review(yard)
    tip = yard.git("rev-parse", task.branch)

    yard.ann.merge(task.pr_number or 0, method)
    yard.until_state(number_of(task), "DONE")

    yard.until(lambda: not yard.worktree(number_of(task)).exists())
    assert yard.git("rev-parse", task.branch) == tip
    assert "gh-1.txt" in yard.repository.files("main")
    assert yard.repository.branch(task.branch) is None
    assert rescues(yard, task) == []


@pytest.mark.req("X2")
def test_a_tidied_worktree_gives_its_forgotten_files_to_a_rescue(yard: Yard):
    task = in_review(yard)
    (yard.worktree(1) / "notes.txt").write_text("keep me")

    yard.ann.merge(task.pr_number or 0)
    yard.until(lambda: not yard.worktree(1).exists())

    [ref] = rescues(yard, task)
    assert yard.git("show", f"{ref}:notes.txt") == "keep me"


def test_merged_work_keeps_its_worktree_for_its_grace_time(tmp_path):
    with a_yard(tmp_path, settings={"tidy": "1h"}) as yard:
        task = in_review(yard)
        yard.ann.merge(task.pr_number or 0)
        yard.until_state(1, "DONE")
        clock = yard.engine.world.clock
        assert yard.worktree(1).exists()

        later = clock.now() + timedelta(minutes=61)
        yard.engine.world.clock = _At(clock, later)
        yard.until(lambda: not yard.worktree(1).exists())


class _At:
    """The clock of a later moment: it still runs."""

    def __init__(self, clock: Any, later: Any) -> None:
        self._clock, self._ahead = clock, later - clock.now()

    def now(self) -> Any:
        return self._clock.now() + self._ahead

    def local(self, at: Any) -> Any:
        return self._clock.local(at)


def test_work_of_a_closed_issue_is_tidied_and_stays_on_its_branch(yard: Yard):
    number = yard.issue(script=HOLD)
    yard.until((yard.worktree(number) / "more.txt").exists)

    yard.ann.close(number, "not_planned")
    task = yard.until_state(number, "CANCELLED")
    yard.until(lambda: not yard.worktree(number).exists())

    assert yard.git("show", f"{task.branch}:more.txt") == "half"
    yard.until(lambda: yard.repository.branch(task.branch) is not None)
    assert "more.txt" in yard.repository.files(task.branch)


# --- worktree trouble --------------------------------------------------------------------------------


def in_the_way(yard: Yard, *numbers: int) -> None:
    """A person's folders where the worktrees of these issues should stand."""
    for number in numbers:
        yard.worktree(number).mkdir(parents=True)
        (yard.worktree(number) / "hers.txt").write_text("hers")


def errors(yard: Yard, wanted: int) -> None:
    """So many failures to make a worktree, of few issues that a person tries again and again."""
    first = len(yard.repository.issues()) + len(yard.repository.pulls()) + 1
    numbers = range(first, first + 4)
    in_the_way(yard, *numbers)
    assert [yard.issue("Cannot begin") for _ in numbers] == list(numbers)
    for at in range(wanted):
        number = numbers[at % len(numbers)]
        yard.until_state(number, "BLOCKED")
        assert yard.task(number).reason == "foreign_worktree"
        if at + len(numbers) < wanted:
            yard.engine.world.store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())


@pytest.mark.req("E49", "E50", "P59", "E47")
def test_worktree_trouble_is_told_once_and_only_dead_worktrees_go(tmp_path):
    with a_yard(tmp_path, settings={"tidy": "1d"}) as yard:
        merged, dirty, waiting = in_review(yard, "One"), in_review(yard, "Two"), in_review(yard, "Three")
        for task in (merged, dirty):
            yard.ann.merge(task.pr_number or 0)
            yard.until_state(number_of(task), "DONE")
        trees = {task.id: yard.clone / "trees" / task.id for task in (merged, dirty, waiting)}
        (trees[dirty.id] / "notes.txt").write_text("keep me")
        live = yard.issue(script=HOLD)
        yard.until((yard.worktree(live) / "more.txt").exists)
        (yard.clone / "trees" / "by-hand").mkdir()

        errors(yard, 10)
        assert metrics(yard)["worktree_errors"] == 10
        assert all(tree.exists() for tree in trees.values())
        blocked = next(task.id for task in yard.engine.world.store.tasks() if task.reason == "foreign_worktree")
        ask(yard, RequestKind.RETRY, blocked)
        yard.until(lambda: not trees[merged.id].exists())

        told = [line for line in yard.lines if line.startswith("ESCALATE: worktree trouble")]
        assert len(told) == 1 and "11 errors" in told[0]
        assert {name for name, tree in trees.items() if tree.exists()} == {waiting.id}
        assert [yard.git("show", f"{ref}:notes.txt") for ref in rescues(yard, dirty)] == ["keep me"]
        assert rescues(yard, merged) == []
        for gone in (merged, dirty):
            assert f"{gone.id}: worktree removed (11 worktree errors)" in yard.lines
        assert (yard.worktree(live) / "more.txt").exists() and yard.state(live) == "RUNNING"
        assert (yard.clone / "trees" / "by-hand").exists()
        yard.tick()
        assert (metrics(yard)["worktree_errors"], len(told)) == (0, 1)
        (yard.worktree(live) / "GO").touch()
        yard.until_state(live, "IN_REVIEW")
