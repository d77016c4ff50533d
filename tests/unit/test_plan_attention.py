"""What a person is told of, once a cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.planfile import Delivery, PlanFile, Undertaking
from coordinator.domain.task import TaskState
from coordinator.planning.actions import CleanUp, Notify, Picture
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import RESERVE, Gate, Parked
from tests.factories import NOW, a_running, a_snapshot, a_task, an_issue


def told(snapshot) -> list[Notify]:
    return [action for action in plan(snapshot).actions if isinstance(action, Notify)]


def all_told(snapshot) -> list[Notify]:
    """Plan after plan, each with what was told before, as the engine does it."""
    heard: list[Notify] = []
    while fresh := told(snapshot):
        heard += fresh
        keys = {key for one in fresh for key in (one.key, *one.along)}
        snapshot = replace(snapshot, notified=snapshot.notified | keys)
    return heard


@pytest.mark.req("A94", "E49")
def test_worktree_trouble_is_told_once_and_cleaned_up():
    snapshot = a_snapshot(worktree_errors=11)
    [notice] = told(snapshot)
    assert "11 errors" in notice.words
    assert [type(action) for action in plan(snapshot).actions if not isinstance(action, Notify)] == [CleanUp]
    assert told(a_snapshot(worktree_errors=11, notified=frozenset({notice.key}))) == []
    [again] = told(a_snapshot(worktree_errors=11, errors_reset_at="2026-03-02", notified=frozenset({notice.key})))
    assert again.key != notice.key
    assert told(a_snapshot(worktree_errors=10)) == []


@pytest.mark.parametrize(("change", "words"), [
    ({"survivors": {"gh-1": (4711,)}}, "processes live on: 4711"),
    ({"parked": {"command": Parked(NOW + timedelta(hours=1), "usage limit")}}, "command is parked until"),
    ({"github_until": NOW + timedelta(minutes=40), "github_words": "secondary limit"}, "GitHub's rate limit: nothing"),
    ({"floors": (Gate(RESERVE, "480 requests are left, kept for people"),)}, "GitHub's rate limit: 480"),
    ({"worktree_errors": 11}, "worktree trouble"),
    ({"tasks": {"gh-1": a_task()}, "troubles": {"work:gh-1": (7, "disk is odd")}},
     "gh-1 gets no further, 7 failures in a row: disk is odd"),
])
def test_each_trouble_of_the_whole_is_told_once(change, words):
    [notice] = all_told(a_snapshot(**change))
    assert words in notice.words
    assert notice.cure


@pytest.mark.parametrize("change", [
    {"parked": {"command": Parked(NOW - timedelta(minutes=1), "usage limit")}},
    {"github_until": NOW + timedelta(seconds=30), "github_words": "it cannot be reached"},
    {"floors": (Gate("disk", "1 GB is free"),)},
])
def test_what_passes_by_itself_calls_nobody(change):
    assert told(a_snapshot(**change)) == []


def test_what_fails_alike_for_several_tasks_is_told_once_however_long_it_lasts_and_whatever_else_they_say():
    tasks = {f"gh-{number}": a_task(number, TaskState.PREPARING, attempts=1) for number in (1, 2, 3)}
    away = {f"work:{name}": (7, "the remote cannot be reached") for name in tasks}
    early = {**away, "work:gh-3": (6, "the remote cannot be reached")}
    [notice] = all_told(a_snapshot(tasks=tasks, troubles=early))
    assert notice.words == "gh-1, gh-2 get no further, 7 failures in a row: the remote cannot be reached"
    heard = frozenset({notice.key, *notice.along})
    labelled = {name: replace(task, version=task.version + 1) for name, task in tasks.items()}
    assert all_told(a_snapshot(tasks=labelled, troubles=away, notified=heard)) == []
    moved = {name: replace(task, state_since=NOW + timedelta(hours=1)) for name, task in tasks.items()}
    assert len(all_told(a_snapshot(tasks=moved, troubles=away, notified=heard))) == 1
    assert len(all_told(a_snapshot(tasks=tasks, troubles={**away, "work:gh-2": (9, "no room")}, notified=heard))) == 0
    assert len(all_told(a_snapshot(tasks=tasks, troubles={**away, "work:gh-3": (9, "no room")}, notified=heard))) == 1


def test_a_task_blocked_again_by_a_later_attempt_is_told_again():
    blocked = a_task(1, TaskState.BLOCKED, reason="max_retries", attempts=2)
    [first] = told(a_snapshot(blocked))
    later = replace(blocked, attempts=4, state_since=NOW)
    [second] = told(a_snapshot(later, notified=frozenset({first.key})))
    assert second.cure == "coordinator why gh-1"


def test_a_task_blocked_twice_without_a_session_between_is_told_twice():
    blocked = a_task(1, TaskState.BLOCKED, reason="cap_reached", attempts=6)
    [first] = told(a_snapshot(blocked))
    queued = blocked.move(TaskState.QUEUED, NOW)
    again = queued.move(TaskState.BLOCKED, NOW + timedelta(seconds=1), reason="cap_reached")
    assert len(told(a_snapshot(again, notified=frozenset({first.key})))) == 1
    tidied = replace(blocked, version=blocked.version + 1, pushed_sha="a" * 40)
    assert told(a_snapshot(tidied, notified=frozenset({first.key}))) == [], "the same stay, whatever else changed"


@pytest.mark.req("X15")
def test_several_blocked_for_one_reason_are_told_of_together_and_no_one_twice():
    tasks = [a_task(n, TaskState.BLOCKED, reason="max_retries", detail="stalled twice") for n in range(1, 8)]
    other = a_task(9, TaskState.BLOCKED, reason="merge_conflict")
    alike, alone = all_told(a_snapshot(*tasks, other))
    assert alike.words == "gh-1, gh-2, gh-3, gh-4, gh-5 and 2 more are blocked: max_retries: stalled twice"
    assert alone.words.startswith("gh-9 is blocked: merge_conflict")
    keys = frozenset({alike.key, *alike.along, alone.key})
    late = a_task(8, TaskState.BLOCKED, reason="max_retries")
    [more] = all_told(a_snapshot(*tasks, late, other, notified=keys))
    assert more.words.startswith("gh-8 is blocked")


@pytest.mark.req("A100")
def test_who_is_told_learns_how_many_are_active_and_what_fails_alike():
    tasks = [
        a_task(1, TaskState.RUNNING), a_task(2, TaskState.PREPARING), a_task(3), a_task(4, TaskState.BACKOFF),
        a_task(5, TaskState.BLOCKED, reason="stalled"), a_task(6, TaskState.FAILED, reason="stalled"),
        a_task(7, TaskState.DONE, reason="merged"),
    ]  # fmt: skip
    [notice] = told(a_snapshot(*tasks))
    assert notice.picture == Picture(active=2, slots=3, waiting=2, failing=(("stalled", ("gh-5", "gh-6")),))


@pytest.mark.req("A100")
@pytest.mark.parametrize(("changes", "named"), [({"attempts": 2}, True), ({"attempts": 0}, False),
                                                ({"attempts": 2, "plan": "auth"}, False)])
def test_a_session_that_blocked_its_task_is_handed_on_as_one_file(changes, named):
    [notice] = told(a_snapshot(a_task(5, TaskState.BLOCKED, reason="stalled", **changes)))
    lines = [line for line in notice.picture.evidence if line.endswith("coordinator job diagnose --beads gh-5")]
    assert len(lines) == named


def in_batch(*tasks, **standing):
    issues = {task.issue: an_issue(task.issue, "rpi-auto", "batch:spring") for task in tasks}
    plain = Standing(GatePhase.HELD, since=NOW, number=1, told=1, why="3 of 5 failed alike: merge_conflict: a.py",
                     cause="merge_conflict", share=0.6, evidence=("3 × merge_conflict: gh-1, gh-2, gh-3",))
    return a_snapshot(*tasks, issues=issues, batches={"label:batch:spring": replace(plain, **standing)})


@pytest.mark.req("A93", "A100", "X15")
def test_a_batch_held_since_several_fail_alike_is_told_once_and_not_each_of_its_tasks():
    alike = [a_task(n, TaskState.BLOCKED, reason="merge_conflict") for n in range(1, 4)]
    other = a_task(4, TaskState.BLOCKED, reason="needs_human")
    held, alone = all_told(in_batch(*alike, other, a_task(5)))
    assert held.words == ("batch batch:spring is held, several of its tasks fail alike: "
                          "3 of 5 failed alike: merge_conflict: a.py")
    assert held.cure == "coordinator batch resume --label batch:spring --canary"
    assert held.picture.evidence == ("3 × merge_conflict: gh-1, gh-2, gh-3",)
    assert dict(held.picture.failing)["merge_conflict"] == ("gh-1", "gh-2", "gh-3")
    assert alone.words.startswith("gh-4 is blocked: needs_human")
    keys = frozenset({held.key, *held.along, alone.key})
    assert told(replace(in_batch(*alike, other), notified=keys)) == []
    [again] = told(replace(in_batch(*alike, other, number=2), notified=keys))
    assert again.key != held.key, "held anew, told anew"


@pytest.mark.parametrize("standing", [{"phase": GatePhase.CANARY}, {"phase": GatePhase.FREE}, {"by": "I hold it"}])
def test_a_batch_that_a_person_holds_or_that_goes_on_calls_nobody(standing):
    assert told(in_batch(a_task(5), **standing)) == []


def test_a_plan_that_cannot_be_delivered_is_told_once_and_again_when_it_is_refused_anew():
    def refused(words: str, **known):
        one = Delivery("web", "/src/web", "feature-auth", words=words, **known)
        under = Undertaking(PlanFile("auth", "Auth"), "auth-plan.md", NOW, {"web": one})
        return a_snapshot(plans={"auth": under})

    [notice] = all_told(refused("the push of feature-auth was refused: protected"))
    assert notice.words == "plan auth is not delivered in web: the push of feature-auth was refused: protected"
    assert notice.cure == "coordinator plan resume auth-plan.md"
    assert told(refused("", delivered_at=NOW)) == []
    heard = frozenset({notice.key})
    assert len(told(replace(refused("the pull request was refused", pushed_sha="a" * 40), notified=heard))) == 1


def test_a_leak_is_told_once_however_many_of_its_processes_die_one_by_one():
    task, attempt = a_running(1)
    first = a_snapshot(task, attempts={task.id: (attempt,)}, survivors={task.id: (11, 12)})
    [notice] = all_told(first)
    assert notice.cure == "kill -9 11 12"
    heard = frozenset({notice.key})
    assert told(replace(first, survivors={task.id: (12,)}, notified=heard)) == []
    again = replace(attempt, number=2)
    assert len(told(replace(first, attempts={task.id: (attempt, again)}, notified=heard))) == 1
