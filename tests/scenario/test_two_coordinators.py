"""Two coordinators for one repository, each on its own clone and memory, against one stand-in over HTTP."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator

import pytest

from coordinator.adapters.git.network import CLAIM
from coordinator.cli.trouble import NO_CLAIM
from coordinator.rehearsal.hub import bare
from tests.support.running import a_daemon, command
from tests.support.yard import Yard, another

WAITS = "commit()\nwhile not os.path.exists('GO'): time.sleep(0.05)\nos.remove('GO'); result()"
MARK = re.compile(r"<!-- coordinator:\S+ -->")


@pytest.fixture
def other(yard: Yard) -> Iterator[Yard]:
    with another(yard) as made:
        yield made


def claims(yard: Yard) -> str:
    return bare.resolve(yard.repository.state.bare, CLAIM) or ""


def starts(*yards: Yard) -> int:
    """Agents ever started, wherever."""
    return sum(one.launched_at is not None for yard in yards
               for history in yard.engine.world.store.attempts().values() for one in history)


def said_twice(yard: Yard, number: int) -> list[str]:
    marks = [mark for comment in yard.comments(number) for mark in MARK.findall(comment)]
    return sorted({mark for mark in marks if marks.count(mark) > 1})


def take(yard: Yard) -> None:
    """As `run --take-over`: the other need not be waited for."""
    assert yard.engine.world.claimant is not None
    yard.engine.world.claimant.take_over()


@pytest.mark.req("W2")
def test_both_want_an_issue_one_gets_it_and_the_other_says_who(yard: Yard, other: Yard):
    number = yard.issue()
    for _ in range(3):
        other.tick()
        yard.tick()
    loser, winner = (yard, other)
    winner.until_state(number, "IN_REVIEW")
    loser.tick()

    assert (starts(yard, other), len(yard.repository.pulls())) == (1, 1)
    assert loser.states() == {}
    said = "\n".join(loser.lines)
    assert f"{other.clone}" in said
    assert "here nothing is started and nothing is written to GitHub" in said
    assert said_twice(yard, number) == []
    assert claims(yard)


@pytest.mark.req("W2")
def test_the_loser_s_push_is_refused_by_the_remote_and_its_work_goes_nowhere(yard: Yard, other: Yard):
    number = yard.issue(script=WAITS)
    yard.until_state(number, "RUNNING")
    yard.until((yard.worktree(number) / f"gh-{number}.txt").exists)
    take(other)
    other.tick(poll=False)
    (yard.worktree(number) / "GO").touch()
    yard.until(lambda: "another coordinator moved" in "\n".join(yard.lines))

    assert yard.repository.branch(f"rpi/gh-{number}") is None
    assert yard.state(number) == "PUBLISHING"
    assert yard.engine.tick().waits[f"gh-{number}"].code == "claim"
    other.until_state(number, "RUNNING")
    other.until((other.worktree(number) / f"gh-{number}.txt").exists)
    (other.worktree(number) / "GO").touch()
    other.until_state(number, "IN_REVIEW")
    tip = yard.repository.branch(f"rpi/gh-{number}")

    take(yard)
    yard.until_state(number, "IN_REVIEW")
    assert yard.repository.branch(f"rpi/gh-{number}") == tip, "what the other brought to review is not pushed over"
    assert len(yard.repository.pulls()) == 1
    assert said_twice(yard, number) == []


@pytest.mark.req("W2")
def test_who_takes_over_goes_on_with_what_the_dead_one_left_in_review(yard: Yard, other: Yard):
    number = yard.issue()
    task = yard.until_state(number, "IN_REVIEW")
    comments = yard.comments(number)
    other.tick()
    assert other.states() == {}
    take(other)
    other.until_state(number, "IN_REVIEW")
    assert other.task(number).pr_number == task.pr_number
    assert (starts(yard, other), yard.comments(number)) == (1, comments)
    assert "taken from" in "\n".join(other.lines)

    yard.close()   # the first comes back, and the second is alive
    yard.start()
    yard.tick()
    assert f"{other.clone}" in "\n".join(yard.lines)
    yard.ann.merge(task.pr_number or 0)
    other.until_state(number, "DONE")
    yard.tick()
    assert yard.state(number) == "IN_REVIEW"
    take(yard)
    yard.until_state(number, "DONE")
    assert (starts(yard), len(yard.repository.pulls())) == (1, 1)
    assert said_twice(yard, number) == []


@pytest.mark.req("W2")
def test_a_branch_that_the_dead_one_left_without_a_pull_request_is_built_upon(yard: Yard, other: Yard):
    number = yard.issue(script="commit(f'try-{attempt}.txt'); result()")
    yard.github.intercept = lambda method, path: (500, {}, b"{}") if (method, path[-6:]) == ("POST", "/pulls") else None
    yard.until(lambda: yard.repository.branch(f"rpi/gh-{number}") is not None)
    left = yard.repository.branch(f"rpi/gh-{number}")
    yard.github.intercept = None
    take(other)
    other.until_state(number, "IN_REVIEW")

    tip = other.task(number).pr_head_sha
    assert tip != left
    assert other.git("merge-base", left or "", tip) == left
    assert len(yard.repository.pulls()) == 1


@pytest.mark.req("W2")
def test_a_worker_of_the_one_that_lost_the_claim_is_ended_and_the_issue_has_one(yard: Yard, other: Yard):
    number = yard.issue(script=WAITS)
    yard.until_state(number, "RUNNING")
    take(other)
    other.until_state(number, "RUNNING")
    yard.engine.world.claimant._lose()   # type: ignore[union-attr]  # its renewal is due: it asks, and learns
    yard.until_state(number, "QUEUED")
    assert "another coordinator has its issue" in "\n".join(yard.lines)
    assert yard.task(number).reason == "shutdown"
    (other.worktree(number) / "GO").touch()
    other.until_state(number, "IN_REVIEW")
    assert len(yard.repository.pulls()) == 1


@pytest.mark.timeout(600)
@pytest.mark.req("W2")
def test_a_person_at_the_second_machine_hears_who_holds_it_everywhere_and_may_take_it(yard: Yard, other: Yard):
    number = yard.issue(script=WAITS)
    who = str(yard.clone)
    with a_daemon(yard) as holder:
        holder.until_state(number, "RUNNING")
        once = command(other, "run", "--once")
        assert once.returncode == NO_CLAIM
        assert who in once.stderr
        assert "--take-over" in once.stderr
        assert who in command(other, "doctor").stdout
        with a_daemon(other) as second:
            second.until(lambda: "here nothing is started" in second.said)
            status = command(other, "status").stdout
            assert "nothing is started here" in status
            assert second.end() == 0
        holder.end(signal.SIGKILL)
    with a_daemon(other, "--take-over") as second:
        second.until_state(number, "RUNNING")
        assert "taken from" in second.said
        (other.worktree(number) / "GO").touch()
        second.until_state(number, "IN_REVIEW")
        second.end()
        assert "the claim on the repository is given back" in second.said
    assert len(yard.repository.pulls()) == 1
    assert command(yard, "run", "--once").returncode == 0, "what was given back needs no waiting"


def test_where_the_ref_may_not_be_pushed_nothing_goes_on_unless_it_is_switched_off(yard: Yard):
    number = yard.issue()
    hook = yard.repository.state.bare / "hooks" / "update"
    hook.write_text(f'#!/bin/sh\ntest "$1" != {CLAIM} || {{ echo "GH013: repository rule violations" >&2; exit 1; }}\n')
    hook.chmod(0o755)
    refused = command(yard, "run", "--once")
    assert refused.returncode == NO_CLAIM
    assert "repository.claim = false" in refused.stderr
    assert yard.comments(number) == []

    yard.environ["COORDINATOR_REPOSITORY_CLAIM"] = "false"
    done = command(yard, "run", "--once")
    assert done.returncode == 0, done.stderr
    assert "nobody keeps a second coordinator" in done.stderr
    assert claims(yard) == ""
    assert len(yard.repository.pulls()) == 1
