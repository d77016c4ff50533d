"""Running workers are stopped when they stall, examined when they end, and left alone otherwise."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.domain.outward import Outward
from coordinator.domain.task import TaskState
from coordinator.domain.worker import Exited, Missing, Unknown
from coordinator.planning.actions import Begin, Examine, Push, StopWorker, Tell
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Speech
from tests.factories import NOW, a_pull, a_running, a_snapshot, a_task, a_view, an_attempt, an_issue

TASK, ATTEMPT = a_running()


def pushes(snapshot) -> list[bool]:
    return [one.wip for one in plan(snapshot).actions if isinstance(one, Push)]


def seen(view, attempt=ATTEMPT, **changes):
    return a_snapshot(TASK, attempts={"gh-1": (attempt,)}, views={"gh-1": view}, **changes)


@pytest.mark.req("P57")
def test_a_worker_without_progress_is_stopped_as_stalled():
    assert plan(seen(a_view(timedelta(minutes=19)))).actions == ()
    [stop] = plan(seen(a_view(timedelta(minutes=20)))).actions
    assert (type(stop), stop.reason, stop.by) == (StopWorker, "stalled", "stall")


def test_a_polite_stop_that_is_not_followed_becomes_a_hard_one():
    asked = replace(ATTEMPT, stop_asked_at=NOW - timedelta(seconds=15), stop_reason="manual_stop", stop_by="request")
    [stop] = plan(seen(a_view(), asked)).actions
    assert (stop.hard, stop.reason) == (True, "manual_stop")
    waiting = plan(seen(a_view(), asked, now=NOW - timedelta(seconds=1)))
    assert waiting.actions == ()
    assert (waiting.waits["gh-1"].code, waiting.waits["gh-1"].until) == ("stopping", NOW)


def test_a_stop_that_was_asked_for_by_a_clock_set_back_since_is_asked_for_again():
    asked = replace(ATTEMPT, stop_asked_at=NOW + timedelta(hours=24), stop_reason="manual_stop", stop_by="request")
    [stop] = plan(seen(a_view(), asked)).actions
    assert (stop.hard, stop.reason) == (False, "manual_stop")


@pytest.mark.req("E32")
@pytest.mark.parametrize("pulls", [{}, {7: a_pull()}])
def test_a_worker_that_runs_goes_on_running(pulls):
    made = plan(seen(a_view(), pulls=pulls))
    assert made.actions == ()
    assert made.waits["gh-1"].code == "running"


@pytest.mark.req("E26")
@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.RUNNING])
def test_only_running_tasks_are_examined(state):
    ended = Exited(0, None, "process_exit")
    snapshot = a_snapshot(a_task(1, state), attempts={"gh-1": (ATTEMPT,)}, views={"gh-1": ended})
    assert [one for one in plan(snapshot).actions if isinstance(one, Examine)] == []


@pytest.mark.parametrize("view", [Exited(1, None, "process_exit"), Missing(started=True), Missing(started=False)])
def test_an_ended_worker_is_examined(view):
    assert [type(one) for one in plan(seen(view)).actions] == [Examine]


def test_a_worker_that_could_not_be_asked_ends_nothing():
    made = plan(seen(Unknown("no answer", NOW - timedelta(days=9))))
    assert made.actions == ()
    assert made.waits["gh-1"].code == "unknown"


def test_kept_work_that_the_remote_refused_does_not_hold_the_next_try():
    attempts = {"gh-1": (an_attempt(commits=1, head_sha="h" * 40),)}
    blocked = a_snapshot(a_task(1, TaskState.BLOCKED, reason="lost"), attempts=attempts)
    assert pushes(blocked) == [True]
    refused = {"keep:gh-1": NOW + timedelta(days=1)}
    assert pushes(replace(blocked, holdoff=refused)) == []
    assert [type(one) for one in plan(a_snapshot(a_task(), holdoff=refused)).actions] == [Begin]


@pytest.mark.parametrize(("labels", "told"), [(("rpi-auto", "rpi:blocked"), False), (("rpi-auto",), True)])
def test_labels_follow_what_was_seen_on_the_issue_not_what_we_remember(labels, told):
    blocked = frozenset({"rpi:blocked"})
    snapshot = a_snapshot(a_task(1, TaskState.BLOCKED), issues={1: an_issue(1, *labels)},
                          speech={"gh-1": Speech(labels=blocked)}, outward={"gh-1": Outward("gh-1", labels=blocked)})
    assert [one.labels for one in plan(snapshot).actions if isinstance(one, Tell)] == ([True] if told else [])


def test_a_clock_set_forward_or_a_host_that_slept_stalls_no_worker():
    hour = timedelta(hours=1)
    before = a_view()
    awake = seen(before, now=NOW + hour, woke_at=NOW + hour)
    assert plan(awake).actions == ()
    later = replace(awake, now=NOW + hour + timedelta(seconds=90))
    [stop] = plan(later).actions   # its wrapper had the time to write a heartbeat, and wrote none
    assert stop.reason == "stalled"
    [stop] = plan(replace(awake, woke_at=None)).actions
    assert stop.reason == "stalled"
    quiet = replace(a_view(timedelta(minutes=20)))
    assert len(plan(seen(quiet, woke_at=NOW)).actions) == 1   # a fresh heartbeat that shows no progress counts
