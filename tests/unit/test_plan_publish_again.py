"""A retry of work that is done and was only refused on its way out publishes it; what asks for other work gets that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from coordinator.domain.issue import fingerprint
from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import Task, TaskState
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.actions import Move
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.ports import GitError, Refused
from tests.factories import NOW, a_request, a_snapshot, a_task, a_vet, an_attempt, an_issue
from tests.support.fake_github import BOT
from tests.support.fakes import Outside, an_outside

S, E = TaskState, Ending
HEAD = "h" * 40


def refused(reason: str = "push_refused", **changes: Any) -> Task:
    return replace(a_task(1, S.BLOCKED), **{"reason": reason, "provider": "command", "attempts": 1,
                                           "pushed_sha": HEAD, **changes})


def done(**changes: Any):
    return an_attempt(**{"ending": E.SUCCEEDED, "commits": 1, "head_sha": HEAD, **changes})


def move_of(task: Task, *labels: str, attempt: Any = None, words: str = "Title 1", **args: str) -> Move:
    """The move of a retry by label, where labels are given, or by the command."""
    attempts = {"gh-1": (attempt or done(),)}
    issue = an_issue(1, "rpi-auto", *labels, title=words)
    vet = a_vet(1, retry_event_id=12, retry_actor="ann", retry_permission="write", retried_at=NOW,
                sha256=fingerprint(words, ""))
    requests = () if labels else (a_request(RequestKind.RETRY, **args),)
    made = plan(a_snapshot(task, attempts=attempts, issues={1: issue}, vets={1: vet}, requests=requests))
    [move] = [action for action in made.actions if isinstance(action, Move)]
    return move


LABEL = ("rpi-retry",)


@pytest.mark.parametrize(("task", "labels", "more", "to"), [
    (refused(), (), {}, S.PUBLISHING),
    (refused("pr_refused"), (), {}, S.PUBLISHING),
    (refused(), LABEL, {}, S.PUBLISHING),
    (refused("pr_refused"), LABEL, {}, S.PUBLISHING),
    (refused(), (*LABEL, "provider:command"), {}, S.PUBLISHING),
    (refused(), (), {"attempt": done(ending=E.NO_CHANGE, commits=0)}, S.PUBLISHING),
    (refused(), (), {"fresh": "1"}, S.QUEUED),
    (refused(), (), {"provider": "command"}, S.QUEUED),
    (refused(), (), {"attempt": done(ending=E.FAILED)}, S.QUEUED),
    (refused(), (), {"attempt": done(head_sha="")}, S.QUEUED),
    (refused(), LABEL, {"words": "Something else"}, S.QUEUED),
    (refused(), (*LABEL, "provider:codex"), {}, S.QUEUED),
    (refused(), (*LABEL, "model:opus"), {}, S.QUEUED),
    (refused(), (*LABEL, "workflow:plan-build-review"), {}, S.QUEUED),
    *((refused(reason), labels, {}, S.QUEUED) for labels in ((), LABEL)
      for reason in ("secret_found", "protected_path", "pr_closed", "max_retries", "foreign_worktree")),
    (refused(state=S.FAILED), (), {}, S.QUEUED),
    (refused(plan="auth"), (), {}, S.QUEUED),
])
def test_where_a_retry_takes_a_task(task, labels, more, to):
    assert move_of(task, *labels, **more).to is to


@pytest.mark.parametrize("labels", [(), LABEL])
@pytest.mark.parametrize(("pushed", "changed"), [(HEAD, {"pushed_sha": ""}), ("", {}), ("other", {})])
def test_a_branch_that_is_where_it_was_pushed_is_pushed_all_the_same(labels, pushed, changed):
    changes = move_of(refused(pushed_sha=pushed), *labels).changes
    assert {key: value for key, value in changes.items() if key == "pushed_sha"} == changed
    assert (changes["completed_at"], changes["retries_used"], changes["fresh"]) == (None, 0, False)


def test_a_label_is_heard_once_though_it_is_refused_again():
    task = refused()
    move = move_of(task, *LABEL)
    after = replace(task.move(S.PUBLISHING, NOW), **move.changes).move(S.BLOCKED, NOW, reason="push_refused")
    with pytest.raises(ValueError, match="not enough values"):
        move_of(after, *LABEL)


# --- the whole way ----------------------------------------------------------------------------------------


def ticking(outside: Outside, ticks: int = 4) -> Task:
    world = outside.world(Policy(provider="command", login=BOT))
    engine = Engine(world, AtOnce(), lambda why: None)
    for _ in range(ticks):
        engine.tick()
        outside.clock.pass_by(6)
    [task] = outside.store.tasks()
    return task


@pytest.mark.parametrize("worktree", [True, False])
def test_a_pull_request_that_was_refused_is_opened_without_another_session_though_branch_and_worktree_are_gone(
    monkeypatch, worktree,
):
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")

    def no(**_: object) -> None:
        raise Refused("Validation Failed")

    with monkeypatch.context() as patched:
        patched.setattr(outside.github, "open_pull", no)
        assert ticking(outside).reason == "pr_refused"
    del outside.repo.remote["rpi/gh-1"]
    if not worktree:
        del outside.repo.trees["gh-1"]
        monkeypatch.setattr(outside.repo, "summary", _no_worktree)
    outside.store.ask(RequestKind.RETRY, "gh-1", {}, "cli", NOW)

    task = ticking(outside)

    assert (task.state, task.attempts, len(outside.executor.workers)) == (S.IN_REVIEW, 1, 1)
    assert outside.repo.remote["rpi/gh-1"][-1] == task.pushed_sha
    [answer] = [outside.store.answered(1)]
    assert answer == "gh-1 is published again, its work is done: --fresh begins anew"


def _no_worktree(*_: object) -> None:
    raise GitError("/w/gh-1 is no worktree any more")


def test_a_push_that_was_refused_goes_out_without_another_session():
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    outside.repo.refuse_push = "protected branch"
    assert ticking(outside).reason == "push_refused"
    outside.repo.refuse_push = ""
    outside.store.ask(RequestKind.RETRY, "gh-1", {}, "cli", NOW)
    task = ticking(outside)
    assert (task.state, task.attempts, len(outside.github.pulls)) == (S.IN_REVIEW, 1, 1)
