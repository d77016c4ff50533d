"""The gate of a batch: held, tried by one task, then by one wave; and nobody else's business."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.planfile import PlanFile, PlanTask, Undertaking, plan_task_id
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.planning.actions import KeepBatches, Move, StopWorker, TurnBatch
from coordinator.planning.batch import gate
from coordinator.planning.batch.cohort import Bands, BatchWord
from coordinator.planning.batch.members import Stand
from coordinator.planning.batch.membership import batch_of, batches_of, members_of, resolve
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Snapshot
from tests.factories import NOW, a_running, a_snapshot, a_task, an_attempt, an_issue
from tests.support.gated import (
    EARLIER,
    KEY,
    LABEL,
    WIDE,
    applied,
    asks,
    backing_off,
    begun,
    done,
    failed,
    held,
    said,
    storm,
    turn,
    wave,
    with_task,
    world,
)

_S = TaskState
_K = RequestKind


# --- which batch ---


def test_a_task_is_of_its_plans_batch_else_of_its_label():
    tasks = [a_task(1), a_task(2), a_task(3), a_task(4, plan="auth"), a_task(5)]
    labels = {1: ("rpi-auto", LABEL), 2: ("rpi-auto",), 3: ("rpi-auto", "batch:b", "batch:a"), 4: ("rpi-auto", LABEL),
              5: ("rpi-auto", "batch:")}
    s = a_snapshot(*tasks, issues={number: an_issue(number, *names) for number, names in labels.items()})
    assert [batch_of(s, task) for task in tasks] == [KEY, "", "label:batch:a", "plan:auth", ""]
    assert {key: [task.id for task in tasks] for key, tasks in batches_of(s).items()} == {
        KEY: ["gh-1"], "label:batch:a": ["gh-3"], "plan:auth": ["gh-4"]}


def test_a_site_names_its_batches_by_another_label():
    s = world(a_task(1), label="sweep/1", policy=replace(WIDE, batch_label="sweep/"))
    assert batch_of(s, s.tasks["gh-1"]) == "label:sweep/1"


def test_a_batch_remembers_tasks_whose_issue_is_no_longer_listed():
    s = world(done(1), a_task(2))
    [kept] = [action for action in plan(s).actions if isinstance(action, KeepBatches)]
    assert kept.batched == {"gh-1": KEY, "gh-2": KEY}
    gone = replace(s, issues={2: s.issues[2]}, batched=kept.batched)
    assert [one.id for one in members_of(gone, KEY)] == ["gh-1", "gh-2"]
    assert not [action for action in plan(gone).actions if isinstance(action, KeepBatches)]
    other = replace(s, issues={1: an_issue(1), 2: s.issues[2]}, batched=kept.batched)
    [kept] = [action for action in plan(other).actions if isinstance(action, KeepBatches)]
    assert kept.batched == {"gh-2": KEY}


@pytest.mark.parametrize("name", [LABEL, "spring", KEY])
def test_a_batch_is_found_by_every_name_a_person_may_give_it(name):
    assert resolve(storm(), name) == KEY
    assert resolve(storm(), "summer") == ""


def test_waves_follow_what_the_issues_depend_on():
    s = world(a_task(1), a_task(2, depends_on=(1,)), a_task(3, depends_on=(2, 99)), a_task(4, depends_on=(77,)))
    assert [(one.id, one.wave) for one in members_of(s, KEY)] == [
        ("gh-1", 1), ("gh-2", 2), ("gh-3", 3), ("gh-4", 1)]


def test_waves_of_a_plan_are_those_of_its_file():
    file = PlanFile("auth", "Auth", (PlanTask("T1", "a"), PlanTask("T2", "b", depends_on=("T1",))))
    ids = [plan_task_id("auth", one.id) for one in file.tasks]
    tasks = [replace(a_task(n), id=task_id, issue=None, plan="auth") for n, task_id in enumerate(ids)]
    s = a_snapshot(*tasks, plans={"auth": Undertaking(file, "/p/auth-plan.md", NOW)})
    assert [(one.id, one.wave) for one in members_of(s, "plan:auth")] == [(ids[0], 1), (ids[1], 2)]


@pytest.mark.parametrize(("made", "stand", "reason", "excluded"), [
    (a_task(1), Stand.WAITING, "", False),
    (a_task(1, _S.RUNNING), Stand.RUNNING, "", False),
    (a_task(1, _S.PUBLISHING), Stand.RUNNING, "", False),
    (done(1), Stand.GOOD, "", False),
    (done(1, _S.DONE), Stand.GOOD, "", False),
    (a_task(1, _S.CANCELLED, reason="manual_stop"), Stand.STOPPED, "", False),
    (failed(1), Stand.BAD, "push_refused", False),
    (failed(1, "needs_human", "Which one?"), Stand.BAD, "needs_human", True),
    (failed(1, "command_auth_blocked", "401"), Stand.BAD, "command_auth_blocked", True),
    (backing_off(1), Stand.WAITING, "process_exit", False),
])
def test_a_task_counts_once_by_its_last_attempt(made, stand, reason, excluded):
    [one] = members_of(world(made), KEY)
    assert (one.stand, one.reason, one.excluded) == (stand, reason, excluded)


@pytest.mark.parametrize("reason", ["next_stage", "changes_needed"])
def test_a_task_between_two_stages_of_its_workflow_has_not_failed(reason):
    task, attempt = done(1, _S.QUEUED)
    [one] = members_of(world((replace(task, reason=reason), attempt)), KEY)
    assert (one.stand, one.reason) == (Stand.WAITING, "")


def test_the_cause_of_a_task_whose_retries_are_used_up_is_that_of_its_last_attempt():
    task, attempt = failed(1, "process_exit", "exit 1, no result event in its output")
    task = replace(task, reason="max_retries", detail="process_exit: exit 1, no result event in its output")
    attempt = replace(attempt, log_tail="working\nModuleNotFoundError: No module named 'yaml'\nbye")
    [one] = members_of(world((task, attempt)), KEY)
    assert (one.reason, one.words) == ("process_exit", "ModuleNotFoundError: No module named 'yaml'")
    [one] = members_of(world((task, replace(attempt, detail="Error: a told one"))), KEY)
    assert one.words == "Error: a told one"


# --- held ---


@pytest.mark.req("N5", "D31", "D70")
def test_a_batch_that_fails_alike_is_held_and_every_waiting_task_says_why():
    s = storm()
    made = turn(s)
    assert (made.key, made.after.phase, made.after.number, made.after.cause) == (KEY, GatePhase.HELD, 1, "push_refused")
    assert made.after.evidence[1] == "3 of 5 (60%): push_refused: remote rejected (gh-1, gh-2, gh-3)"
    assert begun(s) == []
    waits = plan(held(s)).waits
    assert [waits[f"gh-{n}"].code for n in (6, 7, 8)] == ["batch_held"] * 3
    assert waits["gh-6"].words == (
        "its batch batch:spring is held since 2026-03-02 12:00 UTC: 3 of 5 (60%) failed alike, 15% or more: "
        "push_refused: remote rejected")
    assert waits["gh-6"].moves == "coordinator batch resume --label batch:spring --canary"


@pytest.mark.req("W5", "D32")
def test_nothing_else_of_the_coordinator_stops():
    others = [a_task(20), a_task(21)]
    s = storm(*others)
    s = replace(s, issues={**s.issues, 20: an_issue(20), 21: an_issue(21, "rpi-auto", "batch:summer")})
    assert begun(s) == ["gh-20", "gh-21"]
    assert begun(held(s)) == ["gh-20", "gh-21"]


@pytest.mark.req("D4", "D18")
def test_running_workers_of_a_held_batch_go_on():
    running, attempt = a_running(9)
    made = plan(held(storm((running, attempt))))
    assert not [action for action in made.actions if isinstance(action, StopWorker)]


@pytest.mark.req("D19", "D65", "D66", "D71")
@pytest.mark.parametrize("pairs", [
    [failed(n, "overloaded", "529") for n in range(1, 10)],
    [failed(n, "command_usage_limited", "limit") for n in range(1, 10)],
    [failed(n, "needs_human", "?") for n in range(1, 10)],
    [a_task(n, _S.CANCELLED, reason="manual_stop") for n in range(1, 10)],
    [failed(1), failed(2), *(done(n) for n in range(3, 10))],
    [failed(1), failed(2, "no_change"), failed(3, "oom_killed"), failed(4, "max_runtime"), done(5), done(6), done(7)],
    [failed(1), failed(2)],
    [a_task(n, depends_on=(1,)) for n in range(2, 10)],
])
def test_outages_limits_stops_queueing_and_isolated_failures_hold_nothing(pairs):
    s = world(*pairs, a_task(50))
    assert not [action for action in plan(s).actions if isinstance(action, TurnBatch)]
    assert "gh-50" in begun(s)


def test_a_storm_is_seen_before_every_retry_is_used_up():
    s = world(backing_off(1), backing_off(2), backing_off(3), done(4), done(5), a_task(6))
    assert turn(s).after.cause == "process_exit"
    over = applied(s)
    over = replace(over, now=NOW + timedelta(hours=1))
    moves = [action.task.id for action in plan(over).actions if isinstance(action, Move)]
    assert moves == ["gh-1", "gh-2", "gh-3"]
    queued = replace(over, tasks={key: task.move(_S.QUEUED, over.now, reason=task.reason) if key in moves else task
                                  for key, task in over.tasks.items()})
    assert begun(queued) == []


@pytest.mark.req("D33")
def test_the_bands_of_the_site_decide():
    assert plan(storm(policy=replace(WIDE, bands=Bands(systemic=0.7, min_same=4)))).waits["gh-6"].code == "moving"


def test_a_held_batch_is_not_held_twice():
    s = held()
    assert not [action for action in plan(s).actions if isinstance(action, TurnBatch)]


# --- a person lets it go on ---


@pytest.mark.req("N5")
def test_resume_lets_all_of_it_go_on_and_old_failures_do_not_hold_it_again():
    s = asks(held(), _K.RESUME_BATCH)
    made = turn(s)
    assert (made.after.phase, made.after.judged_from, made.request) == (GatePhase.FREE, s.now, s.requests[0])
    free = applied(s)
    assert begun(free) == ["gh-6", "gh-7", "gh-8"]
    late, attempt = failed(9, at=EARLIER)   # begun before the fix: no evidence of it
    assert begun(with_task(free, late, attempt)) == ["gh-6", "gh-7", "gh-8"]


def test_new_failures_after_a_release_hold_it_again():
    free = applied(asks(held(), _K.RESUME_BATCH))
    for number in (6, 7, 8):
        free = with_task(free, *failed(number, at=free.now))
    free = with_task(with_task(free, *done(4, at=free.now)), *done(5, at=free.now))
    assert (turn(free).after.phase, turn(free).after.number) == (GatePhase.HELD, 2)


def test_a_release_that_was_timed_by_a_clock_ahead_hides_no_failure():
    s = storm(batches={KEY: Standing(judged_from=NOW + timedelta(hours=2))})
    assert turn(s).after.phase is GatePhase.HELD


@pytest.mark.req("N5")
def test_one_canary_is_let_through_and_no_other():
    s = applied(asks(held(), _K.RESUME_BATCH, canary="1"))
    assert (s.batches[KEY].phase, s.batches[KEY].canary) == (GatePhase.CANARY, "gh-6")
    assert begun(s) == ["gh-6"]
    assert plan(s).waits["gh-7"].code == "batch_held"
    assert "while gh-6 is tried" in plan(s).waits["gh-7"].words


def test_the_canary_is_the_oldest_startable_task_of_the_lowest_wave():
    s = storm(a_task(2, depends_on=(6,)), a_task(9, depends_on=(6,), created_at=EARLIER - timedelta(days=1)),
              a_task(10, created_at=EARLIER - timedelta(hours=1)))
    assert gate.canary_of(s, KEY).id == "gh-10"
    paused = replace(s, issues={**s.issues, 10: an_issue(10, "rpi-auto", LABEL, "rpi-pause")})
    assert gate.canary_of(paused, KEY).id == "gh-6"


def test_a_failed_task_is_tried_again_where_none_is_queued():
    only = world(failed(1), failed(2), failed(3), done(4), done(5))
    s = asks(held(only), _K.RESUME_BATCH, canary="1")
    made = plan(s).actions
    assert [(one.task.id, one.to) for one in made if isinstance(one, Move)] == [("gh-1", _S.QUEUED)]
    assert made.index(turn(s)) > next(n for n, one in enumerate(made) if isinstance(one, Move))
    after = applied(s)
    assert begun(after) == ["gh-1"]
    assert not [one for one in plan(after).actions if isinstance(one, TurnBatch)]


def test_where_nothing_can_be_tried_a_person_is_told():
    only = world(failed(1), failed(2), failed(3), done(4), done(5))
    closed = replace(only, issues={number: replace(issue, state="closed") for number, issue in only.issues.items()})
    assert said(asks(held(closed), _K.RESUME_BATCH, canary="1")).startswith(
        "batch batch:spring: none of its tasks can be tried alone")


def canary(state: TaskState, **changes) -> Snapshot:
    """The canary gh-6 came to this state after its try."""
    s = applied(asks(held(), _K.RESUME_BATCH, canary="1"))
    task, attempt = failed(6, at=s.now) if state not in (_S.IN_REVIEW, _S.DONE, _S.PUBLISHING) else done(6, at=s.now)
    return with_task(s, replace(task, state=state, **changes), attempt)


@pytest.mark.req("N5")
@pytest.mark.parametrize("state", [_S.PUBLISHING, _S.IN_REVIEW, _S.DONE])
def test_the_canarys_success_releases_the_next_wave_alone(state):
    s = canary(state)
    s = with_task(s, a_task(8, depends_on=(7,)))
    s = replace(s, issues={**s.issues, 7: replace(s.issues[7], state="open")})
    made = turn(s)
    assert (made.after.phase, made.after.wave) == (GatePhase.WAVE, 1)
    released = applied(s)
    assert begun(released) == ["gh-7"]
    assert plan(released).waits["gh-8"].words == (
        "its batch batch:spring is held after wave 1, whose health decides (this is 2)")


def test_the_canary_of_a_plan_has_succeeded_once_its_validation_passed():
    file = PlanFile("auth", "Auth", tuple(PlanTask(f"T{n}", "a") for n in range(1, 8)))
    names = [plan_task_id("auth", one.id) for one in file.tasks]
    since = NOW - timedelta(minutes=5)
    tasks = [replace(a_task(n), id=name, issue=None, plan="auth") for n, name in enumerate(names)]
    tried = replace(tasks[0], state=_S.PUBLISHING, attempts=1)
    s = a_snapshot(tried, *tasks[1:], plans={"auth": Undertaking(file, "/p/auth-plan.md", NOW)},
                   attempts={names[0]: (replace(an_attempt(), task_id=names[0], created_at=NOW),)},
                   batches={"plan:auth": Standing(GatePhase.CANARY, since, 1, 1, "why", canary=names[0])})
    assert not [one for one in plan(s).actions if isinstance(one, TurnBatch)]
    merged = replace(s, tasks={**s.tasks, names[0]: replace(tried, state=_S.DONE)})
    assert turn(merged).after.phase is GatePhase.WAVE
    refused = replace(tried, state=_S.BLOCKED, reason="validation_failed", detail="make test: 1 failed")
    assert turn(replace(s, tasks={**s.tasks, names[0]: refused})).after.phase is GatePhase.HELD


@pytest.mark.req("N5")
@pytest.mark.parametrize(("state", "changes"), [
    (_S.BLOCKED, {}), (_S.FAILED, {"reason": "no_change"}),
    (_S.BACKOFF, {"reason": "push_refused"}), (_S.CANCELLED, {"reason": "label_removed"}),
])
def test_the_canarys_failure_holds_the_batch_again(state, changes):
    s = canary(state, **changes)
    made = turn(s)
    assert (made.after.phase, made.after.number, made.after.canary) == (GatePhase.HELD, 2, "")
    assert "its canary gh-6" in made.after.why
    assert begun(s) == []


def test_a_canary_that_met_an_outage_is_still_the_canary():
    s = canary(_S.QUEUED, reason="command_usage_limited")
    s = with_task(s, s.tasks["gh-6"], replace(s.attempts["gh-6"][0], reason="command_usage_limited"))
    assert not [one for one in plan(s).actions if isinstance(one, TurnBatch)]
    assert begun(s) == ["gh-6"]


# --- the wave decides ---


@pytest.mark.req("N5")
def test_a_wave_that_stands_well_opens_the_gate_for_good():
    assert turn(wave(True, True, True, True, True, going=3)).after.phase is GatePhase.FREE
    small = with_task(wave(True, True), replace(a_task(60, depends_on=(1,)), state=_S.DONE))
    assert turn(small).after.phase is GatePhase.FREE


@pytest.mark.req("N5")
def test_a_wave_that_fails_alike_closes_the_gate_again():
    s = wave(False, False, False, True, True, going=3)
    assert (turn(s).after.phase, turn(s).after.number) == (GatePhase.HELD, 2)
    assert begun(s) == []


def test_a_wave_that_is_under_way_decides_nothing_yet():
    s = wave(True, True, going=2)
    assert not [one for one in plan(s).actions if isinstance(one, TurnBatch)]
    assert begun(s) == ["gh-30", "gh-31"]


def test_a_wave_that_ends_degraded_opens_the_gate_for_one_more():
    s = wave(False, False, True, True)
    s = with_task(s, replace(a_task(60), state=_S.CANCELLED))
    s = with_task(s, a_task(61, depends_on=(4,)))
    assert gate.healths(s)[KEY].word is BatchWord.DEGRADED
    after = turn(s).after
    assert (after.phase, after.wave) == (GatePhase.WAVE, 2)


def test_what_waits_for_a_failed_task_does_not_hold_up_the_wave():
    s = with_task(wave(True, True), a_task(60, depends_on=(9,)))
    s = with_task(s, *failed(9))
    s = replace(s, issues={**s.issues, 9: an_issue(9, "rpi-auto", LABEL)},
                batches={KEY: replace(s.batches[KEY], wave=2)})
    assert turn(s).after.phase is GatePhase.FREE


# --- for every batch ---

_made = st.sampled_from([a_task, failed, done, backing_off, a_running,
                         lambda n: failed(n, "overloaded", "529"), lambda n: a_task(n, _S.CANCELLED)])


@given(st.lists(_made, max_size=12), st.sampled_from(GatePhase), st.integers(0, 3))
def test_a_gate_that_is_not_open_lets_through_only_its_canary_or_its_wave(made, phase, number):
    pairs = [make(n) for n, make in enumerate(made, 1)]
    other = a_task(90)
    s = world(*pairs, other)
    s = replace(s, issues={**s.issues, 90: an_issue(90)},
                batches={KEY: Standing(phase, EARLIER, 1, 1, "why", canary="gh-1", wave=number, judged_from=EARLIER)})
    mine = [task_id for task_id in begun(s) if task_id != "gh-90"]
    allowed = {GatePhase.HELD: 0, GatePhase.CANARY: 1, GatePhase.WAVE: 0 if number == 0 else 99, GatePhase.FREE: 99}
    assert len(mine) <= allowed[phase]
    assert "gh-90" in begun(s)
    assert len([one for one in plan(s).actions if isinstance(one, TurnBatch)]) <= 1
