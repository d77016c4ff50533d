"""Every task that is not moving has one wait with a known code, and what the wait names really moves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from coordinator.domain.issue import PullState
from coordinator.domain.reasons import REASONS
from coordinator.domain.request import RequestKind
from coordinator.domain.task import NEEDS_PERSON, TaskState
from coordinator.domain.worker import Exited, Missing, Unknown, Waiting
from coordinator.planning.actions import Begin, Move, work_lane
from coordinator.planning.batch.standing import GatePhase, Standing
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Gate, Parked
from coordinator.planning.waits import known_code
from tests.factories import NOW, a_pull, a_request, a_running, a_snapshot, a_task, a_view, an_attempt, an_issue

LATER = NOW + timedelta(minutes=5)
VIEWS = (None, a_view(), a_view(timedelta(hours=1)), Waiting("queue"), Exited(0, None, "process_exit"),
         Missing(started=True), Unknown("no answer", NOW))
GATES = (
    {}, {"paused": True}, {"draining": "STOP"}, {"github_until": LATER, "github_words": "down"},
    {"floors": (Gate("disk", "full", "clean"),)}, {"sessions_today": 50}, {"busy": frozenset({work_lane("gh-1")})},
    {"holdoff": {work_lane("gh-1"): LATER}}, {"parked": {"command": Parked(LATER, "limit")}},
    {"unready": {"command": Gate("command_binary_missing", "not found", "install it")}},
)
ISSUES = (an_issue(), an_issue(1, "rpi-auto", "rpi-pause"), an_issue(1, "other"), an_issue(state="closed"), None)
ATTEMPTS = ((), (an_attempt(),), (an_attempt(prepared_at=NOW),), (a_running()[1],),
            (replace(a_running()[1], stop_asked_at=NOW, stop_reason="manual_stop"),))


@pytest.mark.req("N9")
@pytest.mark.parametrize("state", TaskState)
def test_each_task_has_exactly_one_wait_of_the_closed_list(state):
    reasons = ("", "manual_stop") if state not in NEEDS_PERSON else REASONS
    for reason in reasons:
        assert known_code(plan(a_snapshot(a_task(1, state, reason=reason, pr_number=7))).waits["gh-1"].code)
    for view, gate, issue, attempts in product(VIEWS, GATES, ISSUES, ATTEMPTS):
        task = a_task(1, state, pr_number=7, retry_at=LATER)
        made = plan(a_snapshot(task, attempts={"gh-1": attempts} if attempts else {},
                               issues={1: issue} if issue else {}, views={"gh-1": view} if view else {}, **gate))
        assert set(made.waits) == {"gh-1"}
        code = made.waits["gh-1"].code
        assert known_code(code), code
        assert code != "unknown" or isinstance(view, Unknown)
        impossible = not attempts and state in (TaskState.PREPARING, TaskState.RUNNING, TaskState.PUBLISHING)
        assert code != "moving" or made.actions or impossible, (view, gate, issue, attempts)


ONE = Policy(provider="command", max_workers=1)
BUSY = a_running(9)[0]
HELD = [
    ("paused", a_snapshot(a_task(), issues={1: an_issue(1, "rpi-auto", "rpi-pause")}), {"issues": {1: an_issue()}}),
    ("depends", a_snapshot(a_task(1, depends_on=(2,)), issues={1: an_issue(), 2: an_issue(2, "x")}),
     {"issues": {1: an_issue(), 2: an_issue(2, "x", state="closed")}}),
    ("batch_held", a_snapshot(a_task(), issues={1: an_issue(1, "rpi-auto", "batch:x")},
                              batches={"label:batch:x": Standing(GatePhase.HELD, NOW, why="it failed")}),
     {"batches": {"label:batch:x": Standing()}}),
    ("slot", a_snapshot(BUSY, a_task(), policy=ONE), {"policy": replace(ONE, max_workers=2)}),
    ("provider_cap", a_snapshot(BUSY, a_task(), policy=replace(ONE, max_workers=9, provider_caps={"command": 1})),
     {"policy": replace(ONE, max_workers=9)}),
    ("draining", a_snapshot(a_task(), draining="STOP"), {"draining": ""}),
    ("coordinator_paused", a_snapshot(a_task(), paused=True), {"paused": False}),
    ("github", a_snapshot(a_task(), github_until=LATER, github_words="down"), {"now": LATER}),
    ("disk", a_snapshot(a_task(), floors=(Gate("disk", "full", "clean"),)), {"floors": ()}),
    ("sessions_per_day", a_snapshot(a_task(), sessions_today=50), {"sessions_today": 0}),
    ("holdoff", a_snapshot(a_task(), holdoff={work_lane("gh-1"): LATER}), {"now": LATER}),
    ("provider_parked", a_snapshot(a_task(), parked={"command": Parked(LATER, "limit")}), {"now": LATER}),
    ("command_binary_missing", a_snapshot(a_task(), unready={"command": GATES[-1]["unready"]["command"]}),
     {"unready": {}}),
    ("backoff", a_snapshot(a_task(1, TaskState.BACKOFF, retry_at=LATER, reason="lost")), {"now": LATER}),
    ("backoff", a_snapshot(a_task(1, TaskState.BACKOFF, retry_at=LATER, reason="lost")),
     {"requests": (a_request(RequestKind.RETRY),)}),
    ("review", a_snapshot(a_task(1, TaskState.IN_REVIEW, pr_number=7)), {"pulls": {7: a_pull(7, PullState.MERGED)}}),
    ("provider_unknown", a_snapshot(a_task(1, provider="nobody")),
     {"requests": (a_request(RequestKind.RETRY, provider="command"),)}),
    ("provider_parked", a_snapshot(a_task(), parked={"command": Parked(LATER, "limit")}),
     {"requests": (a_request(RequestKind.RETRY, provider="claude"),)}),
    *((str(state).lower(), a_snapshot(a_task(1, state, reason="lost")), {"requests": (a_request(RequestKind.RETRY),)})
      for state in sorted(NEEDS_PERSON)),
]


@pytest.mark.req("N9")
@pytest.mark.parametrize(("code", "held", "change"), HELD, ids=[f"{n}-{row[0]}" for n, row in enumerate(HELD)])
def test_what_a_wait_names_moves_the_task(code, held, change):
    before = plan(held)
    assert before.waits["gh-1"].code == code
    assert before.waits["gh-1"].moves or before.waits["gh-1"].until
    assert not [one for one in before.actions if isinstance(one, (Begin, Move)) and one.task.id == "gh-1"]
    after = plan(replace(held, **change))
    assert [one for one in after.actions if isinstance(one, (Begin, Move)) and one.task.id == "gh-1"]
