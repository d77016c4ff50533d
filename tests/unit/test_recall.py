"""What is known again of each task when the memory is lost, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.attempt import Attempt
from coordinator.domain.job import Job
from coordinator.domain.outcome import Ending
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.domain.worker import Exited, Missing, Running, WorkerView
from coordinator.engine.board import _attempt as attempt_row
from coordinator.engine.board import _iso
from coordinator.planning.recall import UnusableBoard, kept, recall
from tests.factories import NOW

_S = TaskState
PIN = Pin("Mend", "the words", "ab12", 77, "ann", NOW)
TASK = Task("gh-4", PIN, "rpi/gh-4", NOW, NOW, NOW, issue=4, provider="claude", attempts=1)
ATTEMPT = Attempt("gh-4", 1, "t" * 32, 1, "w-1", "claude", "20260301120000", NOW, prepared_at=NOW, base_sha="c0ffee",
                  launched_at=NOW)  # fmt: skip
ENDED = replace(ATTEMPT, ended_at=NOW, settled_at=NOW, ending=Ending.SUCCEEDED, head_sha="beef", commits=2,
                answered=True)


def row(task: Task, *attempts: Attempt) -> dict[str, Any]:
    names = ("id", "issue", "title", "priority", "reason", "detail", "provider", "workflow", "plan", "branch",
             "worktree", "pr_number", "pr_url")  # fmt: skip
    return {**{name: getattr(task, name) for name in names}, "state": str(task.state), "since": _iso(task.state_since),
            "retry_at": _iso(task.retry_at), "kept": kept(task), "attempts": [attempt_row(one) for one in attempts]}


def job(view: WorkerView, fence: int = 1, token: str = "t" * 32, task_id: str = "gh-4", **meta: str) -> Job:
    known = {"token": token, "fence": str(fence), "owner": "coordinator", "run_id": "20260301130000",
             "branch": f"rpi/{task_id}", "title": "Mend", "base_sha": "c0ffee", "worker_id": "w-9"}  # fmt: skip
    return Job(task_id, "claude", "/jobs/claude", view, {**known, **meta})


LIVES, OVER, NEVER = Running(7, 0.0), Exited(0, None, "process_exit"), Missing(started=False)


def states(board: dict[str, Any] | None, *jobs: Job) -> dict[str, tuple[str, int]]:
    return {task.id: (str(task.state), len(attempts)) for task, attempts in recall(board, jobs, NOW).tasks}


@pytest.mark.parametrize("state", [_S.IN_REVIEW, _S.DONE, _S.BLOCKED, _S.FAILED, _S.CANCELLED, _S.PUBLISHING])
def test_what_had_come_to_rest_stands_as_the_board_had_it(state: TaskState):
    task = replace(TASK, state=state, reason="because", detail="so", pr_number=9, pushed_sha="beef", retries_used=1,
                   last_retry_event_id=5, stage=1, completed_at=NOW, model="opus", state_since=NOW - timedelta(hours=3))

    [(again, attempts)] = recall({"tasks": [row(task, ENDED)]}, [job(OVER)], NOW).tasks

    assert replace(again, pin=PIN, updated_at=NOW) == task
    assert attempts == (ENDED,)
    assert (again.pin.title, again.pin.label_event_id, again.pin.body, again.pin.actor) == ("Mend", 77, "", "")


def test_a_worker_that_ran_is_looked_at_again_whether_it_lives_or_not():
    for view in (LIVES, OVER):
        board = {"tasks": [row(replace(TASK, state=_S.RUNNING), ATTEMPT)]}
        [(task, attempts)] = recall(board, [job(view)], NOW).tasks
        assert (task.state, attempts) == (_S.RUNNING, (ATTEMPT,))


def test_one_that_was_started_after_the_last_board_is_found_by_its_run_files():
    for before in (replace(TASK, state=_S.QUEUED, attempts=0), replace(TASK, state=_S.PREPARING, attempts=0)):
        [(task, attempts)] = recall({"tasks": [row(before)]}, [job(LIVES)], NOW).tasks
        assert (task.state, task.attempts, task.branch) == (_S.RUNNING, 1, "rpi/gh-4")
        assert [(one.token, one.fence, one.base_sha, one.worker_id) for one in attempts] == [("t" * 32, 1, "c0ffee",
                                                                                             "w-9")]
    again = replace(TASK, state=_S.BACKOFF, attempts=1)
    board = {"tasks": [row(again, replace(ENDED, ending=Ending.FAILED))]}
    assert states(board, job(OVER, fence=2, token="u" * 32)) == {"gh-4": ("RUNNING", 2)}


def test_a_start_that_was_only_meant_is_begun_anew_and_what_never_began_is_taken_up_anew():
    meant = replace(ATTEMPT, prepared_at=None, launched_at=None, base_sha="")
    preparing = replace(TASK, state=_S.PREPARING)
    assert states({"tasks": [row(preparing, meant)]}) == {}
    earlier = replace(ENDED, ending=Ending.FAILED)
    second = replace(meant, number=2, fence=2, token="u" * 32)
    board = {"tasks": [row(replace(preparing, attempts=2), earlier, second)]}
    assert states(board, job(OVER)) == {"gh-4": ("QUEUED", 1)}
    assert states({"tasks": [row(replace(TASK, attempts=0))]}) == {}
    assert kept(replace(TASK, attempts=0)) == {}


def test_a_task_of_a_person_s_line_waits_for_that_person():
    line = replace(TASK, id="m-3", issue=None, attempts=0)
    [(task, _)] = recall({"tasks": [row(line)]}, [], NOW).tasks
    assert (task.state, task.reason) == (_S.BLOCKED, "store_rebuilt")


def test_without_a_board_who_lives_is_found_and_who_does_not_is_asked_about():
    jobs = (job(LIVES), job(OVER, fence=3, task_id="gh-5"), job(NEVER, task_id="gh-6"), job(OVER, task_id="m-1"),
            job(LIVES, task_id="bd-7", owner="manual"), job(LIVES, task_id="gh-8", owner=""))  # fmt: skip
    found = recall(None, jobs, NOW)
    assert [(task.id, task.issue, str(task.state), task.title) for task, _ in found.tasks] == [("gh-4", 4, "RUNNING",
                                                                                              "Mend")]
    assert dict(found.unsure) == {"gh-5": 3, "gh-6": 1}
    assert found.paused


@pytest.mark.parametrize(("board", "paused"), [
    ({}, ""), ({"paused": True}, "it was paused before"), ({"batches": [{"name": "sweep", "phase": ""}]}, ""),
    ({"batches": [{"name": "sweep", "phase": "held"}]}, "a batch was held before: sweep"),
])
def test_what_a_person_or_a_gate_held_back_stays_held(board: dict[str, Any], paused: str):
    assert recall(board, (), NOW).paused == paused


def test_the_tasks_of_a_plan_come_with_their_plan_again():
    board = {"tasks": [row(replace(TASK, id="plan-a-t1", plan="a", issue=None))], "plans": [{"path": "a.md"}]}
    found = recall(board, (), NOW)
    assert (found.tasks, found.plans) == ((), ("a.md",))


def edited(**changes: object) -> dict[str, Any]:
    return {"tasks": [{**row(TASK, ATTEMPT), **changes}]}


@pytest.mark.parametrize("board", [
    {"tasks": ["x"]}, {"tasks": [3]}, {"tasks": 3}, {"tasks": [[]]}, {"tasks": [{}]},
    {"parked": ["x"]}, {"parked": [{"until": "x"}]},
    {"parked": [{"provider": "claude", "until": "soon", "words": "w"}]},
    {"parked": [{"provider": "claude", "until": "2026-03-01T12:00:00", "words": "w"}]},
    edited(pr_number=2**63), edited(attempts=[{**attempt_row(ATTEMPT), "commits": 2**70}]),
    {"plans": ["x"]}, {"plans": [{}]}, {"batches": [3]},
    edited(pr_number="9"), edited(branch=None), edited(title=3), edited(state="ASLEEP"), edited(since="noon"),
    edited(kept=[3]), edited(kept={"pin": "x"}), edited(kept={"retries_used": "1"}), edited(attempts=["x"]),
    edited(attempts=[{**attempt_row(ATTEMPT), "number": "1"}]),
    edited(attempts=[{**attempt_row(ATTEMPT), "cost": "much"}]),
    edited(attempts=[{**attempt_row(ATTEMPT), "started": "2026-03-01T12:00:00"}]),
], ids=str)  # fmt: skip
def test_a_board_of_other_shapes_is_unusable_whatever_is_wrong_in_it(board: dict[str, Any]):
    with pytest.raises(UnusableBoard):
        recall(board, [], NOW)


def test_a_whole_number_stands_for_a_measure_too():
    attempt = {**attempt_row(replace(ENDED, duration_sec=3.0)), "duration_sec": 3}
    assert states({"tasks": [row(TASK) | {"attempts": [attempt]}]}) == {"gh-4": ("QUEUED", 1)}
