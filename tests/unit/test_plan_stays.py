"""Every labelled open issue stands in one named state that has an age limit; overrunning it is told once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.config import load
from coordinator.domain.task import TaskState, issue_task_id
from coordinator.engine.staying import note_stays, stays_of
from coordinator.planning.actions import Adopt, Notify
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import RESERVE, Gate, Snapshot, Stay
from coordinator.planning.stays import HELD, noted, overdue
from tests.factories import NOW, a_snapshot, a_task, a_vet, an_issue
from tests.support.memory_store import MemoryStore

AGES = load(None, {}).notify.ages
HOUR = timedelta(hours=1)


def aged(*tasks, **changes) -> Snapshot:
    snapshot = a_snapshot(*tasks, **changes)
    return replace(snapshot, policy=replace(snapshot.policy, ages=AGES))


def notices(snapshot: Snapshot) -> list[Notify]:
    return [one for one in plan(snapshot).actions if isinstance(one, Notify)]


# --- one state each -------------------------------------------------------------------------------------

LABELS = st.sets(st.sampled_from(["rpi-auto", "rpi-pause", "rpi-retry", "rpi:blocked", "priority:P0", "bug"]))
ISSUES = st.builds(
    an_issue,
    number=st.integers(1, 6),
    labels=LABELS.map(frozenset),
    state=st.sampled_from(["open", "closed"]),
    assignees=st.sampled_from([(), ("bo",)]),
    is_pull=st.booleans(),
)
VETS = st.builds(a_vet, number=st.integers(1, 6), permission=st.sampled_from(["write", "read", "none"]))
TASKS = st.builds(a_task, st.integers(1, 6), st.sampled_from(TaskState))


@st.composite
def snapshots(draw) -> Snapshot:
    issues = {one.number: one for one in draw(st.lists(ISSUES, max_size=6))}
    tasks = {one.id: one for one in draw(st.lists(TASKS, max_size=6))}
    made = aged(
        tasks=tasks, issues=issues, vets={one.number: one for one in draw(st.lists(VETS, max_size=6))},
        github_until=draw(st.sampled_from([None, NOW + HOUR])),
        floors=draw(st.sampled_from([(), (Gate(RESERVE, "few requests are left"),)])),
        busy=draw(st.sampled_from([frozenset(), frozenset({"vet:1"})])), paused=draw(st.booleans()),
    )  # fmt: skip
    return replace(made, policy=replace(made.policy, confirm_above=draw(st.sampled_from([1, 10]))))


@pytest.mark.req("W8")
@given(snapshots())
def test_every_labelled_open_issue_is_a_task_or_held_and_never_both(snapshot: Snapshot) -> None:
    made = plan(snapshot)
    held = [one.number for one in made.held]
    adopted = [one.task.issue for one in made.actions if isinstance(one, Adopt)]
    for number, issue in snapshot.issues.items():
        labelled = issue.open and not issue.is_pull and "rpi-auto" in issue.labels
        states = (issue_task_id(number) in snapshot.tasks) + held.count(number) + adopted.count(number)
        if labelled or number in held:
            assert states == 1, (issue, held)
    assert {str(task.state) for task in snapshot.tasks.values()} | {HELD} <= AGES.keys()


@pytest.mark.req("W8")
def test_each_state_has_an_age_limit_of_its_own() -> None:
    assert set(AGES) == {HELD, *(str(state) for state in TaskState)}
    assert all(limit > timedelta(0) for limit in AGES.values())


# --- one alert ------------------------------------------------------------------------------------------


@pytest.mark.req("W8", "X15")
@pytest.mark.parametrize("state", [one for one in TaskState if one is not TaskState.BLOCKED])
def test_a_stay_over_its_limit_is_told_once_and_the_next_stay_anew(state: TaskState) -> None:
    limit = AGES[str(state)]
    young = a_task(1, state, state_since=NOW - limit)
    assert notices(aged(young)) == []
    old = replace(young, state_since=NOW - limit - HOUR)
    [notice] = notices(aged(old))
    assert f"gh-1: {state} for longer than" in notice.words
    assert notice.cure == "coordinator why gh-1"
    told = frozenset({notice.key})
    assert notices(replace(aged(old), notified=told)) == []
    assert notices(replace(aged(replace(old, version=9, pushed_sha="a" * 40)), notified=told)) == []
    anew = replace(old, state_since=NOW - limit - 2 * HOUR)
    assert len(notices(replace(aged(anew), notified=told))) == 1


def test_those_over_the_limit_of_one_state_are_told_of_in_one_message() -> None:
    tasks = [a_task(n, state_since=NOW - timedelta(days=2, minutes=n)) for n in range(1, 4)]
    [notice] = notices(aged(*tasks, paused=True))
    assert notice.words == "gh-1, gh-2, gh-3: QUEUED for longer than 24 h (notify.ages), since 2026-02-28 11:57 UTC"
    assert len({notice.key, *notice.along}) == 3


@pytest.mark.parametrize("state", [TaskState.DONE, TaskState.FAILED, TaskState.CANCELLED])
def test_what_has_ended_may_rest_once_nobody_wants_it(state: TaskState) -> None:
    old = a_task(1, state, state_since=NOW - timedelta(days=30))
    for issue in (an_issue(1, state="closed"), an_issue(1, "bug")):
        assert notices(aged(old, issues={1: issue})) == []
    assert len(notices(aged(old))) == 1


def test_a_limit_of_nothing_tells_nobody() -> None:
    old = a_task(1, TaskState.IN_REVIEW, state_since=NOW - timedelta(days=30))
    quiet = aged(old)
    quiet = replace(quiet, policy=replace(quiet.policy, ages={**AGES, "IN_REVIEW": timedelta(0)}))
    assert notices(quiet) == []


# --- held issues, and a clock that was wrong --------------------------------------------------------------


def ticked(store: MemoryStore, snapshot: Snapshot) -> Snapshot:
    """As the engine does it: look, plan, note."""
    snapshot = replace(snapshot, stays=stays_of(store))
    note_stays(store, snapshot, plan(snapshot))
    return snapshot


@pytest.mark.req("W8")
def test_an_issue_that_is_held_too_long_is_told_once_from_when_it_was_first_held() -> None:
    store = MemoryStore()
    foreign = {"issues": {7: an_issue(7, assignees=("bo",), updated_at=NOW - timedelta(days=90))}}
    assert notices(ticked(store, aged(**foreign))) == [], "the issue is old, its stay is not"
    late = {**foreign, "now": NOW + AGES[HELD] + HOUR}
    [notice] = notices(ticked(store, aged(**late)))
    assert "gh-7: HELD" in notice.words
    assert notices(replace(ticked(store, aged(**late)), notified=frozenset({notice.key}))) == []
    ticked(store, aged(**{**late, "issues": {7: an_issue(7, "bug")}}))
    assert stays_of(store) == {}, "let go, and held anew it begins anew"


def test_nothing_is_written_while_nothing_changes() -> None:
    store = MemoryStore()
    held = aged(issues={7: an_issue(7, assignees=("bo",))})
    ticked(store, held)
    again = replace(held, now=NOW + HOUR, stays=stays_of(store))
    assert noted(again, plan(again).held) is again.stays


@pytest.mark.req("W8")
def test_a_clock_set_back_behind_a_stay_hides_it_for_no_longer_than_its_limit() -> None:
    store = MemoryStore()
    future = a_task(1, TaskState.IN_REVIEW, state_since=NOW + timedelta(days=365))
    assert notices(ticked(store, aged(future))) == []
    later = NOW + AGES["IN_REVIEW"] + HOUR
    [notice] = notices(ticked(store, aged(future, now=later)))
    assert "IN_REVIEW" in notice.words
    assert notices(replace(ticked(store, aged(future, now=later + HOUR)), notified=frozenset({notice.key}))) == []


def test_a_note_from_the_future_is_taken_anew() -> None:
    wrong = Stay(HELD, NOW + timedelta(days=365))
    held = aged(issues={7: an_issue(7, assignees=("bo",))}, stays={"gh-7": wrong})
    assert noted(held, plan(held).held) == {"gh-7": Stay(HELD, NOW)}
    assert list(overdue(held)) == []
