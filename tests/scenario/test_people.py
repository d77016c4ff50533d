"""What people do while it runs: STOP, labels, kills, edits of tasks.md, requests."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from coordinator.domain.request import RequestKind
from coordinator.runfiles import identity
from tests.support.yard import Yard

LOOP = "commit('useful.txt')\nwrite('more.txt', 'half')\nwhile True: time.sleep(0.1)"
STUBBORN = ("signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            "os.fork() == 0 and (os.setsid(), os.fork() and os._exit(0))\n" + "while True: time.sleep(0.1)")


def running(yard: Yard, script: str = LOOP, mark: str = "more.txt") -> int:
    """An issue whose worker has got as far as `mark`."""
    number = yard.issue(script=script)
    yard.until(lambda: (yard.worktree(number) / mark).exists() if mark else yard.state(number) == "RUNNING")
    return number


@pytest.mark.req("E12", "E14", "F8", "P62", "X9")
def test_touch_stop_ends_the_worker_keeps_its_work_and_stays_stopped(yard: Yard):
    number = running(yard)
    (yard.worktree(number) / "STOP").write_text("wrong approach\n")

    task = yard.until_state(number, "CANCELLED")

    assert (task.reason, task.detail) == ("manual_stop", "wrong approach")
    yard.until(lambda: yard.repository.branch(task.branch) is not None)
    assert yard.repository.messages(task.branch)[-1] == "WIP: Stopped by user"
    assert {"useful.txt", "more.txt"} <= set(yard.repository.files(task.branch))
    assert "STOP" not in yard.repository.files(task.branch)
    assert yard.repository.pulls() == []
    assert [body for body in yard.comments(number) if "wrong approach" in body and "coordinator:gh-1:stopped" in body]
    for _ in range(3):
        yard.tick()
    assert yard.state(number) == "CANCELLED"


@pytest.mark.req("P62")
def test_the_label_set_anew_goes_on_from_the_kept_branch_without_the_stop_file(yard: Yard):
    number = running(yard)
    (yard.worktree(number) / "STOP").touch()
    task = yard.until_state(number, "CANCELLED")
    yard.ann.edit_body(number, "```script\nassert not os.path.exists('STOP'); commit('rest.txt'); result()\n```")
    yard.ann.remove_label(number, "rpi-auto")
    yard.ann.add_label(number, "rpi-auto")

    yard.until_state(number, "IN_REVIEW")

    assert {"useful.txt", "more.txt", "rest.txt"} <= set(yard.repository.files(task.branch))


@pytest.mark.req("N3", "W1")
def test_a_worker_that_resists_leaves_no_survivor(yard: Yard):
    number = running(yard, STUBBORN, "")
    (yard.worktree(number) / "STOP").touch()
    yard.until_state(number, "CANCELLED")
    yard.quiet()


@pytest.mark.req("E15", "E10")
def test_kill_of_the_pid_in_tasks_md_stops_it_for_good(yard: Yard):
    number = running(yard)
    yard.tick()
    lines = yard.read("tasks.md").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("[🟡"))
    pid = int(re.fullmatch(r"\s*- PID: (\d+)", lines[at + 2])[1])
    argv = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    assert re.search(rf"command.*gh-{number}", argv)
    os.kill(pid, signal.SIGTERM)

    task = yard.until_state(number, "CANCELLED")

    assert task.reason == "manual_stop"
    assert task.attempts == 1


@pytest.mark.req("E19")
@pytest.mark.parametrize(("act", "state", "reason"), [
    (lambda yard, n: yard.ann.remove_label(n, "rpi-auto"), "CANCELLED", "label_removed"),
    (lambda yard, n: yard.ann.close(n, "not_planned"), "CANCELLED", "issue_closed"),
    (lambda yard, n: yard.ann.add_label(n, "rpi-pause"), "QUEUED", "paused"),
])
def test_a_persons_no_on_github_stops_the_worker_and_keeps_its_work(yard: Yard, act, state, reason):
    number = running(yard)
    act(yard, number)

    task = yard.until_state(number, state)

    assert task.reason == reason
    assert yard.git("show", f"{task.branch}:more.txt") == "half"
    if state == "QUEUED":
        assert yard.plan.waits[task.id].code == "paused"


@pytest.mark.req("E18", "P53")
def test_a_line_moved_to_failed_in_tasks_md_cancels_and_is_not_started_again(yard: Yard):
    number = running(yard)
    yard.tick()
    text = yard.read("tasks.md")
    block = re.search(rf"\[🟡[^\n]*gh-{number}:[^\n]*\n(?:\s+- [^\n]*\n)*", text)[0]
    cancelled = f"[❌ w-abc123] gh-{number}: User cancelled\n  - Reason: not wanted any more\n"
    (yard.clone / "tasks.md").write_text(text.replace(block, "").replace("## Failed\n", f"## Failed\n\n{cancelled}", 1))

    task = yard.until_state(number, "CANCELLED")

    assert "not wanted any more" in task.detail
    yard.tick()
    assert yard.state(number) == "CANCELLED"


def test_a_new_line_in_tasks_md_is_a_task_of_its_own(yard: Yard):
    yard.tick()
    text = yard.read("tasks.md")
    (yard.clone / "tasks.md").write_text(text.replace("## Pending\n", "## Pending\n\n[] Paint it blue {p0}\n", 1))

    yard.until(lambda: [pull.title for pull in yard.repository.pulls()] == ["Paint it blue"])

    assert yard.repository.pulls()[0].pull.head_ref == "rpi/m-1"
    assert "Closes" not in yard.repository.pulls()[0].body
    yard.tick()
    assert yard.read("tasks.md").count("Paint it blue") == 1


@pytest.mark.req("E17")
def test_a_worktree_removed_by_hand_after_a_kill_is_accepted(yard: Yard):
    number = running(yard)
    task = yard.task(number)
    attempt = yard.engine.world.store.attempts()[task.id][-1]
    for proc in identity.with_token(attempt.token):
        identity.send(proc.pid, proc.start, signal.SIGKILL)
    yard.git("worktree", "remove", f"trees/gh-{number}", "--force")
    yard.ann.edit_body(number, "```script\ncommit('again.txt'); result()\n```")

    yard.until_state(number, "IN_REVIEW", "BLOCKED")

    assert yard.task(number).attempts == 2


def test_requests_stop_and_retry_as_labels_do(yard: Yard):
    number = running(yard)
    store, now = yard.engine.world.store, yard.engine.world.clock.now()
    stop = store.ask(RequestKind.STOP, f"gh-{number}", {"reason": "enough"}, "cli", now)
    yard.until_state(number, "CANCELLED")
    assert store.answered(stop) == f"gh-{number} is being stopped"
    store.ask(RequestKind.RETRY, f"gh-{number}", {"fresh": "1"}, "cli", now)
    yard.until(lambda: yard.task(number).attempts == 2 and yard.state(number) == "RUNNING")
    yard.until((yard.worktree(number) / "more.txt").exists)
    (yard.worktree(number) / "STOP").touch()
    yard.until_state(number, "CANCELLED")


def test_a_stop_file_in_the_root_drains(yard: Yard):
    (yard.clone / "STOP").touch()
    number = yard.issue()
    for _ in range(3):
        yard.tick()
    assert yard.state(number) == "QUEUED"
    assert yard.plan.waits[f"gh-{number}"].code == "draining"
    (yard.clone / "STOP").unlink()
    yard.until_state(number, "IN_REVIEW")


@pytest.mark.req("X7")
def test_a_label_set_by_somebody_who_may_only_read_starts_nothing(yard: Yard):
    number = yard.issue(by="stranger")
    for _ in range(3):
        yard.tick()
    assert yard.state(number) == ""
    assert [held.code for held in yard.plan.held] == ["untrusted"]
    assert len(yard.comments(number)) == 1


@pytest.mark.req("W24")
def test_a_dependant_waits_until_its_blocker_is_merged(yard: Yard):
    first = yard.issue("First")
    second = yard.issue("Second", body=f"Depends on #{first}\n")
    yard.until_state(first, "IN_REVIEW")
    assert yard.state(second) == "QUEUED"
    assert yard.plan.waits[f"gh-{second}"].code == "depends"
    yard.ann.merge(yard.repository.pulls()[0].number)
    yard.until_state(second, "IN_REVIEW")


@pytest.mark.req("W24")
def test_a_circle_is_told_once_and_never_started(yard: Yard):
    first = yard.issue("First", body="Depends on #2\n")
    second = yard.issue("Second", body="Depends on #1\n")
    yard.until(lambda: yard.state(first) == yard.state(second) == "BLOCKED")
    for _ in range(3):
        yard.tick()
    for number in (first, second):
        assert len([body for body in yard.comments(number) if "circle" in body]) == 1
        assert yard.task(number).attempts == 0


def test_labels_that_somebody_wrote_in_large_letters_mean_the_same(yard: Yard):
    number = yard.issue(script="result(error=attempt == 1); attempt > 1 and commit()",
                        labels=("RPI-Auto", "Workflow:nowhere"))
    assert yard.until_state(number, "BLOCKED").reason == "workflow_error"
    yard.ann.remove_label(number, "Workflow:nowhere")
    yard.ann.add_label(number, "RPI-Retry")

    yard.until_state(number, "IN_REVIEW")

    yard.until(lambda: yard.repository.issue(number).labels == ["RPI-Auto"])


def test_a_closed_pull_request_is_followed_further_when_it_is_opened_again_or_replaced_and_nothing_is_done_twice(
    yard: Yard,
):
    number = yard.issue(body="Do it.")
    first = yard.until_state(number, "IN_REVIEW").pr_number or 0

    yard.ann.close_pull(first)
    assert yard.until_state(number, "BLOCKED").reason == "pr_closed"
    yard.ann.reopen(first)
    assert yard.until_state(number, "IN_REVIEW").detail == f"#{first} was opened again"

    yard.ann.close_pull(first)
    yard.until_state(number, "BLOCKED")
    second = yard.ann.open_pull(f"rpi/gh-{number}", "The same, said better", f"For #{number}").number
    assert yard.until_state(number, "IN_REVIEW").pr_number == second
    yard.ann.merge(second)
    task = yard.until_state(number, "DONE")

    assert (task.attempts, len(yard.repository.pulls())) == (1, 2)
    assert task.detail == f"#{second} was merged"
