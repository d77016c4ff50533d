"""`coordinator job` where a coordinator works: its workers are seen, and what is done to them is asked of it."""

from __future__ import annotations

import json
from typing import Any

from coordinator.domain.attempt import Attempt
from coordinator.runfiles import identity
from tests.support.running import a_daemon, command
from tests.support.stories import bury, go, waiting
from tests.support.yard import Yard


def listed(yard: Yard) -> dict[str, Any]:
    ran = command(yard, "job", "status", "--json", "--all")
    assert ran.returncode == 0, ran.stderr
    return {one["beads"]: one for one in json.loads(ran.stdout)["jobs"]}


def running(yard: Yard) -> tuple[int, Attempt]:
    """An issue whose worker has begun; every attempt of it commits something else."""
    number = yard.issue(script=waiting(yard).replace("commit()", "commit(text=str(attempt))"))
    yard.until(lambda: yard.state(number) == "RUNNING")
    yard.until((yard.worktree(number) / f"gh-{number}.txt").exists)
    return number, yard.engine.world.store.attempts()[f"gh-{number}"][-1]


def test_a_running_coordinator_is_asked_to_stop_and_to_try_again(yard: Yard) -> None:
    """Stop cancels, restart of a running task ends its worker first and queues it again, a block is lifted."""
    number, first = running(yard)
    job = f"gh-{number}"
    assert listed(yard)[job]["state"] in ("starting", "healthy")
    yard.close()
    with a_daemon(yard) as daemon:
        daemon.until_state(number, "RUNNING")
        again = command(yard, "job", "restart", "--beads", job)
        assert again.returncode == 0, again.stderr
        assert f"{job} is queued again" in again.stdout
        daemon.until(lambda: len(daemon.attempts(number)) == 2 and daemon.row(number).get("state") == "RUNNING")
        assert identity.with_token(first.token) == []
        assert listed(yard)[job]["retry_count"] in (0, 1)
        unblocked = command(yard, "job", "unblock", job)
        assert unblocked.stdout == f"{job} was not blocked: it is RUNNING\n"
        stopped = command(yard, "job", "stop", "--beads", job)
        assert stopped.returncode == 0, stopped.stderr
        daemon.until_state(number, "CANCELLED")
        second = daemon.attempts(number)[-1]
        assert identity.with_token(second.token) == []
        assert daemon.end() == 0
    yard.start()
    bury(yard)


def test_without_a_coordinator_the_request_is_settled_by_the_command_itself(yard: Yard) -> None:
    number, attempt = running(yard)
    yard.close()
    again = command(yard, "job", "restart", "--beads", f"gh-{number}")
    assert again.returncode == 0, again.stderr
    assert f"gh-{number} is QUEUED now; no coordinator runs here" in again.stdout
    assert identity.with_token(attempt.token) == []
    go(yard)
    yard.start()
    bury(yard)
    yard.until_state(number, "IN_REVIEW")


def test_a_block_is_lifted_and_work_in_review_is_left_alone_by_unblock(yard: Yard) -> None:
    failed, reviewed = yard.issue(script="result(error=True, text='no')"), yard.issue()
    yard.until_state(failed, "BLOCKED", "FAILED")
    yard.until_state(reviewed, "IN_REVIEW")
    yard.close()
    lifted = command(yard, "job", "unblock", f"gh-{failed}")
    left = command(yard, "job", "unblock", f"gh-{reviewed}")
    yard.start()
    assert f"gh-{failed} is queued again" in lifted.stdout
    assert left.stdout == f"gh-{reviewed} was not blocked: it is IN_REVIEW\n"
    assert yard.state(reviewed) == "IN_REVIEW"
    yard.until_state(failed, "BLOCKED", "FAILED")


def test_what_only_a_job_by_hand_has_is_refused_and_nothing_is_touched(yard: Yard) -> None:
    """Overrides, finalize, a start under its id, and options that mean nothing to a coordinator."""
    number, attempt = running(yard)
    job = f"gh-{number}"
    meta = yard.clone / ".coordinator" / "jobs" / "command" / f"{job}.meta"
    before = meta.read_bytes()
    prompt = yard.folder / "prompt"
    prompt.write_text("do it\n")
    start = ("--provider", "command", "--prompt-file", str(prompt), "--", "true")
    refused = [
        command(yard, "job", "set-override", "--beads", job, "--no-auto-restart", "true"),
        command(yard, "job", "finalize", "--beads", job),
        command(yard, "job", "restart", "--beads", job, "--pty", "--preserve-contract"),
        command(yard, "job", "unblock", job, "--reset-retries"),
        command(yard, "job", "start", "--beads", job, *start),
    ]
    for ran in refused:
        assert ran.returncode == 1, ran.args
        assert f"{job} is run by coordinator, not by hand" in ran.stderr
        assert "nothing was changed" in ran.stderr
    assert "--pty, --preserve-contract means nothing to it" in refused[2].stderr
    assert meta.read_bytes() == before
    assert len(identity.with_token(attempt.token)) >= 2
    assert command(yard, "job", "prune").stdout == "nothing to prune\n"
    go(yard)
    yard.until_state(number, "IN_REVIEW")


def test_jobs_by_hand_lie_beside_the_coordinators_and_are_not_its_leftovers(yard: Yard) -> None:
    prompt = yard.folder / "prompt"
    prompt.write_text("```script\ntime.sleep(60)\n```\n")
    started = command(yard, "job", "start", "--beads", "bd-1", "--provider", "command", "--prompt-file", str(prompt))
    assert started.returncode == 0, started.stderr
    number = yard.issue()
    yard.until_state(number, "IN_REVIEW")
    assert set(listed(yard)) == {"bd-1", f"gh-{number}"}
    assert listed(yard)["bd-1"]["state"] in ("starting", "healthy")
    assert "no leftover workers" in command(yard, "doctor").stdout
    stopped = command(yard, "job", "stop", "--beads", "bd-1")
    assert (stopped.returncode, "stopped bd-1" in stopped.stdout) == (0, True)
    assert yard.state(number) == "IN_REVIEW"
