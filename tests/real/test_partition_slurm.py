"""A worker that is a job of a real Slurm, parted from its coordinator: behind a login host that is out of reach, and on
a node whose daemon is gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import sshd as ssh_server
from tests.support.fake_ssh import FakeSsh
from tests.support.parted import HOST, Parted, asked, runs, script
from tests.support.running import a_daemon
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd
from tests.support.workers import until
from tests.support.yard import Yard, a_yard

LABEL = 'labels = ["rpi-auto"]'
SLURM = """
[slurm]
poll = "1s"
mem = "100"
{label}
{more}
"""


def a_cluster(yard: Yard, more: str, env: Mapping[str, str]) -> None:
    """Slurm, which has most places and so is tried first, and the host `b`, each for whatever carries the label."""
    ssh = FakeSsh(yard.folder / "net")
    ssh.host("b")
    b = HOST.format(name="b", ssh=ssh.bin / "ssh", python=sys.executable, more=LABEL)
    config = yard.clone / "coordinator.toml"
    config.write_text(config.read_text("utf-8") + b + SLURM.format(label=LABEL, more=more), "utf-8")
    yard.environ.update(env, COORDINATOR_WORKERS_LEASE="5s")


@pytest.fixture
def login(tmp_path: Path, slurm: Cluster) -> Iterator[Sshd]:
    """A host from which this cluster is reached; it sees the nodes' files and not ours."""
    if why := ssh_server.missing():
        pytest.skip(why)
    with Sshd(tmp_path / "login", "login", environ=slurm.env) as host:
        yield host


@pytest.mark.timeout(600)
@pytest.mark.req("N2")
def test_a_job_behind_a_login_host_that_was_away_changes_nothing_and_ends_when_it_is_met_again(
    tmp_path: Path, slurm: Cluster, login: Sshd
) -> None:
    with a_yard(tmp_path / "yard") as yard:
        quick = ("ConnectTimeout 2", "ServerAliveInterval 1", "ServerAliveCountMax 2")
        login.config.write_text(login.config.read_text() + "".join(f"    {line}\n" for line in quick))
        words = ", ".join(f'"{word}"' for word in login.command)
        a_cluster(yard, f'login = "login"\nshared = false\n\n[hosts.login]\naddress = "login"\nssh = [{words}]\n'
                        'slots = 1\nlabels = ["nobody"]\n', {})
        yard.issue(script=script(yard))
        with a_daemon(yard) as daemon:
            story = Parted(yard, daemon)
            story.began()
            login.cut.hang()
            story.taken_over()
            login.cut.open()
            story.ended()
            story.stands(hosts=("slurm", "b"))
            until(lambda: not slurm.run("squeue", "-h").stdout.strip(), "the end of the job in Slurm", 30)
            assert daemon.end() == 0


@pytest.mark.timeout(600)
@pytest.mark.req("N2")
def test_a_job_on_a_node_that_slurm_has_lost_is_ended_before_the_second_begins(tmp_path: Path, slurm: Cluster) -> None:
    """Its processes live on, in our own worktree: nobody but its wrapper can end them, and does."""
    with a_yard(tmp_path / "yard") as yard:
        a_cluster(yard, "", slurm.env)
        yard.issue(script=script(yard))
        with a_daemon(yard) as daemon:
            story = Parted(yard, daemon)
            first = story.began()
            slurm.kill_node()
            seen = len(asked(yard))
            daemon.until(lambda: len(asked(yard)) > seen + 3)
            daemon.until(lambda: len(daemon.attempts(1)) == 2, seconds=90)
            assert not runs(first)
            slurm.start_node()
            daemon.until_state(1, "IN_REVIEW", seconds=60)
            second = story.attempt(2).host
            story.stands(hosts=("slurm", second), reason="slurm_node_fail", apart=False)
            assert daemon.end() == 0


@pytest.mark.timeout(600)
@pytest.mark.req("N2")
def test_a_controller_that_is_away_for_longer_than_the_lease_ends_no_worker_that_is_seen_to_live(
    tmp_path: Path, slurm: Cluster
) -> None:
    """Its run files are seen, though Slurm cannot be asked: there is nobody to take the place of."""
    with a_yard(tmp_path / "yard") as yard:
        a_cluster(yard, "", slurm.env)
        yard.issue(script="commit()\nwhile not os.path.exists('GO'): time.sleep(0.05)\nos.remove('GO'); result()")
        with a_daemon(yard) as daemon:
            daemon.until_state(1, "RUNNING")
            daemon.until((yard.worktree(1) / "gh-1.txt").exists)
            slurm.stop_controller()
            time.sleep(8)
            assert daemon.row(1)["wait"]["code"] == "running"
            (yard.worktree(1) / "GO").touch()
            daemon.until_state(1, "IN_REVIEW", seconds=60)
            assert [one.host for one in daemon.attempts(1)] == ["slurm"]
            slurm.start_controller()
            assert daemon.end() == 0
