"""kill -9 at ten writes of a life whose workers run behind a real sshd, and at ten of one on a real Slurm: what holds
with the scripted far ends of tests/scenario/test_crash_points_elsewhere.py holds with the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support import sshd as ssh_server
from tests.support.crash import Plot, a_field, a_plot, faults
from tests.support.fate import Point
from tests.support.issue_lives import SshLife
from tests.support.points import Field, a_field_of, told
from tests.support.slurmd import Cluster
from tests.support.sshd import Sshd

TEN = 10


@dataclass
class SshdLife(SshLife):
    """Each plot has a host of its own."""

    name: str = "ssh, the real one"
    hosts: list[Sshd] = field(default_factory=list)

    def ssh(self, folder: Path) -> Sequence[str]:
        host = Sshd(folder.with_name(f"host-{folder.name}"))
        self.hosts.append(host)
        host.start()
        return host.command


@dataclass
class ClusterLife(SshLife):
    """All plots share a cluster; their jobs are told apart by where they work. Its controller knows them for five
    minutes; accounting learns of them late."""

    cluster: Cluster | None = None
    name: str = "slurm, the real one"

    def plot(self, folder: Path) -> Plot:
        assert self.cluster is not None
        plot = a_plot(self.github, folder, config='\n[slurm]\npoll = "1s"\n')
        plot.environ.update(COORDINATOR_WORKERS_EXECUTOR="slurm", **self.cluster.env)
        return plot

    def faults(self, plot: Plot) -> list[str]:
        assert self.cluster is not None
        rows = self.cluster.run("squeue", "-h", "-t", "all", "-o", "%i|%T|%Z").stdout.splitlines()
        jobs = [row for row in rows if Path(row.rpartition("|")[2]).is_relative_to(plot.folder)]
        return [*faults(plot), *([] if len(jobs) == 2 else [f"submitted: {jobs}"])]


@pytest.fixture(scope="module")
def by_ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    if why := ssh_server.missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("sshd")
    with a_field(folder) as github:
        life = SshdLife(github)
        try:
            with a_field_of(life, folder) as made:
                yield made
        finally:
            for host in life.hosts:
                host.close()


@pytest.fixture(scope="module")
def by_slurm(tmp_path_factory: pytest.TempPathFactory, one_slurm: Cluster) -> Iterator[Field]:
    folder = tmp_path_factory.mktemp("cluster")
    with a_field(folder) as github, a_field_of(ClusterLife(github, cluster=one_slurm), folder) as made:
        yield made
    one_slurm.tidy()


@pytest.mark.req("N7")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("where", ["by_ssh", "by_slurm"])
def test_a_life_on_the_real_parts_survives_a_death_at_ten_of_its_writes(
    where: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    place: Field = request.getfixturevalue(where)
    points = some_of(place.points())
    with capsys.disabled():
        print(told(place, points))
    assert len(points) == TEN
    assert "process" in {point.write.kind for point in points}
    assert place.die_at(points) == []


def some_of(points: Sequence[Point]) -> list[Point]:
    """Ten, from the first to the last."""
    return [points[number * (len(points) - 1) // (TEN - 1)] for number in range(TEN)]
