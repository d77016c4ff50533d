"""`why` is total: every state with every reason has one code and something a person can do about it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.domain.reasons import REASONS
from coordinator.domain.task import MOVES, TaskState
from coordinator.wording.why import age, why

NOW = datetime(2026, 3, 4, 16, 13, tzinfo=UTC)
LABELS = {"auto": "rpi-auto", "retry": "again-please"}
ATTEMPT = {
    "number": 1, "provider": "claude", "started": "2026-03-04T13:10:00+00:00", "ended": "2026-03-04T13:41:00+00:00",
    "reason": "stalled", "detail": "no sign of progress for 20m", "commits": 2, "rescue_ref": "refs/coordinator/r",
}


def row(state: TaskState, **changes: Any) -> dict[str, Any]:
    return {"id": "gh-450", "issue": 450, "state": str(state), "since": "2026-03-04T14:02:00+00:00",
            "reason": "", "detail": "", "branch": "rpi/gh-450", "attempts": [], "wait": None} | changes


def answer(given: dict[str, Any]) -> Any:
    return why(given, labels=LABELS, now=NOW, local=lambda moment: moment)


@pytest.mark.req("N9")
@pytest.mark.parametrize("state", TaskState)
def test_every_state_with_every_reason_has_a_code_and_a_way_on(state: TaskState) -> None:
    waits = (None, {"code": "slots", "words": "all slots are taken", "moves": "", "until": None},
             {"code": "paused", "words": "paused", "moves": "coordinator resume", "until": None})
    for reason in ("", *REASONS):
        for wait in waits:
            for attempts in ([], [ATTEMPT]):
                for issue in (450, None):
                    found = answer(row(state, reason=reason, wait=wait, attempts=attempts, issue=issue))
                    assert found.code
                    assert "unknown" not in found.code
                    assert found.code in found.lines[0]
                    assert found.remedies
                    assert all(remedy.how for remedy in found.remedies)
                    assert any(found.remedies[0].how in line for line in found.lines)


@pytest.mark.req("N9")
@pytest.mark.parametrize("state", TaskState)
def test_a_command_is_only_named_where_the_table_of_moves_allows_what_it_does(state: TaskState) -> None:
    commands = [remedy.how for remedy in answer(row(state, attempts=[ATTEMPT])).remedies]
    stops = any(command.startswith("coordinator stop") for command in commands)
    retries = any(command.startswith(("coordinator retry", "set the label")) for command in commands)
    assert not stops or TaskState.CANCELLED in MOVES[state]
    assert not retries or TaskState.QUEUED in MOVES[state]
    assert stops or retries or state is TaskState.DONE


def test_a_blocked_task_is_explained_with_its_attempts_its_work_and_what_moves_it() -> None:
    given = row(TaskState.BLOCKED, reason="max_retries", detail="stalled twice", attempts=[ATTEMPT])
    assert answer(given).lines == (
        "gh-450 is BLOCKED since 14:02 (2h 11m): max_retries: stalled twice.",
        "  attempt 1  claude    13:10 → 13:41  stalled: no sign of progress for 20m",
        "  work kept: branch rpi/gh-450 (2 commits), uncommitted changes in refs/coordinator/r",
        "What moves it:",
        "  set the label again-please     try again, from GitHub",
        "  coordinator retry 450          try again from the branch",
        "  coordinator view 450 --errors  see where it went wrong",
    )


def test_what_it_waits_for_now_is_said_before_why_it_came_here() -> None:
    wait = {"code": "depends_on", "words": "waits for gh-471", "moves": "coordinator why 471", "until": None}
    found = answer(row(TaskState.QUEUED, reason="lost", wait=wait))
    assert found.code == "depends_on"
    assert found.lines[0].endswith("depends_on: waits for gh-471.")
    assert found.remedies[0].how == "coordinator why 471"


def test_another_agent_is_only_named_where_it_may_help() -> None:
    other = "coordinator retry 450 --provider NAME"
    assert other in [r.how for r in answer(row(TaskState.BLOCKED, reason="claude_auth_blocked")).remedies]
    assert other not in [r.how for r in answer(row(TaskState.BLOCKED, reason="push_refused")).remedies]


@pytest.mark.parametrize(("seconds", "words"), [
    (-5, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (7860, "2h 11m"), (90000, "1d 1h"),
])
def test_an_age_is_short(seconds: int, words: str) -> None:
    assert age(timedelta(seconds=seconds)) == words
