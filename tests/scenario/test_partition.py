"""A worker that is parted from its coordinator in mid-run, and a second one in its place: when the two meet again the
first has changed nothing outside its own folder, and ends. What is not away is never given up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.runfiles import atomic, identity
from tests.support.fake_ssh import FakeSsh
from tests.support.parted import Parted, runs, script, two_hosts
from tests.support.running import Running, a_daemon, command
from tests.support.stories import Later, go, restart, waiting
from tests.support.yard import Yard, a_yard

SILENCE = "ssh: connect to host {} port 22: Connection timed out"
LEASE = 6.0


@pytest.fixture
def ssh(yard: Yard) -> FakeSsh:
    made = FakeSsh(yard.folder / "net")
    two_hosts(yard, made)
    return made


def cut(ssh: FakeSsh, *hosts: str) -> None:
    for host in hosts:
        ssh.down(host, SILENCE.format(host))


def far(ssh: FakeSsh, host: str, kind: str) -> Path:
    """A run file of the task on a host."""
    [found] = (ssh.folder / host / "home").glob(f"coordinator/*/.coordinator/jobs/command/gh-1.{kind}")
    return found


def wait_of(daemon: Running, number: int) -> str:
    return str((daemon.row(number).get("wait") or {}).get("code", ""))


# --- parted ------------------------------------------------------------------------------------------------


@pytest.mark.req("N2")
def test_a_worker_behind_a_cut_line_changes_nothing_and_ends_when_it_is_met_again(yard: Yard, ssh: FakeSsh) -> None:
    yard.issue(script=script(yard))
    with a_daemon(yard) as daemon:
        story = Parted(yard, daemon)
        story.began()
        cut(ssh, "a")
        story.taken_over()
        ssh.up("a")
        story.ended()
        story.stands(hosts=("a", "b"))
        assert far(ssh, "a", "fence").read_text() == "2\n"
        assert not (far(ssh, "a", "fence").parent / "gh-1.outcome").exists(), "one that was fenced writes no outcome"
        home = yard.clone / ".coordinator/jobs/command"
        assert "stale turn" not in (home / "gh-1.log").read_text(), "what it printed is not the second one's output"
        assert (atomic.read_pairs(str(home / "gh-1.outcome")) or {})["token"] == story.attempt(2).token
        daemon.end()


@pytest.mark.req("N2")
def test_no_second_worker_begins_in_our_worktree_before_the_first_is_met_again_and_has_ended(yard: Yard) -> None:
    ssh = FakeSsh(yard.folder / "net")
    two_hosts(yard, ssh, more="shared = true")
    yard.issue(script=script(yard))
    with a_daemon(yard) as daemon:
        story = Parted(yard, daemon)
        story.began()
        assert not list(ssh.folder.glob("*/home/coordinator/*/trees/*/gh-1")), "it works in our own worktree"
        cut(ssh, "a")
        daemon.until(lambda: wait_of(daemon, 1) == "host_away", seconds=40)
        assert "its worker may still write into trees/gh-1" in daemon.row(1)["wait"]["words"]
        assert story.attempt(1).reason == "host_lost"
        assert runs(story.attempt(1))
        ssh.up("a")
        daemon.until(lambda: len(daemon.attempts(1)) == 2, seconds=60)
        assert not runs(story.attempt(1))
        daemon.until_state(1, "IN_REVIEW")
        story.stands(hosts=("a", "a"), apart=False)
        daemon.end()


@pytest.fixture
def brisk(tmp_path: Path) -> Iterator[Yard]:
    """A yard where four seconds without a heartbeat are a stall."""
    with a_yard(tmp_path, settings={"stall": "4s"}) as made:
        yield made


@pytest.mark.req("N2")
@pytest.mark.parametrize("agent_too", [False, True])
def test_a_stopped_worker_of_this_machine_is_ended_before_the_second_begins(brisk: Yard, agent_too: bool) -> None:
    brisk.issue(script=script(brisk))
    with a_daemon(brisk) as daemon:
        story = Parted(brisk, daemon)
        first = story.began()
        wrapper = identity.look(first.pid or 0)
        assert wrapper is not None
        those = identity.with_token(first.token) if agent_too else [wrapper]
        for one in sorted(those, key=lambda one: one.pid != wrapper.pid):   # or it would let its agent go on
            identity.send(one.pid, one.start, signal.SIGSTOP)
        daemon.until(lambda: len(daemon.attempts(1)) == 2, seconds=60)
        assert identity.with_token(first.token) == []
        daemon.until_state(1, "IN_REVIEW", seconds=60)
        story.stands(hosts=("", ""), reason="stalled", apart=False)
        home = brisk.clone / ".coordinator/jobs/command"
        assert (atomic.read_pairs(str(home / "gh-1.outcome")) or {})["token"] == story.attempt(2).token
        assert "stale turn" not in (home / "gh-1.log").read_text()
        daemon.end()


# --- elsewhere, and never here -----------------------------------------------------------------------------


@pytest.mark.req("N2")
def test_a_host_that_is_lost_before_its_worker_started_sends_it_elsewhere_at_once(tmp_path: Path) -> None:
    with a_yard(tmp_path, settings={"backoff": "10m"}) as yard:
        ssh = FakeSsh(yard.folder / "net")
        two_hosts(yard, ssh)
        cut(ssh, "a")
        number = yard.issue()
        with a_daemon(yard) as daemon:
            daemon.until_state(number, "IN_REVIEW")
            assert daemon.attempts(number)[-1].host == "b"
            assert all(one.reason == "host_lost" and one.launched_at is None for one in daemon.attempts(number)[:-1])
            daemon.end()


def test_a_task_waits_for_a_slot_and_for_hosts_that_are_away_and_never_runs_here(yard: Yard, ssh: FakeSsh) -> None:
    cut(ssh, "b")
    first, second = yard.issue(script=waiting(yard)), yard.issue("Another", waiting(yard))
    with a_daemon(yard) as daemon:
        daemon.until(lambda: {wait_of(daemon, first), wait_of(daemon, second)} == {"running", "host_full"})
        late = second if wait_of(daemon, first) == "running" else first
        assert "a is full (1/1)" in daemon.row(late)["wait"]["words"]
        assert "b is out of reach" in daemon.row(late)["wait"]["words"]
        go(yard)
        daemon.until_state(first, "IN_REVIEW")
        daemon.until_state(second, "IN_REVIEW")
        (yard.folder / "go").unlink()
        cut(ssh, "a")
        third = yard.issue("A third", waiting(yard))
        daemon.until(lambda: wait_of(daemon, third) == "host_away")
        assert "coordinator hosts check" in daemon.row(third)["wait"]["moves"]
        ssh.up("b")
        daemon.until_state(third, "RUNNING", seconds=40)
        go(yard)
        daemon.until_state(third, "IN_REVIEW")
        hosts = {one.host for number in (first, second, third) for one in daemon.attempts(number)}
        assert hosts <= {"a", "b"}
        daemon.end()


def test_a_host_behind_a_gate_is_waited_for_until_somebody_passed_it(yard: Yard, ssh: FakeSsh) -> None:
    config = yard.clone / "coordinator.toml"
    shut = 'enabled = false\ngate = "test -e $HOME/paid"'
    config.write_text(config.read_text().replace('address = "b"', f'address = "b"\n{shut}').replace(
        'address = "a"', f'address = "a"\n{shut}'))
    number = yard.issue()
    with a_daemon(yard) as daemon:
        daemon.until(lambda: wait_of(daemon, number) == "host_gate")
        assert "coordinator hosts gate" in daemon.row(number)["wait"]["moves"]
        (ssh.folder / "b" / "home" / "paid").touch()
        passed = command(yard, "hosts", "gate", "b")
        assert passed.returncode == 0, passed.stdout + passed.stderr
        daemon.until_state(number, "IN_REVIEW")
        assert [one.host for one in daemon.attempts(number)] == ["b"]
        daemon.end()


# --- the lease is counted while we ask, not while we are away ----------------------------------------------


@pytest.fixture
def longer(yard: Yard) -> FakeSsh:
    """Two hosts and a lease that outlives a slow answer."""
    made = FakeSsh(yard.folder / "net")
    two_hosts(yard, made, lease=f"{LEASE:g}s")
    return made


def is_kept(yard: Yard, daemon: Running, ssh: FakeSsh, number: int) -> None:
    """Its host is out of reach and then, within the lease, is not: it ends well, and nobody took its place."""
    daemon.until(lambda: wait_of(daemon, number) == "unknown")
    ssh.up("a")
    daemon.until(lambda: wait_of(daemon, number) == "running")
    go(yard)
    daemon.until_state(number, "IN_REVIEW")
    assert [one.host for one in daemon.attempts(number)] == ["a"]


@pytest.mark.req("N2")
def test_a_coordinator_that_was_dead_for_longer_than_the_lease_gives_up_nobody(yard: Yard, longer: FakeSsh) -> None:
    number = yard.issue(script=waiting(yard))
    with a_daemon(yard) as daemon:
        daemon.until_state(number, "RUNNING")
        daemon.end(signal.SIGKILL)
    time.sleep(LEASE + 1)
    cut(longer, "a")
    with a_daemon(yard) as again:
        is_kept(yard, again, longer, number)
        again.end()


@pytest.mark.req("N2")
def test_a_coordinator_that_stood_still_for_longer_than_the_lease_gives_up_nobody(yard: Yard, longer: FakeSsh) -> None:
    number = yard.issue(script=waiting(yard))
    with a_daemon(yard) as daemon:
        daemon.until(lambda: wait_of(daemon, number) == "running")
        os.kill(daemon.child.pid, signal.SIGSTOP)
        cut(longer, "a")
        time.sleep(LEASE + 1)
        os.kill(daemon.child.pid, signal.SIGCONT)
        is_kept(yard, daemon, longer, number)
        daemon.end()


@pytest.mark.req("N2")
def test_a_clock_that_leapt_past_the_lease_gives_up_nobody(yard: Yard, longer: FakeSsh, later: Later) -> None:
    restart(yard)
    number = yard.issue(script=waiting(yard))

    def code() -> str:
        return yard.plan.waits[f"gh-{number}"].code

    yard.until_state(number, "RUNNING")
    cut(longer, "a")
    yard.until(lambda: code() == "unknown")
    later(3600)
    for _ in range(5):
        yard.tick()
        assert (yard.state(number), code()) == ("RUNNING", "unknown")
    longer.up("a")
    yard.until(lambda: code() == "running")
    go(yard)
    yard.until_state(number, "IN_REVIEW")
    assert [one.host for one in yard.engine.world.store.attempts()[f"gh-{number}"]] == ["a"]
