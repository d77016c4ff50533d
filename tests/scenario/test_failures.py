"""Attempts that do not end well: each has its own end, and nobody's work is lost."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from datetime import timedelta

import pytest

from coordinator.runfiles import identity, orders
from tests.support.yard import Yard, a_yard

WORK_THEN_SLEEP = "commit()\nwrite('more.txt', 'half')\ntime.sleep(600)"


@pytest.mark.req("E31", "E48")
def test_an_agent_that_changes_nothing_fails_without_a_pull_request(yard: Yard):
    number = yard.issue(script="say('nothing to do'); result()")

    task = yard.until_state(number, "FAILED")

    assert task.reason == "no_change"
    assert yard.repository.pulls() == []
    assert any("Worker exited without creating PR" in body for body in yard.comments(number))
    metrics = json.loads(yard.read("adws/metrics.json"))
    assert (metrics["workers_failed"], metrics["workers_completed"], metrics["prs_created"]) == (1, 0, 0)
    assert metrics["health"] == "warning"


def test_a_failed_attempt_is_tried_again_and_its_commits_stay(yard: Yard):
    number = yard.issue(script="if attempt == 1:\n    commit('first.txt'); sys.exit(3)\ncommit('second.txt'); result()")

    task = yard.until_state(number, "IN_REVIEW")

    assert task.attempts == 2
    assert "first.txt" in yard.repository.files(task.branch)
    assert "second.txt" in yard.repository.files(task.branch)
    assert len(yard.repository.pulls()) == 1


@pytest.mark.req("P57")
def test_a_stalled_worker_is_restarted_once_then_given_to_a_person(tmp_path):
    with a_yard(tmp_path, settings={"stall": "1s"}) as yard:
        number = yard.issue(script=WORK_THEN_SLEEP)

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert (task.reason, task.attempts) == ("max_retries", 2)
        assert "stalled" in task.detail
        yard.until(lambda: "rpi:blocked" in yard.repository.issue(number).labels)
        assert any("⏰ Blocked" in body for body in yard.comments(number))
        [last] = [attempt for attempt in yard.engine.world.store.attempts()[task.id] if attempt.number == 2]
        assert last.rescue_ref == f"refs/coordinator/rescue/{task.id}/2"
        assert yard.git("show", f"{last.rescue_ref}:more.txt") == "half"


def test_a_wrapper_that_hears_nothing_any_more_is_overruled_and_its_worker_counts_as_stalled(tmp_path, monkeypatch):
    real = identity.send

    def deaf(pid, start, number):
        return None if number == signal.SIGCONT else real(pid, start, number)

    with a_yard(tmp_path, settings={"stall": "3s"}) as yard:
        world = yard.engine.world
        world.policy = replace(world.policy, stop_again=timedelta(seconds=1))
        number = yard.issue(script="while attempt == 1:\n    say('busy'); time.sleep(0.2)\ncommit('two.txt'); result()")
        task = yard.until_state(number, "RUNNING")
        monkeypatch.setattr(identity, "send", deaf)
        monkeypatch.setattr(orders, "UNHEARD", 1.0)
        os.kill(world.store.attempts()[task.id][0].pid, signal.SIGSTOP)

        assert yard.until_state(number, "IN_REVIEW", seconds=60).attempts == 2
        first = world.store.attempts()[task.id][0]
        assert first.reason == "stalled"
        assert identity.with_token(first.token) == []


@pytest.mark.req("P57", "X9")
def test_a_worker_over_its_time_is_ended_and_its_work_pushed_without_a_pull_request(tmp_path):
    with a_yard(tmp_path, settings={"timeout": "1s", "retries": "0"}) as yard:
        number = yard.issue(script=WORK_THEN_SLEEP)

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert yard.engine.world.store.attempts()[task.id][-1].reason == "max_runtime"
        yard.until(lambda: yard.repository.branch(task.branch) is not None)
        assert "WIP" in yard.repository.messages(task.branch)[-1]
        assert "more.txt" in yard.repository.files(task.branch)
        assert yard.repository.pulls() == []


def test_an_agent_that_leaves_blocked_md_is_blocked_with_its_words(yard: Yard):
    number = yard.issue(script="commit(); write('BLOCKED.md', 'Which colour?'); result()")

    task = yard.until_state(number, "BLOCKED")

    assert (task.reason, task.detail) == ("needs_human", "Which colour?")
    yard.until(lambda: yard.repository.branch(task.branch) is not None)
    assert "BLOCKED.md" not in yard.repository.files(task.branch)
    assert any("Which colour?" in body for body in yard.comments(number))


def test_forgotten_changes_are_committed_and_published_as_a_draft(yard: Yard):
    number = yard.issue(script="write('work.txt', 'done'); result()")

    yard.until_state(number, "IN_REVIEW")

    [pull] = yard.repository.pulls()
    assert pull.pull.draft
    assert "work.txt" in yard.repository.files(f"rpi/gh-{number}")


@pytest.mark.req("X1")
def test_a_failing_hook_fails_the_attempt_with_its_output_before_an_agent_starts(tmp_path):
    more = '[worktree]\ncopy = [".env"]\nafter_create = "cat .env; echo no compiler >&2; exit 3"\n'
    with a_yard(tmp_path, more=more, settings={"retries": "0"}) as yard:
        (yard.clone / ".env").write_text("COLOUR=blue")
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED")

        [attempt] = yard.engine.world.store.attempts()[task.id]
        assert attempt.reason == "hook_failed"
        assert attempt.launched_at is None
        assert "no compiler" in attempt.detail
        assert "COLOUR=blue" in attempt.detail


def test_a_refused_push_blocks_with_the_remotes_words_and_keeps_the_work(yard: Yard):
    yard.repository.protect("rpi/*")
    number = yard.issue()

    task = yard.until_state(number, "BLOCKED")

    assert task.reason == "push_refused"
    assert "Protected branch" in task.detail
    assert yard.git("log", "-1", "--format=%s", task.branch) == "Do the work"
    assert yard.repository.pulls() == []


def test_a_refused_push_goes_out_at_a_retry_without_another_session(yard: Yard):
    yard.repository.protect("rpi/*")
    number = yard.issue()
    yard.until_state(number, "BLOCKED")

    yard.ann.add_label(number, "rpi-retry")   # nothing was mended yet: heard once, and refused once more
    yard.until(lambda: "rpi-retry" not in yard.repository.issue(number).labels)
    yard.until_state(number, "BLOCKED")
    yard.repository.protect()
    yard.ann.add_label(number, "rpi-retry")
    task = yard.until_state(number, "IN_REVIEW")

    assert (task.attempts, len(yard.repository.pulls())) == (1, 1)
    assert yard.repository.messages(task.branch) == ["Do the work"]


def test_a_missing_program_waits_with_its_cure_and_no_attempt_is_spent(yard: Yard):
    text = yard.read("coordinator.toml").replace("argv = [", 'argv = ["no-such-agent", ')
    (yard.clone / "coordinator.toml").write_text(text)
    yard.close()
    yard.start()
    number = yard.issue()

    yard.until(lambda: yard.state(number) == "QUEUED" and f"gh-{number}" in yard.plan.waits)
    yard.tick()

    assert yard.plan.waits[f"gh-{number}"].code == "command_binary_missing"
    assert yard.task(number).attempts == 0
