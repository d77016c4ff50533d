"""What the end of each stage means, which agent a stage gets, and what holds a task at it: one table a question."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coordinator.domain.outcome import Ending, Evidence, Outcome
from coordinator.domain.request import Event, RequestKind
from coordinator.domain.task import Task, TaskState
from coordinator.domain.workflow import APPROVED, BUILD, CHANGES, HANDOFF, Gate, Left, Library, Stage, Workflow
from coordinator.engine.effects import perform
from coordinator.engine.effects.approving import ask
from coordinator.engine.effects.starting import handle_of
from coordinator.engine.facts import Launched, NotStarted
from coordinator.engine.memory import Memory
from coordinator.engine.record import Recorder
from coordinator.planning import stages
from coordinator.planning.actions import Adopt, AskApproval, Begin, Launch, Move, Settlement
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Refused
from coordinator.wording.workflow import MOST_OF_ONE, stage_words
from tests.factories import (
    NOW,
    a_request,
    a_running,
    a_snapshot,
    a_task,
    a_vet,
    a_vet_of,
    an_attempt,
    an_issue,
    evidence,
)
from tests.support.fakes import Script, Worker, an_outside

PLAN, REVIEW = f"{HANDOFF}/PLAN.md", f"{HANDOFF}/REVIEW.md"
PLANNER = Stage("planner", template="planner", leaves=(PLAN,), retries=2)
BUILDER = Stage("builder", provider="codex", model="m-1")
REVIEWER = Stage("reviewer", leaves=(REVIEW,), gate=Gate("make test"), sends_back_to="builder", sends_back=2)
THREE = Workflow("three", (PLANNER, BUILDER, REVIEWER))
CAREFUL = Workflow("careful", (replace(PLANNER, gate=Gate(approval=True)), BUILDER))
LIBRARY = Library({"build": BUILD, "three": THREE, "careful": CAREFUL}, {"odd": "adws/workflows/odd.toml is no TOML"})
OK, CHANGE = Left(((REVIEW, "VERDICT: approved"),), verdict=APPROVED), Left(((REVIEW, "Oil it."),), verdict=CHANGES)
S = TaskState


def ended(stage: Stage, seen: Evidence, workflow: str = "three", **of_task: Any) -> Settlement:
    found = LIBRARY.known[workflow].place(stage.name)
    task, attempt = a_running(workflow=workflow, **{"stage": found or 0, **of_task})
    s = a_snapshot(task, workflows=LIBRARY)
    return stages.settle(s, task, replace(attempt, stage=stage.name), seen)


def failed(reason: str = "process_exit") -> Evidence:
    return evidence(Outcome(Ending.FAILED, reason, "words"), commits=0)


@pytest.mark.parametrize(("stage", "seen", "of_task", "to"), [
    (PLANNER, evidence(commits=0), {}, (S.QUEUED, "next_stage", 1)),
    (PLANNER, evidence(commits=1), {}, (S.QUEUED, "next_stage", 1)),
    (BUILDER, evidence(), {}, (S.QUEUED, "next_stage", 2)),
    (BUILDER, evidence(Outcome(Ending.NO_CHANGE, "no_change"), commits=0), {}, (S.FAILED, "no_change", None)),
    (REVIEWER, evidence(left=OK), {}, (S.PUBLISHING, "process_exit", 0)),
    (REVIEWER, evidence(commits=0, left=OK), {}, (S.FAILED, "no_change", None)),
    (REVIEWER, evidence(left=CHANGE), {}, (S.QUEUED, "changes_needed", 1)),
    (REVIEWER, evidence(left=CHANGE), {"sent_back": 1}, (S.QUEUED, "changes_needed", 1)),
    (REVIEWER, evidence(left=CHANGE), {"sent_back": 2}, (S.BLOCKED, "changes_needed", 1)),
    (PLANNER, failed(), {}, (S.BACKOFF, "process_exit", None)),
    (PLANNER, failed(), {"retries_used": 1}, (S.BACKOFF, "process_exit", None)),
    (PLANNER, failed(), {"retries_used": 2}, (S.BLOCKED, "max_retries", None)),
    (BUILDER, failed(), {"retries_used": 1}, (S.BLOCKED, "max_retries", None)),
    (PLANNER, failed("gate_failed"), {}, (S.BACKOFF, "gate_failed", None)),
    (PLANNER, failed("gate_failed"), {"retries_used": 2}, (S.BLOCKED, "gate_failed", None)),
    (PLANNER, evidence(commits=0, blocked_note="Which?"), {}, (S.BLOCKED, "needs_human", None)),
    (PLANNER, failed("command_usage_limited"), {}, (S.QUEUED, "command_usage_limited", None)),
])
def test_what_follows_the_end_of_a_stage(stage: Stage, seen: Evidence, of_task: dict[str, Any], to: Any) -> None:
    settlement = ended(stage, seen, **of_task)
    assert (settlement.to, settlement.reason, settlement.stage) == to


def test_a_stage_that_a_person_must_approve_waits_where_it_is_and_shows_what_it_left() -> None:
    settlement = ended(PLANNER, evidence(commits=0, left=Left(((PLAN, "By a gear."),))), "careful")
    assert (settlement.to, settlement.reason, settlement.stage) == (S.QUEUED, "approval", None)
    assert settlement.detail == "By a gear."


def test_a_new_stage_begins_with_all_its_retries_and_providers() -> None:
    task, _ = a_running(retries_used=2, spent=("codex",), sent_back=1, stage=2)
    back = Settlement(S.QUEUED, "changes_needed", stage=1, sends_back=True)
    assert stages.counted(task, back) == {"stage": 1, "sent_back": 2, "retries_used": 0, "spent": ()}
    assert stages.counted(task, Settlement(S.BACKOFF, "process_exit", charged=True)) == {}


def test_a_task_without_a_workflow_ends_exactly_as_it_always_did() -> None:
    task, attempt = a_running()
    s = a_snapshot(task)
    for seen in (evidence(), evidence(commits=0), failed(), evidence(swept_up=True)):
        assert stages.settle(s, task, attempt, seen) == stages.completion.settle(task, attempt, seen, s.policy, NOW)


def test_an_end_whose_workflow_went_meanwhile_is_for_a_person_and_a_failure_stays_one() -> None:
    settlement = ended(Stage("gone"), evidence())
    assert (settlement.to, settlement.reason) == (S.BLOCKED, "workflow_error")
    assert ended(Stage("gone"), failed()).reason == "process_exit"


# --- what an agent's good end is worth ----------------------------------------------------------------


@pytest.mark.parametrize(("stage", "ending", "left", "reason", "words"), [
    (PLANNER, Ending.NO_CHANGE, Left(((PLAN, "x"),)), "process_exit", ""),
    (PLANNER, Ending.NO_CHANGE, Left(missing=(PLAN,)), "gate_failed", f"stage planner left no file {PLAN}"),
    (PLANNER, Ending.SUCCEEDED, Left(missing=(PLAN,)), "gate_failed", f"stage planner left no file {PLAN}"),
    (PLANNER, Ending.FAILED, Left(missing=(PLAN,)), "process_exit", ""),
    (BUILDER, Ending.NO_CHANGE, Left(gate="1 failed"), "process_exit", ""),
    (REVIEWER, Ending.SUCCEEDED, OK, "process_exit", ""),
    (REVIEWER, Ending.SUCCEEDED, replace(OK, gate="1 failed"), "gate_failed", "`make test` failed: 1 failed"),
    (REVIEWER, Ending.SUCCEEDED, Left(((REVIEW, "Fine."),), first="Fine."), "gate_failed",
     f"the first line of {REVIEW} is 'Fine.'; expected is `VERDICT: approved` or `VERDICT: changes needed`"),
])
def test_an_agent_that_ended_well_is_judged_by_what_its_stage_must_leave(
    stage: Stage, ending: Ending, left: Left, reason: str, words: str
) -> None:
    outcome = stages.judge(stage, Outcome(ending, "process_exit"), left)
    assert (outcome.reason, outcome.detail) == (reason, words)
    assert (outcome.ending is Ending.FAILED) == (reason == "gate_failed" or ending is Ending.FAILED)


@pytest.mark.parametrize(("text", "verdict"), [
    ("VERDICT: approved", APPROVED), ("\n\nverdict: Approved.\nmore", APPROVED), ("# **VERDICT: approved**", APPROVED),
    ("VERDICT:  changes   needed\n", CHANGES), ("`VERDICT: changes needed`", CHANGES), ("VERDICT: not approved", ""),
    ("VERDICT: approved, but", ""), ("Approved", ""), ("", ""), ("text\nVERDICT: approved", ""),
])
def test_a_verdict_is_read_from_the_first_line_alone(text: str, verdict: str) -> None:
    assert stages.verdict_of(REVIEWER, [(REVIEW, text)])[0] == verdict


# --- which agent --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("of_task", "provider", "model"), [
    ({"stage": 0}, "command", ""),
    ({"stage": 1}, "codex", "m-1"),
    ({"stage": 1, "provider": "gemini"}, "gemini", ""),
    ({"stage": 0, "model": "opus"}, "command", "opus"),
    ({"stage": 1, "model": "opus"}, "codex", "m-1"),
    ({"stage": 9}, "command", ""),
])
def test_a_stage_has_its_own_agent_unless_a_person_chose_one(
    of_task: dict[str, Any], provider: str, model: str
) -> None:
    look = stages.dressed(LIBRARY, Policy(provider="command"), a_task(workflow="three", **of_task))
    assert (look.provider, look.model) == (provider, model)


def test_a_task_of_a_plan_has_one_stage_whatever_the_build_workflow_is() -> None:
    library = Library({"build": replace(THREE, name="build")})
    assert stages.stage_of(library, a_task(plan="auth")).name == "build"


def begun(task: Task, **changes: Any) -> Begin | None:
    s = a_snapshot(task, workflows=LIBRARY, **changes)
    return next((one for one in plan(s).actions if isinstance(one, Begin)), None)


def test_a_begun_stage_is_named_and_gets_its_provider() -> None:
    task = a_task(workflow="three", stage=1)
    policy = Policy(provider="command", providers=frozenset({"command", "codex"}))
    begin = begun(task, policy=policy)
    assert begin is not None
    assert (begin.stage, begin.provider, begin.task) == ("builder", "codex", task)


def test_the_cap_of_sessions_is_meant_for_each_stage() -> None:
    for many, may in ((11, True), (12, True), (17, True), (18, False)):
        history = tuple(an_attempt(n, ending=Ending.SUCCEEDED, reason="process_exit") for n in range(1, many + 1))
        assert (begun(a_task(workflow="three"), attempts={"gh-1": history}) is not None) == may


# --- what holds a task --------------------------------------------------------------------------------


def test_a_file_that_cannot_be_used_holds_its_tasks_and_a_name_that_is_not_there_blocks_them() -> None:
    odd, none = a_task(1, workflow="odd"), a_task(2, workflow="none")
    made = plan(a_snapshot(odd, none, workflows=LIBRARY))
    assert (made.waits["gh-1"].code, made.waits["gh-1"].words) == ("workflow_error", LIBRARY.broken["odd"])
    move = next(one for one in made.actions if isinstance(one, Move))
    assert (move.task, move.to, move.reason) == (none, S.BLOCKED, "workflow_error")
    assert move.detail == "there is no workflow 'none' (known: build, careful, three)"


def test_a_file_that_is_to_be_mended_loses_no_task_to_a_cap() -> None:
    history = tuple(an_attempt(n, ending=Ending.SUCCEEDED, reason="process_exit") for n in range(1, 9))
    made = plan(a_snapshot(a_task(workflow="odd"), workflows=LIBRARY, attempts={"gh-1": history}))
    assert made.waits["gh-1"].code == "workflow_error"


def test_an_agent_of_a_stage_that_went_meanwhile_is_not_started_but_one_that_runs_is_recorded() -> None:
    outside = an_outside()
    task, attempt = a_task(state=S.PREPARING, workflow="odd"), an_attempt(stage="planner", prepared_at=NOW)
    fact = perform(Launch(task, attempt), outside.world(workflows=lambda: LIBRARY))
    assert isinstance(fact, NotStarted)
    assert (fact.reason, fact.words) == ("workflow_error", LIBRARY.broken["odd"])
    fact = perform(Launch(replace(task, workflow="three"), replace(attempt, stage="gone")),
                   outside.world(workflows=lambda: LIBRARY))
    assert isinstance(fact, NotStarted)
    assert fact.words == "the workflow 'three' has no stage 'gone' any more"
    assert outside.executor.workers == []
    outside.executor.workers.append(Worker(handle_of(attempt), Script(), NOW, timedelta()))
    assert isinstance(perform(Launch(task, attempt), outside.world(workflows=lambda: LIBRARY)), Launched)


def test_a_default_that_is_not_there_holds_all_tasks_and_blocks_none() -> None:
    task = a_task(workflow="none")
    made = plan(a_snapshot(task, workflows=LIBRARY, policy=Policy(provider="command", workflow="none")))
    assert made.waits["gh-1"].code == "workflow_error"
    assert not [one for one in made.actions if isinstance(one, Move)]


def waiting(**changes: Any) -> tuple[Task, Any]:
    task = a_task(workflow="careful", reason="approval", detail="By a gear.")
    attempt = an_attempt(stage="planner", ending=Ending.SUCCEEDED, ended_at=NOW - timedelta(minutes=1))
    label = changes.pop("label", "rpi-approved")
    issues = {1: an_issue(1, "rpi-auto", label)}
    known = {"workflows": LIBRARY, "issues": issues, "attempts": {"gh-1": (attempt,)}}
    return task, a_snapshot(task, **{**known, **changes})


def test_who_set_the_label_that_approves_is_asked_once_an_edit() -> None:
    task, s = waiting()
    ask = next(one for one in plan(s).actions if isinstance(one, AskApproval))
    assert ask.task == task
    updated = s.issues[1].updated_at
    for refused, asked in (
        (Refused(updated, "by @x", sure=True), False), (Refused(updated, "by @x", sure=False), True),
        (Refused(updated - timedelta(seconds=1), "by @x", sure=True), True),
    ):
        _, s = waiting(refused={"gh-1": refused})
        made = plan(s)
        assert any(isinstance(one, AskApproval) for one in made.actions) == asked
        assert (made.waits["gh-1"].code, "by @x" in made.waits["gh-1"].words) == ("approval", True)


def test_one_label_approves_one_stage_though_the_clock_of_its_host_is_slow() -> None:
    """Both stages end, by a clock that is five minutes behind, before the label was set that approved the first."""
    outside = an_outside()
    outside.github.person_opens(1, "rpi-auto")
    outside.github.person_labels(1, "rpi-approved")
    task, s = waiting(issues=dict(outside.github.issues))
    outside.store.add(task, Event(task.id, NOW, "added", ""))
    world = outside.world()
    fact = ask(AskApproval(task, s.attempts["gh-1"][0], s.issues[1]), world)
    Recorder(world, Memory()).record(fact)
    done = outside.store.task("gh-1")
    assert (done.stage, done.reason, fact.actor) == (1, "next_stage", "ann")
    slow = replace(s.attempts["gh-1"][0], number=2, ended_at=NOW - timedelta(minutes=5))
    again = ask(AskApproval(replace(done, reason="approval"), slow, s.issues[1]), world)
    assert again.refused is not None
    assert "once already" in again.refused.words
    outside.github.person_labels(1, "rpi-approved", on=False)
    outside.github.person_labels(1, "rpi-approved")
    assert ask(AskApproval(done, slow, outside.github.issues[1]), world).refused is None, "set anew"


def test_without_the_label_nobody_is_asked_and_nothing_is_begun() -> None:
    _, s = waiting(label="other")
    made = plan(s)
    assert not [one for one in made.actions if isinstance(one, (AskApproval, Begin))]
    assert made.waits["gh-1"].moves == "set the label rpi-approved, or: coordinator retry gh-1"


def test_a_retry_on_the_host_approves_or_begins_anew() -> None:
    _, s = waiting(requests=(a_request(RequestKind.RETRY),))
    move = next(one for one in plan(s).actions if isinstance(one, Move))
    assert (move.to, move.changes["stage"], move.changes["reason"]) == (None, 1, "next_stage")
    _, s = waiting(requests=(a_request(RequestKind.RETRY, fresh="1"),))
    move = next(one for one in plan(s).actions if isinstance(one, Move))
    assert (move.changes["stage"], move.changes["reason"], move.changes["fresh"]) == (0, "", True)


@pytest.mark.parametrize(("labels", "body", "stage"), [
    (("workflow:three",), "", None), (("workflow:three",), "Other words", 0), (("workflow:careful",), "", 0),
])
def test_a_persons_retry_goes_on_where_it_stopped_unless_something_else_is_wanted(
    labels: tuple[str, ...], body: str, stage: int | None
) -> None:
    task = a_task(state=S.BLOCKED, workflow="three", stage=1, sent_back=2, reason="changes_needed")
    issue = an_issue(1, "rpi-auto", "rpi-retry", *labels, body=body)
    vet = a_vet_of(issue, retry_event_id=11, retry_actor="ann", retry_permission="write", retried_at=NOW)
    made = plan(a_snapshot(task, workflows=LIBRARY, issues={1: issue}, vets={1: vet}))
    move = next(one for one in made.actions if isinstance(one, Move))
    assert (move.changes.get("stage"), move.changes["sent_back"]) == (stage, 0)


def test_the_label_of_a_vetted_issue_chooses_and_the_configuration_else() -> None:
    policy = Policy(provider="command", workflow="careful")
    for labels, name in ((("rpi-auto", "workflow:three"), "three"), (("rpi-auto",), "careful")):
        made = plan(a_snapshot(issues={1: an_issue(1, *labels)}, vets={1: a_vet()}, policy=policy))
        assert [one.task.workflow for one in made.actions if isinstance(one, Adopt)] == [name]


# --- the prompt ---------------------------------------------------------------------------------------


def test_a_task_of_one_stage_has_nothing_added_to_its_prompt() -> None:
    assert stage_words(BUILD, 0, [], "") == ""


def test_what_agents_left_stands_between_lines_that_they_cannot_write_and_is_cut() -> None:
    words = stage_words(THREE, 1, [("planner", PLAN, "\x1b[31m" + "x" * MOST_OF_ONE * 2)], "")
    assert "Stage `planner`, file `.coordinator/handoff/PLAN.md`." in words
    assert words.count("x" * 100) < MOST_OF_ONE / 100 + 1
    assert "\x1b" not in words
    assert len(words) < MOST_OF_ONE + 1500
