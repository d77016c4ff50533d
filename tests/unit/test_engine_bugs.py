"""A fault of ours, a provider that is no longer there or a clock that leaps: one task waits with words at most,
never all, never for ever."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.engine.effects import perform
from coordinator.engine.memory import LONGEST_WORDS, Memory
from coordinator.engine.observe import observe
from coordinator.engine.retention import find
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.world import Options
from coordinator.planning.actions import CleanUp, Reclaim
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Untidied
from coordinator.ports import AuthUnresolved, GitBusy, GitError, GitUnreachable, Handle, TryLater
from tests.factories import NOW, a_task
from tests.support.fakes import Outside, Tree, an_outside

_S = TaskState


def an_engine(outside: Outside, **changes: object) -> Engine:
    return Engine(outside.world(**changes), AtOnce(), lambda why: None)


def ticking(outside: Outside, engine: Engine, ticks: int, seconds: float = 10) -> None:
    for _ in range(ticks):
        engine.tick()
        outside.clock.pass_by(seconds)


def one_issue() -> Outside:
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    return outside


def oops(*_: object, **__: object) -> object:
    raise ZeroDivisionError("oops")


@pytest.mark.parametrize(("where", "name"), [("repo", "ensure_worktree"), ("provider", "judge"), ("repo", "summary")])
def test_a_fault_of_ours_again_and_again_gives_its_task_to_a_person(where, name, monkeypatch):
    outside = one_issue()
    monkeypatch.setattr(getattr(outside, where), name, oops)
    outside.bugs = []
    engine = an_engine(outside, save_bug=lambda trace: outside.bugs.append(trace) or "bug-1.txt")
    ticking(outside, engine, 12)
    [task] = outside.store.tasks()
    assert (task.state, task.reason) == (_S.BLOCKED, "internal_error")
    assert task.detail == "ZeroDivisionError: oops (trace: bug-1.txt)"
    assert len(outside.bugs) == 3
    [attempt] = outside.store.attempts()["gh-1"]
    assert attempt.ending is not None
    assert any("internal_error" in comment.body for comment in outside.github.comments(1))


def test_a_fault_while_a_worker_may_be_alive_never_lets_go_of_it(monkeypatch):
    outside = one_issue()
    plain = outside.executor.submit

    def starts_and_breaks(spec):
        plain(spec)
        raise ZeroDivisionError("after the start")

    monkeypatch.setattr(outside.executor, "submit", starts_and_breaks)
    engine = an_engine(outside)
    ticking(outside, engine, 4, seconds=1)
    [task] = outside.store.tasks()
    assert task.state is _S.PREPARING
    monkeypatch.setattr(outside.executor, "submit", plain)
    ticking(outside, engine, 9)
    assert outside.store.tasks()[0].state is _S.IN_REVIEW
    assert len(outside.executor.workers) == 1


def no_key(*_: object) -> object:
    raise AuthUnresolved("cc_glm_auth_missing", "Token file not found: /token", "export CC_GLM_AUTH_TOKEN=...", 11)


def test_credentials_that_went_away_before_a_start_are_the_reason_why_nothing_ran(monkeypatch):
    outside = one_issue()
    monkeypatch.setattr(outside.provider, "credentials", no_key)
    ticking(outside, an_engine(outside), 2, seconds=1)
    [task] = outside.store.tasks()
    assert (task.reason, task.detail) == ("cc_glm_auth_missing", "Token file not found: /token")
    assert outside.executor.workers == []


def test_a_worker_whose_start_was_not_recorded_is_found_though_its_credentials_went_away(monkeypatch):
    outside = one_issue()
    plain = outside.executor.submit

    def starts_and_breaks(spec):
        plain(spec)
        raise ZeroDivisionError("after the start")

    monkeypatch.setattr(outside.executor, "submit", starts_and_breaks)
    engine = an_engine(outside)
    ticking(outside, engine, 2, seconds=1)
    monkeypatch.setattr(outside.provider, "credentials", no_key)
    ticking(outside, engine, 9)
    assert outside.store.tasks()[0].state is _S.IN_REVIEW
    assert len(outside.executor.workers) == 1


def test_one_fault_between_good_turns_blocks_nothing(monkeypatch):
    outside = one_issue()
    monkeypatch.setattr(outside.repo, "ensure_worktree", oops)
    engine = an_engine(outside)
    ticking(outside, engine, 2)
    monkeypatch.undo()
    ticking(outside, engine, 4)
    assert outside.store.tasks()[0].state is _S.IN_REVIEW
    assert engine.memory.bugs == {}


def test_a_fact_that_cannot_be_written_down_for_a_fault_of_ours_ends_no_daemon(monkeypatch):
    outside = one_issue()
    engine = an_engine(outside)
    monkeypatch.setattr(outside.store, "keep_vet", oops)
    ticking(outside, engine, 2)
    assert len(outside.bugs) == 2
    monkeypatch.undo()
    ticking(outside, engine, 4)
    assert outside.store.tasks()[0].state is _S.IN_REVIEW


def test_a_run_of_a_provider_that_is_no_longer_there_is_left_to_run_and_then_to_a_person(monkeypatch):
    outside = one_issue()
    ticking(outside, an_engine(outside), 1)
    [worker] = outside.executor.workers
    worker.script = replace(worker.script, silent=True)
    monkeypatch.setattr(outside.transcript, "follow", oops)   # the real one asks the provider too
    engine = an_engine(outside, providers={})
    ticking(outside, engine, 1, seconds=30)
    assert outside.store.tasks()[0].state is _S.RUNNING
    worker.ended_at = outside.clock.now()
    ticking(outside, engine, 2)
    [task] = outside.store.tasks()
    assert (task.state, task.reason, outside.bugs) == (_S.BLOCKED, "config_error", [])
    assert task.detail == "there is no provider 'command' here (known: )"


def test_a_start_with_a_provider_that_is_no_longer_there_is_left_to_a_person(monkeypatch):
    outside = one_issue()
    monkeypatch.setattr(outside.executor, "submit", oops)
    ticking(outside, an_engine(outside), 1)
    assert outside.store.tasks()[0].state is _S.PREPARING
    ticking(outside, an_engine(outside, providers={}), 1)
    assert (outside.store.tasks()[0].reason, len(outside.bugs)) == ("config_error", 1)


@pytest.mark.req("E50")
def test_a_clean_up_under_way_spares_a_task_that_was_set_going_meanwhile(monkeypatch):
    outside = one_issue()
    ticking(outside, an_engine(outside), 1)
    outside.repo.trees["gh-9"] = Tree("rpi/gh-9")
    monkeypatch.setattr(outside.executor, "live", tuple)
    cleaned = perform(CleanUp(frozenset(), "11 worktree errors"), outside.world())
    assert (cleaned.removed, cleaned.kept) == (("gh-9",), ("gh-1",))


def test_a_clean_up_of_a_plan_takes_its_own_worktrees_and_none_of_another_plan():
    """Plans that are run by hand share a folder of worktrees; each knows its own tasks alone."""
    outside = an_outside()
    mine = replace(a_task(1, _S.DONE), id="plan-auth-t1", issue=None, plan="auth")
    outside.store.add(mine, Event(mine.id, NOW, "adopted"))
    for task_id in (mine.id, "plan-auth-ui-t1", "plan-bill-t1"):
        outside.repo.trees[task_id] = Tree(f"rpi/{task_id}")
    world = outside.world(Policy(provider="command", login="bot", intake=False, tidy_after=timedelta()))
    assert [one.name.rpartition("/")[2] for one in find(world)] == [mine.id]
    cleaned = perform(CleanUp(frozenset(), "11 worktree errors"), world)
    assert (cleaned.removed, cleaned.kept) == ((mine.id,), ())
    assert set(outside.repo.trees) == {"plan-auth-ui-t1", "plan-bill-t1"}


STUCK = [PermissionError(13, "Permission denied", "/w/gh-1/x"), GitError("Permission denied: /w/gh-1/x")]


def merged_twice(monkeypatch, error: Exception) -> tuple[Outside, list[str]]:
    """Two worktrees of merged work, of which that of gh-1 cannot be removed; and the tries that were made."""
    outside, tries = an_outside(), []
    for number in (1, 2):
        task = a_task(number, _S.DONE, worktree=f"/w/gh-{number}", state_since=NOW - timedelta(days=9))
        outside.store.add(task, Event(task.id, NOW, "adopted"))
        outside.repo.trees[task.id] = Tree(task.branch)
    plain = outside.repo.remove_worktree

    def remove(task_id: str, **more: object) -> None:
        tries.append(task_id)
        if task_id == "gh-1":
            raise error
        plain(task_id, **more)

    monkeypatch.setattr(outside.repo, "remove_worktree", remove)
    return outside, tries


@pytest.mark.parametrize(("error", "hours"), [*((one, 24) for one in STUCK), (GitBusy("held: process 7"), 1 / 12)])
def test_a_worktree_that_cannot_be_removed_is_said_once_rests_and_keeps_no_other(monkeypatch, error, hours):
    outside, tries = merged_twice(monkeypatch, error)
    engine = an_engine(outside)
    ticking(outside, engine, 12, seconds=hours * 300)
    assert tries == ["gh-1", "gh-2"]
    ticking(outside, engine, 2, seconds=hours * 300)
    assert tries == ["gh-1", "gh-2", "gh-1"]
    [said] = [line for line in outside.lines if "gh-1" in line]
    assert said.startswith("gh-1: its worktree was not removed: ")
    assert [task.tidied for task in outside.store.tasks()] == [False, True]


@pytest.mark.parametrize("error", STUCK)
def test_a_clean_up_and_making_room_go_on_past_a_worktree_that_cannot_be_removed(monkeypatch, error):
    outside, tries = merged_twice(monkeypatch, error)
    cleaned = perform(CleanUp(frozenset(), "11 worktree errors"), outside.world())
    assert (cleaned.removed, cleaned.kept) == (("gh-2",), ("gh-1",))
    outside, tries = merged_twice(monkeypatch, error)
    made = perform(Reclaim("", outside.store.tasks(), "no room"), outside.world())
    assert ([task.id for task in made.removed], tries) == (["gh-2"], ["gh-1", "gh-2"])
    assert "gh-1: not removed: Permission denied: /w/gh-1/x" in outside.lines


def test_a_hook_before_a_removal_that_has_no_worktree_any_more_does_not_keep_it(monkeypatch):
    """A person removed the folder by hand."""
    outside, _ = merged_twice(monkeypatch, STUCK[0])

    def gone(*_: object) -> tuple[bool, str]:
        raise GitError("/w/gh-2 is no worktree any more")

    monkeypatch.setattr(outside.repo, "run_hook", gone)
    ticking(outside, an_engine(outside, options=Options(before_remove="true")), 2)
    assert [task.tidied for task in outside.store.tasks()] == [False, True]


def test_a_clean_up_asks_once_more_when_it_holds_the_repository(monkeypatch):
    """What lies in the cell of a dead worker may take minutes to come out."""
    outside = one_issue()
    outside.repo.trees["gh-9"] = Tree("rpi/gh-9")
    answers = iter([(), (Handle("claude", "gh-9", "t"),)])
    monkeypatch.setattr(outside.executor, "live", lambda: next(answers))
    cleaned = perform(CleanUp(frozenset(), "11 worktree errors"), outside.world())
    assert (cleaned.removed, cleaned.kept, [*outside.repo.trees]) == ((), ("gh-9",), ["gh-9"])


def test_work_that_does_not_come_out_of_its_walls_yet_is_asked_for_again_and_not_refused(monkeypatch):
    outside = one_issue()
    answers = iter([GitBusy("no answer within 30 s"), GitBusy("no answer within 60 s")])

    def let_out(*_: object) -> None:
        if (busy := next(answers, None)) is not None:
            raise busy

    monkeypatch.setattr(outside.repo, "let_out", let_out)
    ticking(outside, an_engine(outside), 8)
    [task] = outside.store.tasks()
    assert (next(answers, None), task.state) == (None, _S.IN_REVIEW)
    assert len(outside.store.attempts()["gh-1"]) == 1


def test_what_was_seen_of_an_earlier_attempt_is_no_evidence_for_a_later_one():
    outside = one_issue()
    engine = an_engine(outside)
    ticking(outside, engine, 1)
    [attempt] = outside.store.attempts()["gh-1"]

    class Old:
        attempt = replace(outside.store.attempts()["gh-1"][0], token="f" * 32)
        evidence = object()

    assert "gh-1" not in observe(engine.world, Memory(examined={"gh-1": Old()})).evidence
    Old.attempt = attempt
    assert "gh-1" in observe(engine.world, Memory(examined={"gh-1": Old()})).evidence


def test_a_clock_set_back_lets_nothing_rest_for_as_long_as_it_was_wrong(monkeypatch):
    outside = one_issue()
    outside.clock.pass_by(86_400)
    monkeypatch.setattr(outside.repo, "ensure_worktree", oops)
    engine = an_engine(outside)
    ticking(outside, engine, 1, seconds=0)
    assert engine.memory.holdoff
    engine.memory.untidied["gh-9"] = Untidied(outside.clock.now(), "busy", outside.clock.now() + timedelta(days=1))
    monkeypatch.undo()
    outside.clock.pass_by(-86_400)
    ticking(outside, engine, 4)
    assert (outside.store.tasks()[0].state, engine.memory.untidied) == (_S.IN_REVIEW, {})


def test_the_engine_notices_that_the_clock_was_set_or_the_host_slept():
    outside = one_issue()
    engine = an_engine(outside)
    ticking(outside, engine, 4, seconds=60)
    assert engine.memory.woke_at is None
    outside.clock.pass_by(3600)
    engine.tick()
    assert engine.memory.woke_at == outside.clock.now()


def test_work_that_stands_beside_our_branch_is_kept_and_given_to_a_person(monkeypatch):
    outside = one_issue()
    plain = type(outside.repo).work
    monkeypatch.setattr(outside.repo, "work", lambda *what: replace(plain(outside.repo, *what), branch_ok=False,
                                                                    head_sha="elsewhere", dirty=("x",)))
    monkeypatch.setattr(outside.repo, "take_home", lambda *_: False)
    monkeypatch.setattr(outside.repo, "commit_all", oops)
    monkeypatch.setattr(outside.repo, "push", oops)
    ticking(outside, an_engine(outside), 4)
    [task] = outside.store.tasks()
    assert (task.state, task.reason, outside.bugs) == (_S.BLOCKED, "foreign_worktree", [])


def test_a_branch_that_moved_after_it_was_looked_at_is_pushed_once(monkeypatch):
    outside = one_issue()
    pushes = []
    plain = type(outside.repo).push

    def moves_on(branch, **how):
        if not pushes:
            outside.repo.commit("gh-1")
        pushes.append(branch)
        return plain(outside.repo, branch, **how)

    monkeypatch.setattr(outside.repo, "push", moves_on)
    ticking(outside, an_engine(outside), 4)
    assert (outside.store.tasks()[0].state, len(pushes)) == (_S.IN_REVIEW, 1)


def test_a_trouble_is_told_while_it_lasts_in_few_words_and_no_longer() -> None:
    memory, task = Memory(), a_task(1, _S.PREPARING, attempts=1)
    for words in ("first", "git said:\n" + "much " * 10_000):
        memory.troubled("work:gh-1", task, words)
    memory.troubled("say:gh-1", task, "a comment was refused")
    [(lane, (count, said))] = memory.lasting({"gh-1": replace(task, version=9)}).items()
    assert (lane, count, len(said)) == ("work:gh-1", 2, LONGEST_WORDS)
    assert said.startswith("git said: much")
    moved = replace(task, state=_S.BLOCKED, state_since=task.state_since + timedelta(hours=1))
    assert memory.lasting({"gh-1": moved}) == {} == memory.troubles
    memory.troubled("work:gh-1", task, "again")
    memory.troubled("work:gh-1", moved, "in another state")
    assert memory.lasting({"gh-1": moved}) == {"work:gh-1": (1, "in another state")}
    memory.troubled("work:gh-1", None, "GitHub rests")
    assert memory.lasting({"gh-1": moved}) == {}
    memory.troubled("work:gh-1", moved, "again")
    assert memory.lasting({}) == {} == memory.troubles
    memory.troubled("work:gh-1", moved, "again")
    memory.recovered("work:gh-1")
    assert memory.lasting({"gh-1": moved}) == {}


def test_why_tells_what_fails_until_the_task_moves_on_or_github_is_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside, failing = one_issue(), [GitUnreachable("no route")]
    engine = an_engine(outside)

    def fails() -> None:
        raise failing[0]

    monkeypatch.setattr(outside.repo, "fetch", fails)
    ticking(outside, engine, 8)
    words = plan(observe(engine.world, engine.memory)).waits["gh-1"].words
    assert "; this failed" in words
    assert words.endswith("the last time: the remote cannot be reached: no route")
    failing[0] = TryLater("GitHub is away")
    ticking(outside, engine, 8, 60)
    assert "; this failed" not in plan(observe(engine.world, engine.memory)).waits["gh-1"].words


def test_what_is_left_of_a_worker_is_swept_again_after_a_rest_and_not_at_each_turn(monkeypatch):
    outside, swept = one_issue(), []
    outside.executor.undying["gh-1"] = (4711,)
    plain = outside.executor.sweep
    monkeypatch.setattr(outside.executor, "sweep", lambda handle: swept.append(outside.clock.now()) or plain(handle))
    engine = an_engine(outside)
    ticking(outside, engine, 40, seconds=10)
    pauses = [(after - before).total_seconds() for before, after in itertools.pairwise(swept)]
    assert len(pauses) > 3
    assert min(pauses) > 0
    assert pauses == sorted(pauses)
    assert pauses[-1] > 60
    outside.executor.undying.clear()
    ticking(outside, engine, 40, seconds=10)
    assert outside.store.tasks()[0].state is _S.IN_REVIEW


def test_a_trace_that_cannot_be_saved_makes_no_second_trouble_of_it():
    outside = one_issue()

    def full(trace: str) -> object:
        raise OSError(28, "No space left on device")

    world = an_engine(outside, save_bug=full).world
    assert world.keep_bug("Traceback: oops") == "in the log"
    assert outside.lines[-1] == (
        "the trace of a bug of ours could not be saved: [Errno 28] No space left on device\nTraceback: oops")
