"""What is planned without the claim on the repository, and of what another coordinator left when it is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.claim import Claim
from coordinator.domain.issue import PullState
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.domain.worker import Exited
from coordinator.planning.actions import (
    CLAIM_LANE,
    Adopt,
    Answer,
    Begin,
    Examine,
    Inherit,
    KeepClaim,
    Move,
    Publish,
    Push,
    StopWorker,
    work_lane,
)
from coordinator.planning.claiming import Hold, Inheritance, Left
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Snapshot, Speech
from tests.factories import NOW, a_pull, a_request, a_running, a_snapshot, a_task, a_vet, a_view, an_attempt, an_issue

OTHER = Claim("h2", "l2", 4, "berta", 4711, "/home/berta/widgets")
LOST = Hold(open=False, words="berta (pid 4711) holds this repository", cure="coordinator run --take-over",
            due=NOW + timedelta(minutes=3), other=OTHER)
UNKNOWN = Hold(open=False, words="who holds the repository is being asked", due=NOW)
LEFT = {"rpi/gh-1": Left("left-sha")}


STRANGER = a_vet(7, actor="eve", permission="read")


def busy_house(claim: Hold) -> Snapshot:
    """Something of every kind to be done."""
    running, its = a_running(2)
    published = an_attempt(task=3, commits=1, head_sha="h3")
    tasks = (a_task(1), running, a_task(3, TaskState.PUBLISHING), a_task(4, TaskState.IN_REVIEW, pr_number=7),
             a_task(6, TaskState.PREPARING))
    return a_snapshot(
        *tasks,
        attempts={"gh-2": (its,), "gh-3": (published,), "gh-6": (an_attempt(task=6),)},
        issues={n: an_issue(n) for n in range(1, 8)}, vets={1: a_vet(1), 5: a_vet(5), 7: STRANGER},
        views={"gh-2": a_view()},
        speech={"gh-1": Speech(living="a word")}, requests=(a_request(RequestKind.STOP, "gh-4"),),
        claim=claim, poll_due=True,
    )


def kinds(snapshot: Snapshot) -> set[str]:
    return {type(action).__name__ for action in plan(snapshot).actions}


@pytest.mark.req("W2")
def test_without_the_claim_nothing_is_started_written_or_asked_of_github():
    assert kinds(busy_house(Hold())) >= {"Poll", "Adopt", "Begin", "Prepare", "Push", "Tell", "Explain"}
    for claim in (LOST, UNKNOWN):
        made = plan(busy_house(claim))
        assert {type(action).__name__ for action in made.actions} <= {"KeepClaim", "StopWorker", "Move"}
        assert {made.waits[f"gh-{n}"].code for n in (1, 3, 6)} == {"claim"}
        assert made.waits["gh-1"].words == claim.words
        assert made.waits["gh-1"].moves == claim.cure


@pytest.mark.req("W2")
def test_what_runs_here_is_ended_only_once_another_is_known_to_have_the_issue():
    [stop] = [one for one in plan(busy_house(LOST)).actions if isinstance(one, StopWorker)]
    assert (stop.task.id, stop.reason, stop.by) == ("gh-2", "shutdown", "shutdown")
    assert "berta" in stop.words
    made = plan(busy_house(UNKNOWN))
    assert not [one for one in made.actions if isinstance(one, StopWorker)]
    assert made.waits["gh-2"].code == "running"


def test_people_are_answered_and_what_ended_is_looked_at_without_the_claim():
    task, attempt = a_running(2)
    over = a_snapshot(task, attempts={"gh-2": (attempt,)}, views={"gh-2": Exited(0, None, "process_exit")}, claim=LOST,
                      requests=(a_request(RequestKind.RETRY, "gh-9"),))
    assert {type(one) for one in plan(over).actions} == {Examine, Answer}


def test_the_claim_is_seen_to_when_it_is_due_and_the_plan_wakes_for_it():
    due = replace(LOST, due=NOW + timedelta(minutes=3), until=NOW + timedelta(minutes=9))
    assert plan(a_snapshot(claim=due)).wake_at == NOW + timedelta(minutes=3)
    assert KeepClaim() not in plan(a_snapshot(claim=due)).actions
    assert KeepClaim() in plan(a_snapshot(claim=UNKNOWN)).actions
    assert KeepClaim() not in plan(a_snapshot(claim=UNKNOWN, busy=frozenset({CLAIM_LANE}))).actions
    assert KeepClaim() not in plan(a_snapshot()).actions


# --- what another left --------------------------------------------------------------------------------


def heir(*tasks, left: dict[str, Left] = LEFT, **changes) -> Snapshot:
    return a_snapshot(*tasks, issues={1: an_issue()}, vets={1: a_vet()}, inheritance=Inheritance(left), **changes)


@pytest.mark.req("W2")
@pytest.mark.parametrize("state", [None, TaskState.QUEUED, TaskState.BACKOFF, TaskState.PUBLISHING])
def test_a_pull_request_that_stands_is_asked_for_before_its_issue_goes_on(state):
    tasks = (a_task(1, state),) if state else ()
    attempts = {"gh-1": (an_attempt(commits=1, head_sha="ours"),)} if state else {}
    made = plan(heir(*tasks, attempts=attempts))
    assert [(one.branch, one.sha) for one in made.actions if isinstance(one, Inherit)] == [("rpi/gh-1", "left-sha")]
    assert not [one for one in made.actions if isinstance(one, Adopt | Begin | Push | Publish)]


@pytest.mark.req("W2")
@pytest.mark.parametrize("state", [None, TaskState.QUEUED, TaskState.BACKOFF, TaskState.PUBLISHING])
def test_work_that_another_brought_to_review_is_in_review_here_and_nothing_is_told_again(state):
    tasks = (a_task(1, state),) if state else ()
    attempts = {"gh-1": (an_attempt(commits=1, head_sha="ours"),)} if state else {}
    known = heir(*tasks, attempts=attempts, left={"rpi/gh-1": Left("left-sha", 7)}, pulls={7: a_pull(7)})
    [step] = [one for one in plan(known).actions if isinstance(one, Adopt | Move | Begin | Push | Publish)]
    if isinstance(step, Adopt):
        task = step.task
        assert task.state is TaskState.IN_REVIEW
    else:
        assert isinstance(step, Move)
        assert step.to is TaskState.IN_REVIEW
        task = replace(step.task, **step.changes)
    assert (task.pr_number, task.pushed_sha, task.completed_at) == (7, "left-sha", None)


def test_a_branch_without_a_pull_request_is_built_upon_and_one_that_is_ours_is_our_own_affair():
    none = {"rpi/gh-1": Left("left-sha", 0)}
    [adopted] = [one.task for one in plan(heir(left=none)).actions if isinstance(one, Adopt)]
    assert adopted.state is TaskState.QUEUED
    assert Inheritance(none).expected(adopted) == "left-sha"
    assert Inheritance(none).expected(replace(adopted, pushed_sha="ours")) == "ours"
    assert Inheritance().expected(adopted) == ""

    ours = a_task(1, pushed_sha="left-sha", pr_number=7)
    again = plan(heir(ours, pulls={7: a_pull(7)}, listed_at=NOW))
    assert [type(one) for one in again.actions if getattr(one, "task", None) == ours] == [Begin]


def test_a_closed_or_merged_one_that_was_left_is_followed_like_our_own():
    for state, to in ((PullState.MERGED, TaskState.DONE), (PullState.CLOSED, TaskState.BLOCKED)):
        task = a_task(1, TaskState.IN_REVIEW, pr_number=7, pushed_sha="left-sha")
        made = plan(heir(task, left={"rpi/gh-1": Left("left-sha", 7)}, pulls={7: a_pull(7, state)}))
        assert [one.to for one in made.actions if isinstance(one, Move)] == [to]


def test_it_is_asked_one_at_a_time_and_not_while_github_rests():
    waits = plan(heir(a_task(1), busy=frozenset({work_lane("gh-1")}))).waits
    assert waits["gh-1"].code == "moving"
    shut = heir(a_task(1), github_until=NOW + timedelta(minutes=1), github_words="down")
    assert not [one for one in plan(shut).actions if isinstance(one, Inherit | Begin)]
