"""A worktree that could not be made buildable stays so for the next attempt too: no agent starts in a half-made one."""

from __future__ import annotations

import pytest

from coordinator.domain.request import RequestKind
from tests.support.yard import Yard, a_yard


def attempts(yard: Yard, number: int):
    return yard.engine.world.store.attempts()[f"gh-{number}"]


@pytest.mark.req("X1")
def test_after_create_runs_again_for_the_next_attempt_until_it_has_passed(tmp_path):
    with a_yard(tmp_path, more='[worktree]\nafter_create = "exit 3"\n') as yard:
        number = yard.issue()

        yard.until_state(number, "BLOCKED")

        assert [one.reason for one in attempts(yard, number)] == ["hook_failed", "hook_failed"]
        assert all(one.launched_at is None for one in attempts(yard, number))


@pytest.mark.req("X1")
def test_after_create_that_passes_at_the_second_try_runs_no_third_time(tmp_path):
    count = tmp_path / "count"
    hook = f"echo x >> '{count}'; test $(wc -l < '{count}') -ge 2"
    with a_yard(tmp_path, more=f'[worktree]\nafter_create = "{hook}"\n') as yard:
        number = yard.issue(script="commit(f'work-{attempt}.txt')\nresult()")

        yard.until_state(number, "IN_REVIEW")
        store = yard.engine.world.store
        store.ask(RequestKind.RETRY, f"gh-{number}", {}, "cli", yard.engine.world.clock.now())
        yard.until(lambda: len(attempts(yard, number)) == 3)
        yard.until_state(number, "IN_REVIEW")

        assert [one.reason for one in attempts(yard, number)] == ["hook_failed", "process_exit", "process_exit"]
        assert count.read_text().count("x") == 2
