"""When what stands on an issue is looked at again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.domain.outward import Outward
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Publish, Push, Tell
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import RESERVE, Gate, Speech
from tests.factories import NOW, a_snapshot, a_task, an_attempt, an_issue

SAID = Speech("CANCELLED:1")


@pytest.mark.req("N8")
@pytest.mark.parametrize("state", TaskState)
def test_while_requests_are_kept_for_people_only_what_became_of_work_is_said(state):
    task = a_task(1, state, pr_number=7)
    snapshot = a_snapshot(task, speech={task.id: Speech("NEW:1")}, outward={task.id: Outward(task.id)})
    kept = replace(snapshot, floors=(Gate(RESERVE, "480 requests are left"),))
    under_way = {TaskState.QUEUED, TaskState.BACKOFF, TaskState.PREPARING, TaskState.RUNNING}
    assert any(isinstance(one, Tell) for one in plan(snapshot).actions)
    assert any(isinstance(one, Tell) for one in plan(kept).actions) == (state not in under_way)


@pytest.mark.req("N8")
def test_while_requests_are_kept_for_people_finished_work_is_pushed_and_published():
    attempt = an_attempt(commits=1, head_sha="h" * 40, ended_at=NOW)
    task = a_task(1, TaskState.PUBLISHING, attempts=1)
    for pushed, wanted in (("", Push), ("h" * 40, Publish)):
        snapshot = a_snapshot(replace(task, pushed_sha=pushed), attempts={"gh-1": (attempt,)},
                              floors=(Gate(RESERVE, "480 requests are left"),))  # fmt: skip
        assert [type(one) for one in plan(snapshot).actions if isinstance(one, Push | Publish)] == [wanted]


@pytest.mark.parametrize(("state", "seen", "known", "looked"), [
    ("closed", (), None, True),                        # we may have set one after it was seen last
    ("closed", ("rpi:queued",), frozenset(), False),   # seen before we took it off
    ("closed", ("rpi:queued",), frozenset({"rpi:queued"}), True),
    ("open", ("rpi:queued",), frozenset(), True),      # somebody set it, or we did and died
    ("open", (), frozenset({"rpi:queued"}), False),
])  # fmt: skip
def test_labels_of_a_closed_issue_are_judged_by_what_we_set_and_of_an_open_one_by_what_was_seen(
    state, seen, known, looked
):
    task = a_task(1, TaskState.CANCELLED, reason="issue_closed")
    snapshot = a_snapshot(
        task, issues={1: an_issue(1, "rpi-auto", *seen, state=state)}, speech={task.id: SAID},
        outward={task.id: Outward(task.id, living_key=SAID.living, labels=known)},
    )  # fmt: skip
    assert [one.labels for one in plan(snapshot).actions if isinstance(one, Tell)] == [True] * looked
