"""When another provider stands in, which one, and when none may."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.outcome import Ending
from coordinator.domain.reasons import PARKING, REASONS
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Begin, Move, Prove, prove_lane
from coordinator.planning.completion import failure
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.rules.adopt import again
from coordinator.planning.snapshot import Gate, Parked, Proof
from tests.factories import NOW, a_running, a_snapshot, a_task, an_attempt, an_issue

FIVE = ("claude", "cc-glm", "opencode", "gemini", "codex")
POLICY = Policy(provider="opencode", providers=frozenset(FIVE), max_workers=9,
                fallback={"opencode": ("gemini", "cc-glm"), "claude": ("codex",)})
PROVEN = {name: Proof(NOW - timedelta(hours=1)) for name in FIVE}
PARKED = Parked(NOW + timedelta(hours=2), "limit", "opencode_usage_limited")
MISSING = Gate("opencode_binary_missing", "not found", "install it")
LATER = timedelta(hours=1)


def task(number: int = 1, *failures: tuple[str, str], **changes):
    """A queued task of opencode after attempts that failed: (provider, reason) each."""
    spent = tuple(provider for provider, reason in failures if reason not in PARKING)
    return a_task(number, provider="opencode", attempts=len(failures), spent=spent, **changes)


def situation(*failures: tuple[str, str], queued=None, **changes):
    history = tuple(an_attempt(n, provider=provider, reason=reason, ending=Ending.FAILED, ended_at=NOW - LATER)
                    for n, (provider, reason) in enumerate(failures, 1))
    told = {"policy": POLICY, "proofs": PROVEN, "attempts": {"gh-1": history} if history else {}, **changes}
    return a_snapshot(queued or task(1, *failures), **told)


def first(snapshot) -> Begin | Prove | str:
    """What is done for gh-1, or the code of what it waits for."""
    made = plan(snapshot)
    done = [one for one in made.actions if isinstance(one, (Begin, Prove))]
    return done[0] if done else made.waits["gh-1"].code


def begun(snapshot) -> tuple[str, str, str]:
    action = first(snapshot)
    assert isinstance(action, Begin), action
    return action.provider, action.switch_from, action.fallback_reason


def test_without_trouble_a_task_has_its_own_provider():
    assert begun(situation()) == ("opencode", "", "")


# --- when ---------------------------------------------------------------------------------------------


@pytest.mark.req("C77", "C78", "C79")
@pytest.mark.parametrize(("failures", "changes", "stands_in"), [
    ([("opencode", "opencode_model_unavailable")], {}, ("gemini", "opencode_model_unavailable")),
    ([("opencode", "opencode_auth_blocked")], {}, ("gemini", "opencode_auth_blocked")),
    ([("opencode", "no_credit")], {}, ("gemini", "no_credit")),
    ([("opencode", "overloaded")], {}, ("gemini", "overloaded")),
    ([("opencode", "opencode_auth_blocked"), ("gemini", "gemini_auth_blocked")], {},
     ("cc-glm", "opencode_auth_blocked")),
    ([], {"parked": {"opencode": PARKED}}, ("gemini", "opencode_usage_limited")),
    ([("opencode", "opencode_usage_limited")], {"parked": {"opencode": PARKED}}, ("gemini", "opencode_usage_limited")),
    ([], {"unready": {"opencode": MISSING}}, ("gemini", "opencode_binary_missing")),
    ([], {"parked": {"opencode": PARKED, "gemini": replace(PARKED, reason="gemini_capacity_exhausted")}},
     ("cc-glm", "opencode_usage_limited")),
    ([], {"parked": {"opencode": PARKED}, "unready": {"gemini": Gate("gemini_auth_missing", "no key")}},
     ("cc-glm", "opencode_usage_limited")),
])
def test_another_provider_stands_in_where_it_can_help(failures, changes, stands_in):
    provider, reason = stands_in
    assert begun(situation(*failures, **changes)) == (provider, "opencode", reason)


@pytest.mark.parametrize("reason", [code for code in REASONS if not REASONS[code].elsewhere])
def test_it_does_not_where_another_provider_cannot_help(reason):
    settlement = failure(task(), an_attempt(provider="opencode"), reason, "", POLICY, NOW)
    assert not settlement.spends
    gate = {"unready": {"opencode": Gate(reason, "not possible")}}
    assert first(situation(**gate)) == reason


def test_a_provider_that_is_at_its_own_cap_is_waited_for():
    busy = replace(a_running(9)[0], provider="opencode")
    snapshot = situation(policy=replace(POLICY, provider_caps={"opencode": 1}))
    snapshot = replace(snapshot, tasks={**snapshot.tasks, "gh-9": busy}, issues={**snapshot.issues, 9: an_issue(9)})
    assert first(snapshot) == "provider_cap"


def test_one_that_stands_in_counts_for_its_own_cap():
    policy = replace(POLICY, provider_caps={"gemini": 1})
    made = plan(a_snapshot(task(1), task(2), task(3), policy=policy, proofs=PROVEN, parked={"opencode": PARKED}))
    assert [one.provider for one in made.actions if isinstance(one, Begin)] == ["gemini", "cc-glm", "cc-glm"]
    running, attempt = a_running(9)
    running, attempt = replace(running, provider="opencode"), replace(attempt, provider="gemini")
    made = plan(a_snapshot(running, task(1), attempts={"gh-9": (attempt,)}, policy=policy, proofs=PROVEN,
                           parked={"opencode": PARKED}))
    assert [one.provider for one in made.actions if isinstance(one, Begin)] == ["cc-glm"]


def test_a_task_whose_issue_names_a_model_waits_for_the_provider_that_has_it():
    assert first(situation(queued=task(model="big-one"), parked={"opencode": PARKED})) == "provider_parked"
    settlement = failure(task(model="big-one"), an_attempt(provider="opencode"), "no_credit", "", POLICY, NOW)
    assert settlement.to is TaskState.BLOCKED


def test_without_a_ladder_a_task_waits():
    assert first(situation(policy=replace(POLICY, fallback={}), parked={"opencode": PARKED})) == "provider_parked"


def test_its_own_provider_has_it_again_when_the_limit_is_over():
    over = {"opencode": replace(PARKED, until=NOW - LATER)}
    assert begun(situation(("opencode", "opencode_usage_limited"), ("gemini", "lost"), parked=over))[0] == "opencode"


# --- proof --------------------------------------------------------------------------------------------


@pytest.mark.req("N6")
@pytest.mark.parametrize("proofs", [{}, {"gemini": Proof(NOW - timedelta(hours=25))},
                                    {"gemini": Proof(NOW - LATER, Gate("gemini_protocol_error", "a dialog"))}])
def test_none_stands_in_before_it_proved_an_answer(proofs):
    snapshot = situation(parked={"opencode": PARKED}, proofs=proofs)
    assert first(snapshot) == Prove("gemini")
    assert plan(snapshot).waits["gh-1"].code == "proving"
    asked = replace(snapshot, busy=frozenset({prove_lane("gemini")}))
    assert first(asked) == "proving"
    assert begun(replace(snapshot, proofs={"gemini": Proof(NOW)}))[0] == "gemini"


def test_nothing_is_asked_of_a_provider_while_nothing_may_start():
    assert first(situation(parked={"opencode": PARKED}, proofs={}, paused=True)) == "coordinator_paused"


@pytest.mark.req("N6")
def test_one_that_gave_no_answer_is_passed_over_for_a_while():
    silent = {**PROVEN, "gemini": Proof(NOW - timedelta(minutes=29), Gate("gemini_auth_blocked", "401"))}
    assert begun(situation(parked={"opencode": PARKED}, proofs=silent))[0] == "cc-glm"
    neither = {**silent, "cc-glm": silent["gemini"]}
    assert first(situation(parked={"opencode": PARKED}, proofs=neither)) == "provider_parked"


# --- what a failure means with a ladder ---------------------------------------------------------------


@pytest.mark.parametrize(("failed", "spent", "reason", "to"), [
    ("opencode", (), "opencode_auth_blocked", TaskState.QUEUED),
    ("opencode", (), "overloaded", TaskState.QUEUED),
    ("opencode", (), "network", TaskState.BACKOFF),
    ("opencode", (), "stalled", TaskState.BACKOFF),
    ("gemini", ("opencode",), "gemini_auth_blocked", TaskState.QUEUED),
    ("cc-glm", ("opencode", "gemini"), "cc_glm_auth_blocked", TaskState.BLOCKED),
    ("cc-glm", ("gemini",), "cc_glm_auth_blocked", TaskState.QUEUED),
    ("cc-glm", ("opencode", "gemini"), "overloaded", TaskState.BACKOFF),
    ("opencode", ("gemini", "cc-glm"), "no_credit", TaskState.BLOCKED),
])
def test_a_failure_goes_to_a_person_only_when_no_provider_is_left(failed, spent, reason, to):
    one = replace(task(), spent=spent, state=TaskState.RUNNING)
    assert failure(one, an_attempt(provider=failed), reason, "", POLICY, NOW).to is to


def test_a_charged_failure_uses_up_the_retry_budget_on_the_next_provider_too():
    settlement = failure(task(), an_attempt(provider="opencode"), "stalled", "", POLICY, NOW)
    assert (settlement.charged, settlement.spends) == (True, True)
    assert begun(situation(("opencode", "stalled")))[0] == "gemini"
    used = replace(task(), retries_used=1)
    assert failure(used, an_attempt(provider="gemini"), "stalled", "", POLICY, NOW).reason == "max_retries"


def test_when_all_failed_it_as_weather_does_its_own_provider_tries_again():
    weather = ("opencode", "overloaded"), ("gemini", "overloaded"), ("cc-glm", "overloaded")
    assert begun(situation(*weather)) == ("opencode", "", "")


def test_refused_credentials_are_not_tried_again_while_a_stand_in_is_parked():
    parked = {"gemini": replace(PARKED, reason="gemini_usage_limited"), "cc-glm": PARKED}
    assert first(situation(("opencode", "opencode_auth_blocked"), parked=parked)) == "provider_parked"


NO_KEY = Gate("gemini_auth_missing", "no key", "set a key")
REFUSED = Proof(NOW - timedelta(minutes=1), Gate("cc_glm_auth_blocked", "401"))


@pytest.mark.parametrize(("parked", "proofs", "state"), [
    ({}, {"cc-glm": REFUSED}, TaskState.BLOCKED),
    ({}, {"cc-glm": Proof(REFUSED.at, Gate("overloaded", "529"))}, None),
    ({"cc-glm": PARKED}, {}, None),
])
def test_a_task_goes_to_a_person_where_only_a_person_can_bring_it_a_provider(parked, proofs, state):
    stuck = situation(("opencode", "opencode_auth_blocked"), unready={"gemini": NO_KEY}, parked=parked,
                      proofs={**PROVEN, **proofs})
    moves = [(one.to, one.reason) for one in plan(stuck).actions if isinstance(one, Move)]
    assert moves == ([(state, "opencode_auth_blocked")] if state else [])


def test_a_persons_retry_begins_at_the_top_of_the_ladder():
    fields = again(task(1, ("opencode", "opencode_auth_blocked")))
    assert fields["spent"] == ()
