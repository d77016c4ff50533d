"""The coordinator as a process: signals, restarts, commands from outside."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from coordinator.adapters.store import SqlStore
from coordinator.engine import daemon as daemon_room
from coordinator.engine.daemon import Daemon
from coordinator.engine.holding import CLAIM
from coordinator.engine.memory import Memory
from coordinator.engine.wakes import Wakes
from coordinator.planning.actions import Plan
from coordinator.planning.policy import Policy
from coordinator.runfiles import identity
from tests.support.fake_github import FakeClock
from tests.support.running import a_daemon, command
from tests.support.yard import Yard

if TYPE_CHECKING:
    from coordinator.engine.tick import Engine

WAIT_FOR_GO = ("commit('first.txt', f'try {attempt}')\n"
               "while not os.path.exists('GO'): time.sleep(0.05)\n"
               "os.remove('GO'); result()")


@pytest.mark.req("E33", "F7", "E37", "P51")
def test_an_exit_is_settled_at_once_and_not_by_a_poll_and_leaves_no_zombie(yard: Yard):
    number = yard.issue(script=WAIT_FOR_GO)
    with a_daemon(yard, interval="10m") as daemon:
        daemon.until_state(number, "RUNNING")
        daemon.until((yard.worktree(number) / "first.txt").exists)
        polls = len([one for one in yard.github.requests if "/issues" in one.path and one.method == "GET"])
        (yard.worktree(number) / "GO").touch()
        daemon.until_state(number, "IN_REVIEW")
        daemon.until(lambda: daemon.zombies() == [])
        assert "ended with exit code 0" in daemon.said
        later = [one for one in yard.github.requests if one.method == "GET" and one.path.endswith("/issues")]
        assert len(later) <= polls
        assert daemon.end() == 0


@pytest.mark.req("E36", "P52", "P54", "W23")
def test_sigterm_ends_it_within_seconds_and_the_next_one_finds_its_worker_again(yard: Yard):
    number = yard.issue(script=WAIT_FOR_GO)
    with a_daemon(yard, interval="10m") as daemon:
        daemon.until_state(number, "RUNNING")
        pid = daemon.row(number)["pid"]
        assert daemon.end(seconds=5) == 0
        assert "told to end" in daemon.said
        assert identity.look(pid) is not None
    with a_daemon(yard) as again:
        again.until(lambda: again.row(number).get("pid") == pid)
        (yard.worktree(number) / "GO").touch()
        again.until_state(number, "IN_REVIEW")
        assert len(again.attempts(number)) == 1
        again.end()


def killed_at_work(yard: Yard) -> int:
    """The number of an issue whose worker works on, its coordinator being dead."""
    number = yard.issue(script=WAIT_FOR_GO)
    with a_daemon(yard) as daemon:
        daemon.until_state(number, "RUNNING")
        daemon.until((yard.worktree(number) / "first.txt").exists)
        daemon.end(signal.SIGKILL)
    return number


@pytest.mark.req("W23")
def test_kill_9_loses_nothing(yard: Yard):
    number = killed_at_work(yard)
    (yard.worktree(number) / "GO").touch()
    with a_daemon(yard) as again:
        again.until_state(number, "IN_REVIEW")
        assert len(again.attempts(number)) == 1
        assert len(yard.repository.pulls()) == 1
        again.end()


@pytest.mark.req("W2", "W23")
def test_a_restart_keeps_its_worker_where_the_claim_moved_after_it_was_written_down(yard: Yard):
    """It sees the claim of its life before, and takes it by a push that is slow: no worker hears of another."""
    number = killed_at_work(yard)
    store = SqlStore(yard.clone / ".coordinator" / "state.db")
    known = json.loads(store.document(CLAIM) or "")
    store.keep_document(CLAIM, json.dumps({**known, "sha": yard.git("rev-parse", "HEAD")}))
    store.close()
    slow = Path(yard.repository.state.bare) / "hooks" / "pre-receive"
    slow.parent.mkdir(exist_ok=True)
    slow.write_text("#!/bin/sh\nsleep 2\n")
    slow.chmod(0o755)
    with a_daemon(yard) as again:
        again.until(lambda: again.said.count("the claim on the repository is ours") == 2)
        slow.unlink()
        (yard.worktree(number) / "GO").touch()
        again.until_state(number, "IN_REVIEW")
        [attempt] = again.attempts(number)
        assert attempt.reason != "shutdown"
        assert "another coordinator" not in again.said
        again.end()


def test_stop_workers_ends_them_and_the_next_start_goes_on_without_charging_a_retry(yard: Yard):
    number = yard.issue(script=WAIT_FOR_GO)
    with a_daemon(yard, "--stop-workers") as daemon:
        daemon.until_state(number, "RUNNING")
        daemon.until((yard.worktree(number) / "first.txt").exists)
        assert daemon.end() == 0
        [attempt] = daemon.attempts(number)
        assert (attempt.reason, daemon.row(number)["state"]) == ("shutdown", "QUEUED")
        assert identity.with_token(attempt.token) == []
    with a_daemon(yard) as again:
        again.until_state(number, "RUNNING")
        (yard.worktree(number) / "GO").touch()
        again.until_state(number, "IN_REVIEW")
        again.end()


@pytest.mark.req("P66")
def test_a_second_coordinator_is_refused_by_the_first_ones_name(yard: Yard):
    with a_daemon(yard) as daemon:
        daemon.until(daemon.board)
        second = command(yard, "run")
        assert second.returncode == 1
        assert str(daemon.child.pid) in second.stderr
        daemon.end()
    assert command(yard, "run", "--once").returncode == 0


def test_sighup_takes_a_good_configuration_and_keeps_the_last_good_one(yard: Yard):
    config = yard.clone / "coordinator.toml"
    good = config.read_text()
    with a_daemon(yard) as daemon:
        daemon.until(lambda: daemon.board().get("slots", {}).get("max") == 3)
        config.write_text(good.replace("[workers]", "[workers]\nmax = 1"))
        daemon.child.send_signal(signal.SIGHUP)
        daemon.until(lambda: daemon.board()["slots"]["max"] == 1)
        config.write_text(good.replace("[workers]", "[workers]\nmaxx = 7"))
        daemon.child.send_signal(signal.SIGHUP)
        daemon.until(lambda: "maxx" in daemon.said)
        assert daemon.board()["slots"]["max"] == 1
        assert daemon.end() == 0


def test_commands_reach_the_running_coordinator(yard: Yard):
    number = yard.issue(script=WAIT_FOR_GO)
    with a_daemon(yard, interval="10m") as daemon:
        daemon.until_state(number, "RUNNING")
        stopped = command(yard, "stop", str(number), "--reason", "enough of it")
        assert (stopped.returncode, "is being stopped" in stopped.stdout) == (0, True)
        daemon.until_state(number, "CANCELLED")
        assert command(yard, "pause").returncode == 0
        assert command(yard, "retry", str(number)).returncode == 0
        daemon.until_state(number, "QUEUED")
        assert daemon.row(number)["wait"]["code"] == "coordinator_paused"
        assert "coordinator resume" in command(yard, "why", str(number)).stdout
        assert command(yard, "resume").returncode == 0
        daemon.until_state(number, "RUNNING")
        (yard.worktree(number) / "GO").touch()
        daemon.until_state(number, "IN_REVIEW")
        daemon.end()


class Turns:
    """Stands for the engine: each turn is told to the test, which answers by changing what is remembered."""

    def __init__(self, turn: Callable[[Turns], None], poll: timedelta) -> None:
        self._turn = turn
        self.memory = Memory(poll_due=False)
        self.traces: list[str] = []
        self.world = SimpleNamespace(policy=Policy(poll=poll), say=lambda _words: None, keep_bug=self.traces.append)
        self.count = 0
        self.clock = FakeClock()

    @property
    def busy(self) -> bool:
        return bool(self.memory.busy)

    def tick(self) -> Plan:
        self.count += 1
        self._turn(self)
        return Plan((), {}, wake_at=self.clock.now())

    def run(self) -> None:
        Daemon(cast("Engine", self), Wakes(), reload=lambda: None, stop_workers=False).run(self.clock, jitter=0)


def test_no_new_work_is_started_between_the_order_to_end_and_the_end():
    seen: list[str] = []

    def turn(turns: Turns) -> None:
        if turns.count == 1:
            turns.memory.busy.add("work:gh-1")   # an effect is under way
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            seen.append(turns.memory.draining)
            turns.memory.busy.clear()

    Turns(turn, timedelta(hours=1)).run()
    assert seen == ["the coordinator is ending"]


def test_a_fault_of_ours_in_a_tick_is_saved_and_ends_the_daemon_only_when_it_stays(monkeypatch):
    monkeypatch.setattr(daemon_room, "STORE_REST", 0.01)

    def odd(turns: Turns) -> None:
        if turns.count == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        if turns.count < 3:
            raise ZeroDivisionError("odd")

    once = Turns(odd, timedelta(hours=1))
    once.run()
    assert [trace.count("ZeroDivisionError: odd") for trace in once.traces] == [1, 1]

    def broken(_turns: Turns) -> None:
        raise ZeroDivisionError("always")

    always = Turns(broken, timedelta(hours=1))
    with pytest.raises(ZeroDivisionError):
        always.run()
    assert always.count == daemon_room.BUGS_IN_A_ROW


def test_a_clock_that_is_set_back_does_not_put_off_the_next_poll():
    polls: list[bool] = []

    def turn(turns: Turns) -> None:
        polls.append(turns.memory.poll_due)
        turns.memory.poll_due = False
        if turns.count == 2:
            turns.clock.pass_by(-5 * 3600)
        if turns.count == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    Turns(turn, timedelta(hours=1)).run()
    assert polls.count(True) == 1


def test_a_second_signal_does_not_wait_for_effects_under_way(yard: Yard):
    number = yard.issue(script="signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwrite('up', '')\ntime.sleep(600)")
    let_go = Event()
    with a_daemon(yard, "--stop-workers") as daemon:
        daemon.until_state(number, "RUNNING")
        yard.github.intercept = lambda _method, _path: let_go.wait(60) and None
        daemon.child.send_signal(signal.SIGTERM)
        daemon.until(lambda: "told to end" in daemon.said)
        daemon.child.send_signal(signal.SIGINT)
        assert daemon.child.wait(10) == 0
        assert "in a hurry" in daemon.said
        let_go.set()
        yard.github.intercept = None
    [attempt] = daemon.attempts(number)
    while left := identity.with_token(attempt.token):
        for proc in left:
            identity.send(proc.pid, proc.start, signal.SIGKILL)
