"""`batch --slurm` through the real program, on a Slurm that stands as each test puts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.fake_slurm import FakeSlurm
from tests.support.program import a_repository, environ

Ran = subprocess.CompletedProcess[str]


@dataclass
class Desk:
    """Somebody in the repository `widgets`, with Slurm on PATH."""

    root: Path
    slurm: FakeSlurm
    more: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        return {**environ(self.root.parent), "PATH": f"{self.slurm.bin}:{os.environ['PATH']}", **self.more}

    def run(self, verb: str, *options: str, cwd: Path | None = None) -> Ran:
        return subprocess.run([sys.executable, "-m", "coordinator", "batch", verb, "--slurm", *options], text=True,
                              cwd=cwd or self.root, env=self.env(), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=100, check=False)  # fmt: skip

    def json(self, *options: str) -> dict[str, object]:
        ran = self.run("status", *options, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def journal(self) -> dict[str, object]:
        [path] = (self.root.parent / ".local/state/coordinator/batches").glob("slurm-*.json")
        return json.loads(path.read_text())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(a_repository(tmp_path / "widgets"), FakeSlurm(tmp_path / "slurm"))


def counted(states: object) -> dict[str, int]:
    assert isinstance(states, dict)
    return {word: number for word, number in states.items() if number}


def lines_of(ran: Ran, begins: Sequence[str]) -> list[str]:
    return [line for line in ran.stdout.splitlines() if line.startswith(tuple(begins))]


@pytest.mark.req("D23", "D24", "D25", "D26", "D27", "D42", "D44")
def test_what_is_watched_is_shown_before_anything_else_and_written_down(desk: Desk) -> None:
    desk.slurm.add("sweep-1", "RUNNING")
    subprocess.run(["git", "-C", str(desk.root), "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
    ran = desk.run("watch", "--prefix", "sweep-", "--once")
    assert ran.returncode == 0, ran.stderr
    shown = dict(line.split(": ", 1) for line in ran.stdout.splitlines()[:8])
    assert shown["project"] == "widgets (the name of the repository)"
    assert (shown["root"], shown["run from"], shown["branch"]) == (str(desk.root), str(desk.root), "main")
    assert shown["cluster"] == "this machine (squeue is on PATH here)"
    assert shown["user"].startswith("root (")
    assert shown["jobs named"] == "sweep- (--prefix)"
    assert shown["tools"] == "squeue sacct scontrol scancel sbatch"
    facts = desk.journal()["facts"]
    assert facts == {
        "project_name": "widgets", "project_root": str(desk.root), "branch": "main", "cwd": str(desk.root),
        "cluster_host": "this machine", "cluster_user": "root", "job_prefix": "sweep-", "job_ids": "", "via": "",
        "tools": "squeue sacct scontrol scancel sbatch", "missing": "",
    }  # fmt: skip


@pytest.mark.req("D58", "D59")
def test_one_squeue_and_one_sacct_tell_of_every_state_however_many_jobs_there_are(desk: Desk) -> None:
    for state in ("RUNNING", "PENDING", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY"):
        for number in range(10):
            desk.slurm.add(f"sweep-{state}-{number}", state)
    desk.slurm.add("other-1", "RUNNING")
    desk.slurm.add("sweep-of-another", "RUNNING", user="mallory")
    data = desk.json("--prefix", "sweep-")
    assert data["states"] == {"RUNNING": 10, "PENDING": 10, "COMPLETED": 10, "FAILED": 10, "CANCELLED": 10,
                              "TIMEOUT": 10, "OOM": 10}
    calls = [call[0] for call in desk.slurm.calls()]
    assert sorted(calls) == ["sacct", "squeue"]
    assert all("--user=root" in call for call in desk.slurm.calls())


def test_jobs_that_slurm_forgot_are_counted_as_they_ended(desk: Desk) -> None:
    desk.slurm.without_accounting()
    first, second = desk.slurm.add("sweep-1", "COMPLETED"), desk.slurm.add("sweep-2", "RUNNING")
    assert "there is no accounting" in desk.run("watch", "--prefix", "sweep-", "--once").stderr
    desk.slurm.forget(first)
    assert counted(desk.json("--prefix", "sweep-")["states"]) == {"COMPLETED": 1, "RUNNING": 1}
    desk.slurm.forget(second)
    desk.run("watch", "--prefix", "sweep-", "--once")
    assert counted(desk.json("--prefix", "sweep-")["states"]) == {"COMPLETED": 1, "FORGOTTEN": 1}
