"""Effects bring back facts and never raise; late facts are dropped; what they count comes back equal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.outcome import Ending
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event
from coordinator.domain.task import TaskState
from coordinator.engine.effects import perform
from coordinator.engine.facts import EffectFailed, Launched, Tidied, Told
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.engine.record import Recorder
from coordinator.engine.speech import notices_of
from coordinator.engine.tick import AtOnce, Engine
from coordinator.planning.actions import Explain, Launch, Poll, Tell
from coordinator.planning.policy import LabelNames, Policy
from coordinator.ports import (
    BadCredentials,
    Forbidden,
    GitUnreachable,
    Limited,
    NotThere,
    NotYet,
    Readiness,
    Refused,
    TryLater,
)
from coordinator.wording.prompt import TemplateError
from tests.factories import NOW, a_task, an_attempt
from tests.support.fake_github import BOT
from tests.support.fakes import ROOT, FakeProvider, Outside, Script, an_outside

METRICS, TASKS = ROOT / "adws" / "metrics.json", ROOT / "tasks.md"


def ticking(outside: Outside, ticks: int = 4) -> Engine:
    engine = Engine(outside.world(), AtOnce(), lambda why: None)
    for _ in range(ticks):
        engine.tick()
        outside.clock.pass_by(6)
    return engine


def at_work() -> Outside:
    outside = an_outside()
    for number in (1, 2):
        outside.github.person_opens(number, "rpi-auto")
    return outside


@pytest.mark.parametrize(("error", "until", "words"), [
    (TryLater("down"), True, "down"),
    (BadCredentials("401"), True, "401"),
    (Limited("limit", NOW), True, "limit"),
    (GitUnreachable("no route"), False, "the remote cannot be reached: no route"),
    (OSError(28, "No space left on device", "/x"), False, "No space left on device: /x"),
    (ZeroDivisionError("oops"), False, "ZeroDivisionError: oops"),
])
def test_an_effect_never_raises(error, until, words, monkeypatch):
    outside = an_outside()

    def fails(cursor):
        raise error

    monkeypatch.setattr(outside.github, "changed_issues", fails)
    fact = perform(Poll((), full=True), outside.world())
    assert isinstance(fact, EffectFailed)
    assert (fact.words, fact.github_until is not None) == (words, until)
    assert bool(fact.bug) == isinstance(error, ZeroDivisionError)


def test_a_late_fact_about_a_task_that_moved_is_dropped():
    outside = an_outside()
    task = a_task(1, TaskState.BLOCKED)
    outside.store.add(task, Event(task.id, NOW, "adopted"))
    moved = task.move(TaskState.QUEUED, NOW)
    outside.store.save(moved, Event(task.id, NOW, "to QUEUED"), was=task.version)
    Recorder(outside.world(), Memory()).record(Tidied(task, "gone"))
    assert outside.store.task(task.id) == moved
    assert outside.lines == ["dropped a late Tidied: gh-1 is no longer at version 0"]


@pytest.mark.req("E47", "E48", "N11")
def test_both_files_come_back_equal_from_the_store():
    outside = at_work()
    ticking(outside)
    before = dict(outside.files.texts)
    counted = json.loads(before[METRICS])
    assert [counted[key] for key in ("workers_launched", "workers_completed", "prs_created")] == [2, 2, 2]
    for path in (METRICS, TASKS):
        outside.files.remove(path)
    Engine(outside.world(), AtOnce(), lambda why: None, Memory(poll_due=False)).tick()
    assert outside.files.texts[TASKS] == before[TASKS]
    after = json.loads(outside.files.texts[METRICS])
    moving = dict.fromkeys(("last_update", "api_requests", "api_not_modified"))
    assert {**after, **moving} == {**counted, **moving}


def test_metrics_of_a_newer_coordinator_are_left_alone():
    outside = at_work()
    newer = json.dumps({"schema": 99})
    outside.files.texts[METRICS] = newer
    ticking(outside, 1)
    assert outside.files.texts[METRICS] == newer
    assert any(line.startswith("adws/metrics.json cannot be written") for line in outside.lines)


@pytest.mark.req("P66")
def test_an_edit_made_while_the_file_is_being_replaced_is_not_overwritten(monkeypatch):
    outside = at_work()
    engine = ticking(outside, 1)
    edited = outside.files.texts[TASKS].replace("## Pending\n", "## Pending\n\n[] By hand\n", 1)
    plain = type(outside.files).put_if_unchanged

    def races(path, text, seen):
        outside.files.texts[TASKS] = edited
        monkeypatch.undo()
        return plain(outside.files, path, text, seen)

    monkeypatch.setattr(outside.files, "put_if_unchanged", races)
    engine.tick()
    engine.tick()
    assert [task.title for task in outside.store.tasks() if task.issue is None] == ["By hand"]


@pytest.mark.req("W23")
def test_a_new_engine_finds_its_workers_and_starts_none_again():
    outside = at_work()
    ticking(outside, 1)
    before = outside.store.attempts()
    assert len(outside.executor.live()) == 2
    engine = Engine(outside.world(), AtOnce(), lambda why: None)
    engine.tick()
    assert len(outside.executor.workers) == 2
    assert {key: [one.token for one in history] for key, history in outside.store.attempts().items()} == {
        key: [one.token for one in history] for key, history in before.items()}


def test_a_refusal_of_github_is_a_fact_too(monkeypatch):
    outside = an_outside()

    def refuses(cursor):
        raise Refused("no")

    monkeypatch.setattr(outside.github, "changed_issues", refuses)
    assert isinstance(perform(Poll((), full=True), outside.world()), EffectFailed)


def test_a_worker_that_runs_is_recorded_though_its_template_broke_meanwhile(monkeypatch):
    outside = at_work()
    engine = ticking(outside, 1)
    world = engine.world
    [task] = [one for one in world.store.tasks() if one.id == "gh-1"]
    [attempt] = world.store.attempts()["gh-1"]

    def broken(name):
        raise TemplateError("worker_templates/default/prompt.md is empty")

    world.template = broken
    fact = perform(Launch(replace(task, state=TaskState.PREPARING), replace(attempt, launched_at=None)), world)
    assert isinstance(fact, Launched)


def test_an_issue_that_is_gone_is_told_nothing_more(monkeypatch):
    outside = at_work()
    engine = ticking(outside)

    def gone(*_):
        raise NotThere("404")

    for name in ("comments", "add_comment", "edit_comment", "issue", "remove_label"):
        monkeypatch.setattr(outside.github, name, gone)
    task = next(one for one in engine.world.store.tasks() if one.id == "gh-1")
    told = perform(Tell(task, None, living=True, notices=frozenset({"x"}), labels=True, unretry=False), engine.world)
    assert isinstance(told, Told)
    engine.world.store.keep_outward(told.outward)
    assert [one for one in engine.preview()[1].actions if isinstance(one, Tell) and one.task.id == "gh-1"] == []


FORBIDDEN, REFUSED = Forbidden("403: no right"), Refused("403: issue is locked")
FULL = LabelNames(mode="full")


def in_full(outside: Outside) -> Engine:
    """Eight minutes of a coordinator that sets all labels."""
    engine = Engine(outside.world(Policy(provider="command", login=BOT, labels=FULL)), AtOnce(), lambda why: None)
    for _ in range(8):
        engine.tick()
        outside.clock.pass_by(60)
    return engine


def on_a_comment(error):
    def trouble(what):
        if what == "comment on 1":
            raise error

    return trouble


@pytest.mark.parametrize(("error", "may_not", "words", "times"), [
    (REFUSED, "comment on 1", "nothing can be said on its issue", 3),      # a move
    (FORBIDDEN, "comment on 1", "nothing can be said on its issue", 2),    # as long as it lasts, a change of labels
    (REFUSED, "label 1", "its labels cannot be changed", 1),
    (FORBIDDEN, "label 1", "its labels cannot be changed", 1),
])
def test_what_the_token_may_not_say_is_told_and_the_work_comes_to_its_end(error, may_not, words, times):
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")

    def forbids(what):
        if what == may_not:
            raise error

    outside.github.trouble = forbids
    engine = in_full(outside)
    [task] = outside.store.tasks()
    assert task.state is TaskState.IN_REVIEW
    assert sum(words in line for line in outside.lines) == times
    asked = len(outside.github.asked)
    engine.tick()
    assert [one for one in outside.github.asked[asked:] if one.startswith((may_not, "comments"))] == []
    assert not any(line.startswith("say:") for line in outside.lines)


def test_what_comments_were_forbidden_for_is_said_once_the_right_is_back_and_labels_do_not_wait():
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    lacks = [True]

    def forbids(what):
        if lacks and what == "comment on 1":
            raise FORBIDDEN

    outside.github.trouble = forbids
    engine = in_full(outside)
    assert (outside.github.issues[1].labels, outside.github.comments(1)) == ({"rpi-auto", FULL.in_review}, ())
    before = outside.github.asked.count("comment on 1")
    for _ in range(30 * 60):
        engine.tick()
        outside.clock.pass_by(60)
    assert 20 < outside.github.asked.count("comment on 1") - before < 40, "first each five minutes, then seldom"
    lacks.clear()
    outside.clock.pass_by(86_400)
    engine.tick()
    assert [":status -->" in one.body for one in outside.github.comments(1)] == [True, False]
    assert "✅ Completed!" in outside.github.comments(1)[1].body


def test_labels_whose_answer_was_lost_are_unknown_also_where_another_told_of_them_meanwhile():
    outside = at_work()
    engine = ticking(outside)
    task = next(one for one in outside.store.tasks() if one.id == "gh-1")
    sure = replace(outside.store.outward()["gh-1"], labels=frozenset({"rpi:queued"}))
    outside.store.keep_outward(sure)
    late = EffectFailed(Tell(task, None, living=False, notices=frozenset(), labels=True, unretry=False), "no answer")
    Recorder(engine.world, Memory()).record(late)
    assert outside.store.outward()["gh-1"] == replace(sure, labels=None)


def test_a_comment_that_is_refused_for_its_haste_is_tried_again(monkeypatch):
    outside = at_work()
    engine = ticking(outside)
    task = next(one for one in outside.store.tasks() if one.id == "gh-1")

    outside.github.trouble = on_a_comment(NotYet("422: was submitted too quickly"))
    monkeypatch.setattr(outside.github, "comments", lambda number: ())   # none was made yet
    notices = frozenset(one.key for one in notices_of(task, engine.world))
    tell = Tell(task, None, living=False, notices=notices, labels=False, unretry=False)
    assert (bool(notices), type(perform(tell, engine.world))) == (True, EffectFailed)


def test_an_explanation_that_is_refused_for_its_haste_is_not_taken_for_said():
    outside = at_work()

    outside.github.trouble = on_a_comment(NotYet("422: was submitted too quickly"))
    assert isinstance(perform(Explain(1, "it was edited", "set the label anew", "held"), outside.world()), EffectFailed)


def test_a_living_comment_of_another_account_is_left_and_one_of_ours_made(monkeypatch):
    outside = at_work()
    engine = ticking(outside)
    task = next(one for one in outside.store.tasks() if one.id == "gh-1")
    before = outside.store.outward()["gh-1"].comment_id

    def edit(number, body):
        raise FORBIDDEN

    monkeypatch.setattr(outside.github, "edit_comment", edit)
    monkeypatch.setattr(outside.github, "comments", lambda number: ())   # none is ours any more
    told = perform(Tell(task, None, living=True, notices=frozenset(), labels=False, unretry=False), engine.world)
    assert isinstance(told, Told)
    assert (told.outward.comment_id not in (None, before), told.unsaid) == (True, "")


@pytest.mark.parametrize(("full", "numbers"), [(True, [100, 101]), (False, [])])
def test_where_all_is_listed_anew_each_awaited_pull_request_is_asked_for(full, numbers, monkeypatch):
    outside = at_work()
    engine = ticking(outside)
    asked = []
    plain = outside.github.recent_pulls
    monkeypatch.setattr(outside.github, "recent_pulls",
                        lambda known, awaited: asked.extend(awaited) or plain(known))
    assert not isinstance(perform(Poll((100, 101), full=full), engine.world), EffectFailed)
    assert asked == numbers


class Asked(FakeProvider):
    """Remembers how often it was asked whether it is ready."""

    count = 0

    def ready(self, probe, settings):
        self.count += 1
        return super().ready(probe, settings)


def test_a_stand_in_is_asked_nothing_while_none_is_needed_and_proves_an_answer_before_it_works():
    outside = an_outside()
    outside.other = Asked(outside.executor, "codex")
    outside.github.person_opens(1, "rpi-auto")
    policy = Policy(provider="command", login=BOT, providers=frozenset({"command", "codex"}), max_workers=0,
                    fallback={"command": ("codex",)})
    engine = Engine(outside.world(policy), AtOnce(), lambda why: None)
    engine.tick()
    assert (outside.other.count, outside.other.answered) == (0, set())

    outside.provider.readiness = Readiness(False, "not found", "command_binary_missing")
    outside.clock.pass_by(60)
    engine.world.policy = replace(policy, max_workers=1)
    engine.tick()

    assert (outside.other.count, outside.other.answered) == (1, {"codex"})
    [attempt] = outside.store.attempts()["gh-1"]
    assert (attempt.provider, attempt.switch_from, attempt.fallback_reason) == (
        "codex", "command", "command_binary_missing")
    assert json.loads(outside.store.document("proofs") or "")["codex"]["no"] is None


@pytest.mark.parametrize("no", [None, {"code": "codex_auth_blocked", "words": "401", "cure": ""}])
def test_an_answer_of_a_clock_that_was_set_back_since_is_neither_proof_nor_refusal(no):
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    outside.provider.readiness = Readiness(False, "not found", "command_binary_missing")
    ahead = outside.clock.now() + timedelta(days=400)
    outside.store.keep_document("proofs", json.dumps({"codex": {"at": ahead.isoformat(), "no": no}}))
    policy = Policy(provider="command", login=BOT, providers=frozenset({"command", "codex"}),
                    fallback={"command": ("codex",)})
    Engine(outside.world(policy), AtOnce(), lambda why: None).tick()
    assert outside.other.answered == {"codex"}
    assert [one.provider for one in outside.store.attempts()["gh-1"]] == ["codex"]


def test_a_good_end_told_by_such_a_clock_hides_no_answer_given_since():
    outside = an_outside()
    ahead = outside.clock.now() + timedelta(days=400)
    outside.store.add(a_task(7, state=TaskState.DONE), Event("gh-7", ahead, "added"))
    outside.store.record(an_attempt(1, 7, provider="codex", ending=Ending.SUCCEEDED, ended_at=ahead),
                         Event("gh-7", ahead, "ended"))
    given = outside.clock.now().isoformat()
    outside.store.keep_document("proofs", json.dumps({"codex": {"at": given, "no": None}}))
    assert observe(outside.world(), Memory()).proofs["codex"].at.isoformat() == given


def test_a_park_that_was_measured_by_such_a_clock_is_over():
    outside = at_work()
    right = outside.clock.moment
    outside.clock.moment = right + timedelta(days=400)
    outside.executor.scripts = lambda spec: Script(ending=Ending.FAILED, reason="command_usage_limited")
    engine = ticking(outside)
    assert set(observe(engine.world, Memory()).parked) == {"command"}

    outside.clock.moment = right
    outside.executor.scripts = lambda spec: Script()
    ticking(outside)
    assert observe(outside.world(), Memory()).parked == {}
    assert {task.state for task in outside.store.tasks()} == {TaskState.IN_REVIEW}


def flipped(then: TaskState = TaskState.BLOCKED, sets: int = 3, worked: int = 0, label: str = "x") -> list[bool]:
    """Whether the labels are left to others after each time they were set, the last after such a move."""
    outside = an_outside()
    memory, task = Memory(), replace(a_task(), state=TaskState.BLOCKED)
    world, found = outside.world(), []
    outside.store.add(task, Event("gh-1", NOW, "adopted", ""))
    for number in range(sets):
        if number == sets - 1:
            moved = replace(task, state=then, attempts=worked, version=task.version + 1)
            outside.store.save(moved, Event("gh-1", NOW, "moved", ""), was=task.version)
        labels = frozenset({label if label == "x" else f"{label}{number}"})
        Recorder(world, memory).record(Told(Outward("gh-1", 1, labels=labels), put=labels))
        found.append("gh-1" in observe(world, memory).flipped)
    return found


def test_labels_that_somebody_changes_each_time_are_left_to_them_until_the_task_is_worked_on_again():
    assert flipped() == [False, False, True]
    assert flipped(worked=1) == [False, False, False]
    assert flipped(then=TaskState.QUEUED) == [False, False, False]


def test_labels_that_follow_a_task_through_its_states_are_set_however_often_unless_nothing_is_ever_worked_on():
    """Closed, opened, tried again: none of that is somebody who changes our labels."""
    assert flipped(label="y", sets=19) == [False] * 19
    assert flipped(label="y", sets=20)[-1]
    assert not flipped(label="y", sets=20, worked=1)[-1]
