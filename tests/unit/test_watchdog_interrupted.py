"""A restart in whose midst the watchdog died: the next one goes on with it, unless it is nobody's any more."""

from __future__ import annotations

import pytest

from coordinator.domain.worker import Exited, Missing, Unknown, Waiting, WorkerView
from coordinator.planning.watchdog import Orders, Restart
from tests.unit.test_watchdog import NOW, a_job, acts, ago, kinds, running


@pytest.mark.req("N7")
@pytest.mark.parametrize(("outcome", "meta", "expected"), [
    ({}, {}, ["Restart"]),
    ({}, {"retries": "1"}, ["Block"]),
    ({}, {"no_auto_restart": "true"}, ["Block"]),
    ({}, {"blocked": "true"}, []),
    ({}, {"no_restart_of": "t"}, []),
    ({}, {"no_restart_of": "of an earlier run"}, ["Restart"]),
    ({}, {"owner": "coordinator"}, []),
    ({"reason_code": "extended_stall"}, {}, ["Restart"]),
    ({"reason_code": "manual_stop"}, {}, []),
    ({"survivors": "4711"}, {}, []),
    ({"ended_at": str(ago(90))}, {}, []),
    ({"ended_at": "?"}, {}, []),
])
def test_a_restart_in_whose_midst_the_watchdog_died_is_gone_on_with(outcome, meta, expected):
    ended = {"state": "killed", "reason_code": "stalled", "ended_at": str(ago(2)), **outcome}
    assert kinds(a_job(Exited(None, 15, "stalled"), ended, **meta)) == expected


NEVER = Missing(started=False)
NAMED = {"retries": "1", "launch_state": "starting", "restarted_at": "2026-03-04T13:58:00Z"}


@pytest.mark.req("N7")
@pytest.mark.parametrize(("view", "meta", "orders", "expected"), [
    (NEVER, {}, Orders(), ["Restart"]),
    (NEVER, {"retries": "2"}, Orders(), ["Block"]),
    (NEVER, {"retries": "2"}, Orders(max_retries=2), ["Restart"]),
    (NEVER, {}, Orders(max_retries=0), ["Block"]),
    (NEVER, {"no_auto_restart": "true"}, Orders(), ["Block"]),
    (NEVER, {"blocked": "true"}, Orders(), ["Record"]),
    (NEVER, {"launch_state": "started"}, Orders(), ["Record"]),
    (NEVER, {"restarted_at": ""}, Orders(), ["Record"]),
    (NEVER, {"restarted_at": "2026-03-04T13:58:00"}, Orders(), ["Record"]),
    (NEVER, {"restarted_at": "2026-03-04T12:58:00Z"}, Orders(), ["Record"]),
    (NEVER, {"owner": "plan"}, Orders(), []),
    (Missing(started=True), {}, Orders(), ["Record"]),
    (Exited(None, None, "host_reboot"), {}, Orders(), ["Record"]),
    (Waiting("it is being started"), {}, Orders(), []),
    (Unknown("no answer", NOW), {}, Orders(), []),
    (running(cpu=1, signs=1), {}, Orders(), []),
])
def test_a_restart_that_named_its_run_and_never_began_it_is_made_good(
    view: WorkerView, meta: dict[str, str], orders: Orders, expected: list[str]
) -> None:
    assert kinds(a_job(view, **{**NAMED, **meta}), orders=orders) == expected


@pytest.mark.parametrize("outcome", [{}, {"state": "killed", "reason_code": "stalled", "ended_at": str(ago(2))}])
def test_a_restart_that_is_made_good_is_counted_once(outcome: dict[str, str]) -> None:
    """Also where the next watchdog died too, after it had written that nothing ran."""
    [again] = acts(a_job(NEVER, outcome, **NAMED))
    assert isinstance(again, Restart)
    assert (again.unbegun, again.nth) == (True, 1)
    [seen] = acts(a_job(NEVER, **NAMED), Orders(observe_only=True))
    assert "would be restarted (restart 1 of 1)" in seen.words
