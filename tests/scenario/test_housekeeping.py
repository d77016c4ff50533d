"""Nothing piles up and nothing is lost: merged work is tidied, a troubled root cleaned up, files made anew."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from coordinator.domain.request import RequestKind
from coordinator.domain.task import Task
from coordinator.ports import GitError
from coordinator.runfiles import identity
from tests.support.yard import Yard, a_yard

HOLD = "commit()\nwrite('more.txt', 'half')\nwhile not os.path.exists('GO'): time.sleep(0.02)\nresult()"


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
        assert yard.worktree(1).exists()

        yard.engine.world.clock = Ahead(yard.engine.world.clock, timedelta(minutes=61))
        yard.until(lambda: not yard.worktree(1).exists())


class Ahead:
    """A clock that is so much ahead of another one."""

    def __init__(self, clock: Any, ahead: timedelta) -> None:
        self._clock, self._ahead = clock, ahead

    def now(self) -> datetime:
        at: datetime = self._clock.now() + self._ahead
        return at

    def local(self, at: datetime) -> datetime:
        local: datetime = self._clock.local(at)
        return local


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


@pytest.mark.req("E42", "E47", "E49", "E50", "P59")
def test_worktree_trouble_is_told_once_and_only_dead_worktrees_go(tmp_path, monkeypatch):
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
        assert counted(yard) == {"worktree_errors": 10, "health": "warning", "workers_launched": 4}
        assert all(tree.exists() for tree in trees.values())
        monkeypatch.setattr(yard.engine.world.repo, "worktrees", _failing_once(yard.engine.world.repo.worktrees))
        blocked = next(task.id for task in yard.engine.world.store.tasks() if task.reason == "foreign_worktree")
        ask(yard, RequestKind.RETRY, blocked)
        assert counted(yard) == {"worktree_errors": 11, "health": "degraded", "workers_launched": 4}
        yard.until(lambda: not trees[merged.id].exists())

        [told] = [line for line in yard.lines if line.startswith("ESCALATE: worktree trouble")]
        assert "11 errors" in told
        assert [name for name, tree in trees.items() if tree.exists()] == []
        assert [yard.git("show", f"{ref}:notes.txt") for ref in rescues(yard, dirty)] == ["keep me"]
        assert rescues(yard, merged) == []
        for gone in (merged, dirty, waiting):
            assert f"{gone.id}: worktree removed (11 worktree errors)" in yard.lines
        assert (yard.worktree(live) / "more.txt").exists()
        assert yard.state(live) == "RUNNING"
        assert (yard.clone / "trees" / "by-hand").exists()
        yard.tick()
        assert counted(yard) == {"worktree_errors": 0, "health": "warning", "workers_launched": 4}
        (yard.worktree(live) / "GO").touch()
        yard.until_state(live, "IN_REVIEW")


def counted(yard: Yard) -> dict[str, Any]:
    found = metrics(yard)
    return {name: found[name] for name in ("worktree_errors", "health", "workers_launched")}


def _failing_once(real: Callable[[], Any]) -> Callable[[], Any]:
    """As git is while somebody else holds a lock: it refuses, and does it when asked again."""
    calls = iter([GitError("index.lock is held")])

    def listed() -> Any:
        for error in calls:
            raise error
        return real()

    return listed


# --- what can be made anew, and what becomes too old -----------------------------------------------------


@pytest.mark.req("N11", "E48")
def test_rebuild_makes_both_files_anew_byte_for_byte_and_with_equal_counters(yard: Yard):
    done, asked = in_review(yard), yard.issue("Ask", script="write('BLOCKED.md', 'Which colour?'); result()")
    yard.until_state(asked, "BLOCKED")
    yard.until_state(yard.issue("Do nothing", script="result()"), "FAILED")
    stopped = yard.issue("Stop me", script=HOLD)
    yard.until((yard.worktree(stopped) / "more.txt").exists)
    (yard.worktree(stopped) / "STOP").touch()
    yard.until_state(stopped, "CANCELLED")
    yard.ann.merge(done.pr_number or 0)
    yard.until_state(number_of(done), "DONE")
    yard.until_state(yard.issue("In review"), "IN_REVIEW")
    tasks, numbers = yard.read("tasks.md"), lasting(yard)
    assert (numbers["workers_completed"], numbers["prs_created"]) == (2, 2)
    (yard.clone / "tasks.md").unlink()
    (yard.clone / "adws/metrics.json").unlink()

    assert "written anew" in ask(yard, RequestKind.REBUILD)

    assert yard.read("tasks.md") == tasks
    assert lasting(yard) == numbers


def lasting(yard: Yard) -> dict[str, Any]:
    """The metrics but for what each tick moves: when it was written, and the requests made."""
    moving = {"last_update", "api_requests", "api_not_modified"}
    return {name: value for name, value in metrics(yard).items() if name not in moving}


@pytest.mark.req("X6")
def test_what_became_too_old_goes_once_a_day_but_neither_unpushed_work_nor_a_tasks_newest_failure(tmp_path):
    with a_yard(tmp_path, settings={"retries": "1"}) as yard:
        done = in_review(yard)
        (yard.worktree(1) / "notes.txt").write_text("keep me")
        yard.ann.merge(done.pr_number or 0)
        yard.until(lambda: not yard.worktree(1).exists())
        failed = yard.issue(script="commit(f'{attempt}.txt'); write('half.txt', 'half'); sys.exit(3)")
        task = yard.until_state(failed, "BLOCKED")
        logs, runs = yard.clone / "logs", yard.clone / ".coordinator/jobs/command"
        newest = logs / f"{task.id}.jsonl"
        kept = [newest, runs / f"{task.id}.log", runs / f"{task.id}.outcome", yard.worktree(failed)]
        old = [logs / f"{done.id}.jsonl", runs / f"{done.id}.log"]
        assert [path for path in (*kept, *old) if not path.exists()] == []
        assert rescues(yard, done)
        assert rescues(yard, task)

        yard.engine.world.clock = Ahead(yard.engine.world.clock, timedelta(days=40))
        yard.until(lambda: not old[0].exists())
        yard.tick()

        assert [path for path in kept if not path.exists()] == []
        assert [path for path in old if path.exists()] == []
        assert rescues(yard, done) == []
        assert rescues(yard, task)
        assert yard.git("log", "--format=%s", f"{task.base_sha}..{task.branch}").count("Do the work") == 2
        assert any(line.startswith("removed transcript") and f"{done.id}.jsonl" in line for line in yard.lines)


# --- one turn of the loop ----------------------------------------------------------------------------


@pytest.mark.req("E24", "E25", "E26", "E32")
def test_one_tick_settles_what_ended_before_it_launches_what_waits_and_then_writes_tasks_md(yard: Yard):
    config = yard.clone / "coordinator.toml"
    config.write_text(config.read_text().replace("[workers]", "[workers]\nmax = 1"))
    yard.close()
    yard.start()
    first, second = yard.issue("First", script=HOLD), yard.issue("Second", script=HOLD)
    yard.until((yard.worktree(first) / "more.txt").exists)
    before = {number: yard.task(number) for number in (first, second)}
    for _ in range(3):
        yard.tick()
    assert {number: yard.task(number) for number in (first, second)} == before
    assert [str(task.state) for task in before.values()] == ["RUNNING", "QUEUED"]
    attempt = yard.engine.world.store.attempts()[f"gh-{first}"][-1]
    (yard.worktree(first) / "GO").touch()
    ended(attempt.token)

    yard.tick()

    assert (yard.state(first), yard.state(second)) == ("IN_REVIEW", "RUNNING")
    assert (yard.worktree(second) / ".git").exists()
    text = yard.read("tasks.md")
    assert text.index("## Active") < text.index(f"gh-{second}: Second") < text.index(f"gh-{first}: First")
    (yard.worktree(second) / "GO").touch()
    yard.until_state(second, "IN_REVIEW")


def ended(token: str) -> None:
    """Waits until no process of this attempt is left but one that waits to be reaped."""
    end = time.monotonic() + 10
    while [proc for proc in identity.with_token(token) if proc.state != "Z"]:
        assert time.monotonic() < end, "the worker never ended"
        time.sleep(0.02)
