"""The contract of executors over a real OpenSSH and a real Slurm, and what only a true cable and a true queue do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.adapters.executors.ssh import Ssh
from coordinator.domain.worker import Exited
from tests.support.executor_contract import ExecutorContract
from tests.support.executor_yard import Yard, far_yard, slurm_yard
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd


@pytest.fixture
def ssh(sshd: Sshd, tmp_path: Path) -> Iterator[Ssh]:
    """With one shared connection, as a coordinator has."""
    control = tmp_path / "c"
    control.mkdir(mode=0o700)
    made = Ssh(sshd.alias, sshd.command, control, os.environ)
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
