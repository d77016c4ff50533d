"""The contract of executors over a real OpenSSH and a real Slurm, and what only a true cable and a true queue do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from coordinator.adapters.executors.ssh import Ssh
from coordinator.domain.worker import Exited, Running, Unknown
from coordinator.far import wire
from coordinator.ports import Away, StopOrder
from coordinator.runfiles import identity
from tests.support.executor_contract import ExecutorContract
from tests.support.executor_yard import Yard, ended, far_yard, seen, slurm_yard, view
from tests.support.far_field import BRANCH, Field
from tests.support.gitworld import git, make_world
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd
from tests.support.workers import until


@pytest.fixture
def ssh(sshd: Sshd) -> Iterator[Ssh]:
    """With one shared connection, as a coordinator has: the name of a socket has to be short."""
    with TemporaryDirectory(prefix="c") as control:
        made = Ssh(sshd.alias, sshd.command, Path(control), os.environ)
        yield made
        made.close()


class TestSsh(ExecutorContract):
    @pytest.fixture
    def yard(self, tmp_path: Path, ssh: Ssh) -> Iterator[Yard]:
        with far_yard(tmp_path / "y", ssh, shared=False, workdir="~/work", python="python3") as made:
            yield made


class TestSshThatAThreadLooksAt(ExecutorContract):
    @pytest.fixture
    def yard(self, tmp_path: Path, ssh: Ssh) -> Iterator[Yard]:
        with far_yard(tmp_path / "y", ssh, background=True, workdir="~/work", python="python3") as made:
            yield made


class TestSlurm(ExecutorContract):
    """Slurm saw how the wrapper ended."""

    dead = Exited

    @pytest.fixture
    def yard(self, tmp_path: Path, slurm: Cluster) -> Iterator[Yard]:
        with slurm_yard(tmp_path / "y", slurm.env) as made:
            yield made


# --- the cable ----------------------------------------------------------------------------------------------

QUICK = "    ServerAliveInterval 1\n    ServerAliveCountMax 2\n    ConnectTimeout 2\n"
PIECE = 4 << 20


@pytest.fixture
def field(tmp_path: Path, sshd: Sshd, ssh: Ssh) -> Iterator[Field]:
    """Without a file that both see; the user wants to know of a dead connection soon."""
    with sshd.config.open("a") as config:
        config.write(QUICK)
    world = make_world(tmp_path)
    with far_yard(tmp_path / "y", ssh, shared=False, workdir="~/work", python="python3") as yard:
        yield Field(world, yard, world.repository())


@pytest.mark.parametrize("how", ["hang", "refuse"])
def test_a_cable_that_is_cut_in_mid_run_ends_nothing_and_healed_the_run_goes_on(
        field: Field, sshd: Sshd, how: str) -> None:
    executor, go = field.yard.executor(), field.yard.root / "go"
    spec = field.sent(executor, f"echo up; until test -e '{go}'; do sleep 0.05; done; echo late > late; echo late")
    until(lambda: view(executor, spec) and field.yard.out(spec) == "up\n", "the worker")
    pid = seen(executor, spec, Running).pid
    getattr(sshd.cut, how)()
    lost = seen(executor, spec, Unknown)
    assert executor.hosts()["epyc12"].away_since is not None
    assert (datetime.now(UTC) - lost.since) < timedelta(seconds=60)
    assert identity.look(pid) is not None
    with pytest.raises(Away):
        executor.stop(spec.handle, StopOrder("manual_stop", "nobody hears it"))
    go.touch()
    until(lambda: identity.look(pid) is None, "its own end, which nobody sees")
    assert isinstance(view(executor, spec), Unknown)
    sshd.cut.open()
    end = ended(executor, spec, 60)
    assert (end.code, end.reason, field.yard.out(spec)) == (0, "process_exit", "up\nlate\n")
    field.home(executor, spec)
    assert (field.tree / "late").read_text() == "late\n"
    assert executor.hosts()["epyc12"].away_since is None


def test_work_that_was_half_fetched_when_the_connection_broke_is_taken_up_where_it_was(
        field: Field, sshd: Sshd) -> None:
    executor, go = field.yard.executor(), field.yard.root / "go"
    spec = field.sent(executor, f"head -c 11000000 /dev/urandom > big; git add big; git commit -qm big; echo up; "
                                f"until test -e '{go}'; do sleep 0.05; done")
    until(lambda: view(executor, spec) and field.yard.out(spec) == "up\n", "the worker")
    sshd.cut.refuse_after(PIECE + PIECE // 2)
    go.touch()
    seen(executor, spec, Unknown, seconds=60)
    half = field.yard.file(spec, "bundle").stat().st_size
    assert half == PIECE
    sshd.cut.open()
    later = field.yard.executor()   # another coordinator
    assert ended(later, spec, 60).code == 0
    cable = field.yard.cable
    assert cable is not None
    asked = [wire.unpack(message)[0] for message in cable.asked if message.startswith(wire.MARK)]
    assert [one["offset"] for one in asked if one["do"] == "get"] == [0, PIECE, PIECE, 2 * PIECE]
    field.home(later, spec)
    assert git(field.tree, "log", "-1", "--format=%s", BRANCH) == "big"
