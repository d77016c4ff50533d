"""When what stands on an issue is looked at again."""

from __future__ import annotations

import pytest

from coordinator.domain.outward import Outward
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Tell
from coordinator.planning.plan import plan
from coordinator.planning.snapshot import Speech
from tests.factories import a_snapshot, a_task, an_issue

SAID = Speech("CANCELLED:1")


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
