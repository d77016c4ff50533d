"""How long a worker elsewhere may be out of reach: its lease counts while we ask in vain; one here has none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.task import TaskState
from coordinator.domain.worker import Exited, HostState, Missing, Unknown, Waiting, WorkerView
from coordinator.planning.actions import Action, Examine, GiveUp, Launch, Plan
from coordinator.planning.completion import failure
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.planning.rules.supervise import lease_over
from coordinator.planning.snapshot import Snapshot
from tests.factories import NOW, a_running, a_snapshot, a_task, a_view, an_attempt

LEASE = timedelta(minutes=10)
SECOND = timedelta(seconds=1)
POLICY = Policy(provider="command", lease=LEASE, executor="ssh", hosts={"a": HostRules(2), "b": HostRules(2)})


def away(age: timedelta) -> Unknown:
    return Unknown("a: no answer", NOW - age)


def running(view: WorkerView, host: str = "a", **more: Any) -> Snapshot:
    task, attempt = a_running()
    attempts = {"gh-1": (replace(attempt, host=host),)}
    return a_snapshot(task, attempts=attempts, views={"gh-1": view}, policy=POLICY, **more)


def preparing(view: WorkerView | None, host: str = "a", **more: Any) -> Snapshot:
    """The worktree is ready; whether the worker was started is not written down."""
    attempt = an_attempt(host=host, prepared_at=NOW)
    return a_snapshot(a_task(1, TaskState.PREPARING, attempts=1), attempts={"gh-1": (attempt,)}, policy=POLICY,
                      views={"gh-1": view} if view is not None else {}, **more)


def kinds(made: Plan) -> list[type[Action]]:
    return [type(one) for one in made.actions]


HOUR = timedelta(hours=1)
# how long out of reach, how long ago we woke, whether it is given up
CASES = [
    (timedelta(), None, False), (LEASE - SECOND, None, False), (LEASE, None, True), (HOUR, None, True),
    (HOUR, timedelta(), False), (HOUR, SECOND, False), (HOUR, LEASE - SECOND, False), (HOUR, LEASE, True),
    (LEASE - SECOND, LEASE, False), (-HOUR, None, False), (HOUR, HOUR, True),
]


@pytest.mark.req("N2")
@pytest.mark.parametrize(("out", "woke", "over"), CASES)
def test_a_worker_elsewhere_is_given_up_when_its_lease_is_over_and_not_after_our_own_sleep(
    out: timedelta, woke: timedelta | None, over: bool
) -> None:
    s = running(away(out), woke_at=None if woke is None else NOW - woke)
    made = plan(s)
    assert kinds(made) == ([Examine] if over else [])
    assert made.waits["gh-1"].code == "unknown"
    assert made.waits["gh-1"].moves == "coordinator hosts check a"
    assert made.waits["gh-1"].until == NOW - out + LEASE
    before = plan(preparing(away(out), woke_at=s.woke_at))
    assert kinds(before) == ([GiveUp] if over else [])


@pytest.mark.req("N2")
@pytest.mark.parametrize("out", [LEASE, timedelta(days=9)])
def test_a_worker_of_this_machine_is_never_given_up(out: timedelta) -> None:
    for s in (running(away(out), ""), preparing(away(out), "")):
        assert kinds(plan(s)) == []
        assert plan(s).waits["gh-1"].until is None


@pytest.mark.parametrize("view", [
    Waiting("in the queue"), a_view(), Exited(0, None, "process_exit"), Missing(started=True),
])
def test_whoever_answers_is_not_given_up_however_long_the_host_was_away(view: WorkerView) -> None:
    s = running(view, hosts={"a": HostState(NOW - timedelta(days=1), "no answer")})
    assert all(one.view == view for one in plan(s).actions if isinstance(one, Examine))
    assert Launch in kinds(plan(preparing(view))) or isinstance(view, Missing)


def test_a_start_that_may_have_been_asked_for_is_not_asked_for_again_while_nobody_knows() -> None:
    """Neither withdrawn, nor paused, nor launched: any of them could leave a worker that nobody knows of."""
    s = preparing(away(LEASE - SECOND), issues={})
    assert kinds(plan(s)) == []
    assert plan(s).waits["gh-1"].code == "unknown"


def test_a_lane_under_way_gives_up_nothing() -> None:
    for s in (running(away(HOUR)), preparing(away(HOUR))):
        assert kinds(plan(replace(s, busy=frozenset({"work:gh-1"})))) == []


def test_who_was_given_up_before_the_start_begins_elsewhere() -> None:
    [given_up] = plan(preparing(away(HOUR))).actions
    assert isinstance(given_up, GiveUp)
    assert "no answer" in given_up.words


MOMENTS = st.integers(-7200, 7200).map(lambda seconds: NOW + timedelta(seconds=seconds))


@given(MOMENTS, st.none() | MOMENTS, st.sampled_from(("", "a")))
def test_the_lease_is_over_only_for_one_elsewhere_that_was_asked_in_vain_for_all_of_it(
    since: datetime, woke: datetime | None, host: str
) -> None:
    attempt = an_attempt(host=host)
    s = a_snapshot(policy=POLICY, woke_at=woke)
    asked_since = since if woke is None or woke > NOW else max(since, woke)
    if lease_over(s, attempt, Unknown("no answer", since)):
        assert host
        assert NOW - asked_since >= LEASE
    elif host and (woke is None or woke <= NOW):
        assert NOW - asked_since < LEASE


@pytest.mark.parametrize(("launched", "hosts", "state"), [
    (None, ("a", "b"), TaskState.QUEUED), (NOW, ("a", "b"), TaskState.BACKOFF), (None, ("a",), TaskState.BACKOFF),
])
def test_who_never_started_there_goes_elsewhere_at_once(
    launched: datetime | None, hosts: tuple[str, ...], state: TaskState
) -> None:
    policy = replace(POLICY, hosts={name: HostRules(1) for name in hosts})
    attempt = an_attempt(host="a", prepared_at=NOW, launched_at=launched)
    settlement = failure(a_task(1, TaskState.PREPARING), attempt, "host_lost", "a: no answer", policy, NOW)
    assert (settlement.to, settlement.charged) == (state, False)
