"""Fixtures of the tests on real parts: a scripted model for the real agents; the table of what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import slurmd as slurm_cluster
from tests.support import sshd as ssh_server
from tests.support.conformance import table
from tests.support.model_server import ModelServer, serving
from tests.support.netns import CannotBuild, Networks
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd

CELL = "cell"
"""The property of a test that holds (row, provider, what the end of its run was called): test_conformance.py."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    found = {}
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for key, value in getattr(report, "user_properties", ()):
            if key == CELL:
                row, provider, word = value
                found[row, provider] = word
    if found:
        terminalreporter.write_line("\nwhat each end of a run was called:")
        terminalreporter.write_line(table(found))


@pytest.fixture
def scripted() -> Iterator[ModelServer]:
    """A model of this test alone: its scenarios may count requests. Whatever no scenario knows fails the test."""
    with serving() as server:
        yield server
    assert server.strays == []


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A host of this test alone, up. `sshd.cut` is the cable to it, `sshd.run` a client of its own."""
    if why := ssh_server.missing():
        pytest.skip(why)
    with Sshd(tmp_path / "far") as host:
        yield host


@pytest.fixture
def networks() -> Iterator[Networks]:
    """Two of them, and a link that can be taken down."""
    try:
        made = Networks()
    except CannotBuild as why:
        pytest.skip(str(why))
    with made:
        yield made


@pytest.fixture
def away(tmp_path: Path, networks: Networks) -> Iterator[Sshd]:
    """A host in another network, whose link is `networks`'."""
    if why := ssh_server.missing():
        pytest.skip(why)
    with Sshd(tmp_path / "away", "away", networks=networks) as host:
        yield host


@pytest.fixture(scope="session")
def one_slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With accounting, which takes two seconds to start: one for all tests of this process."""
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with Cluster(tmp_path_factory.mktemp("slurm") / "one") as cluster:
        yield cluster


@pytest.fixture
def slurm(one_slurm: Cluster) -> Iterator[Cluster]:
    """A cluster that is up and has no jobs but this test's."""
    yield one_slurm
    one_slurm.tidy()


@pytest.fixture
def slurm_without_accounting(tmp_path: Path) -> Iterator[Cluster]:
    if why := slurm_cluster.missing(accounting=False):
        pytest.skip(why)
    with Cluster(tmp_path / "slurm", accounting=False) as cluster:
        yield cluster
