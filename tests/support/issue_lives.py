"""The lives of an issue, on this machine, over ssh and on Slurm, each from its label to its merged pull request."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.rehearsal.standin import StandIn
from tests.support.crash import Lives, Plot, a_plot, faults, report_of
from tests.support.fake_slurm import FakeSlurm
from tests.support.fake_ssh import FakeSsh
from tests.support.fate import Point, Write
from tests.support.points import SOAK

HOST = """
[hosts.epyc12]
address = "epyc12"
ssh = {ssh}
python = "{python}"
slots = 1
"""


@dataclass
class IssueLife:
    """Of a coordinator beside its workers."""

    github: StandIn
    name: str = "issue"

    def plot(self, folder: Path) -> Plot:
        return a_plot(self.github, folder)

    def live(self, lives: Lives, plot: Plot, die: Point | None) -> int:
        return lives.live(plot, die)

    def again(self, lives: Lives, plot: Plot) -> int:
        return self.live(lives, plot, None)

    def writes(self, plot: Plot) -> tuple[Sequence[Write], Sequence[Write]]:
        report = report_of(plot)
        return report.writes, report.middles

    def faults(self, plot: Plot) -> list[str]:
        return faults(plot)


@dataclass
class SshLife(IssueLife):
    """Its host is another folder of this machine. What such a life writes otherwise is died at; with
    COORDINATOR_SOAK all of its writes."""

    name: str = "ssh"

    def plot(self, folder: Path) -> Plot:
        plot = a_plot(self.github, folder, config=HOST.format(ssh=json.dumps(self.ssh(folder)), python=sys.executable))
        plot.environ.update(COORDINATOR_WORKERS_EXECUTOR="ssh", COORDINATOR_WORKERS_STALL="5s")
        return plot

    def ssh(self, folder: Path) -> Sequence[str]:
        """The words before the name of a host of this plot's own."""
        hosts = FakeSsh(folder.with_name(f"hosts-{folder.name}"))
        hosts.host("epyc12")
        return [str(hosts.bin / "ssh")]

    def writes(self, plot: Plot) -> tuple[Sequence[Write], Sequence[Write]]:
        writes, middles = super().writes(plot)
        return [one for one in writes if SOAK or _of_hosts(one)], middles


@dataclass
class SlurmLife(SshLife):
    """Its cluster runs each job as soon as it is submitted."""

    name: str = "slurm"
    clusters: dict[str, SlurmNode] = field(default_factory=dict)

    def plot(self, folder: Path) -> Plot:
        slurm = FakeSlurm(folder.with_name(f"slurm-{folder.name}"))
        self.clusters[folder.name] = SlurmNode(slurm)
        plot = a_plot(self.github, folder, config='\n[slurm]\npoll = "1s"\n')
        plot.environ.update(COORDINATOR_WORKERS_EXECUTOR="slurm", PATH=f"{slurm.bin}:{plot.environ['PATH']}")
        return plot

    def live(self, lives: Lives, plot: Plot, die: Point | None) -> int:
        with self.clusters[plot.folder.name]:
            return lives.live(plot, die)

    def faults(self, plot: Plot) -> list[str]:
        return [*faults(plot), *self.clusters[plot.folder.name].faults()]


class SlurmNode:
    """Runs what was submitted, each job once, while it is entered; a job goes on when it is left."""

    def __init__(self, slurm: FakeSlurm) -> None:
        self.slurm = slurm
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread()

    def __enter__(self) -> SlurmNode:  # noqa: PYI034 - one class, no heirs
        self._over.clear()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._over.wait(0.1):
            for job_id, job in self.slurm.jobs().items():
                if job["state"] == "PENDING":
                    self._begin(job_id, job["script"], job["workdir"])
                elif (child := self._running.get(job_id)) is not None and child.poll() is not None:
                    self.slurm.set(job_id, "FAILED" if child.returncode else "COMPLETED",
                                   exit=f"{max(child.returncode, 0)}:0")
                    del self._running[job_id]

    def _begin(self, job_id: str, script: str, where: str) -> None:
        self.slurm.set(job_id, "RUNNING")
        child = subprocess.Popen(["bash", "-s"], cwd=where, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL, start_new_session=True,
                                 env={**os.environ, "SLURM_JOB_ID": job_id})
        assert child.stdin is not None
        child.stdin.write(script.encode())
        child.stdin.close()
        self._running[job_id] = child

    def faults(self) -> list[str]:
        """Two attempts are two jobs."""
        names = [json.dumps([job["name"], job["state"]]) for job in self.slurm.jobs().values()]
        return [] if len(names) == 2 else [f"submitted: {names}"]


def _of_hosts(write: Write) -> bool:
    """What a life on this machine does not write, or writes otherwise."""
    places = ("jobs/", "coordinator-gh", "rotate jobs/", "remove jobs/")
    gits = ("bundle", "index-pack", "restore", "reset", "clean", "symbolic-ref")
    return write.kind == "process" or write.what.startswith(places) or (write.kind == "git" and write.what in gits)
