"""The whole rehearsal with its workers on another host, as an operator types it: over a real ssh, and on a real Slurm.
No GitHub token ever stands on the host, and nothing is left running there."""

from __future__ import annotations

import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import psutil
import pytest

from coordinator.rehearsal.stage import BOT_TOKEN, SCRIPT
from tests.support.program import environ
from tests.support.slurmd import Cluster
from tests.support.sshd import MARK, Sshd
from tests.support.workers import until

OPERATORS = "ghp_" + "0123456789abcdefghij" * 2
"""A token of the operator's own that has nothing to do with the rehearsal."""
PLAIN = (BOT_TOKEN, OPERATORS)
CODED = tuple(b64encode(f"x-access-token:{one}".encode()).decode() for one in PLAIN)
TOKENS = tuple(one.encode() for one in (*PLAIN, *CODED))
MOST = 4
"""Agents that surely last long enough to be seen, of eight."""
Mine = Callable[[Mapping[str, str], str], bool]
"""Whether a process with this environment and command line is one of the host's."""


class Watch:
    """Looks at the processes of a host all the while: how many agents it saw, and each that held a token."""

    def __init__(self, mine: Mine) -> None:
        self._mine = mine
        self.agents: set[int] = set()
        self.told: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._over.wait(0.1):
            for process, around, words in there(self._mine):
                held = f"{words} {around}".encode()
                if any(token in held for token in TOKENS):
                    self.told.append(words)
                if SCRIPT in words:
                    self.agents.add(process)


def there(mine: Mine) -> Iterable[tuple[int, Mapping[str, str], str]]:
    """The processes of a host: (pid, environment, command line)."""
    for process in psutil.process_iter():
        try:
            around, words = process.environ(), " ".join(process.cmdline())
            if mine(around, words) and process.status() != psutil.STATUS_ZOMBIE:
                yield process.pid, around, words
        except (psutil.Error, OSError):   # another user's, or gone meanwhile
            continue


def all_end(mine: Mine, where: str) -> None:
    """Waits for the end of all there; fails with what is left."""
    try:
        until(lambda: list(there(mine)) == [], f"the end of all on {where}", 30)
    except AssertionError as error:
        raise AssertionError(f"{error}; left: {[(pid, words) for pid, _, words in there(mine)]}") from None


def files_with_a_token(*folders: Path) -> list[str]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return [str(path) for path in files if any(token in path.read_bytes() for token in TOKENS)]


def rehearse(folder: Path, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
    home = folder / "home"
    home.mkdir()
    env = {**environ(home, **more), "GH_TOKEN": OPERATORS}
    return subprocess.run([sys.executable, "-m", "coordinator", "rehearse", "--dir", str(folder / "play"), *argv],
                          cwd=home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400,
                          check=False)  # fmt: skip


@pytest.mark.timeout(500)
def test_six_issues_end_as_they_must_when_their_agents_run_on_a_host_by_ssh(tmp_path: Path, sshd: Sshd) -> None:
    def mine(around: Mapping[str, str], words: str) -> bool:
        """An agent is born into an environment of its own: the run that it belongs to is told there by its folder."""
        return around.get(MARK) == sshd.mark or str(sshd.home) in f"{words} {around}"

    words = " ".join(sshd.command)
    with Watch(mine) as watch:
        ran = rehearse(tmp_path, "--executor", "ssh", "--address", sshd.alias, COORDINATOR_HOSTS_REHEARSAL_SSH=words)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "all six ended as they must" in ran.stdout
    assert len(watch.agents) >= MOST
    assert watch.told == []
    all_end(mine, "the host")
    [far] = (sshd.home / "coordinator-rehearsal").iterdir()
    assert (far / ".coordinator" / "jobs").is_dir()
    assert files_with_a_token(sshd.home) == []


@pytest.mark.timeout(500)
def test_six_issues_end_as_they_must_when_their_agents_are_jobs_of_slurm(tmp_path: Path, slurm: Cluster) -> None:
    def mine(around: Mapping[str, str], words: str) -> bool:
        return "SLURM_JOB_ID" in around and around.get("SLURM_CONF") == slurm.env["SLURM_CONF"]

    with Watch(mine) as watch:
        ran = rehearse(tmp_path, "--executor", "slurm", **slurm.env)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "all six ended as they must" in ran.stdout
    assert len(watch.agents) >= MOST
    assert watch.told == []
    all_end(mine, "the node")
    assert slurm.run("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING").stdout == ""
    clone = tmp_path / "play" / "widgets"
    assert (clone / ".coordinator" / "slurm").is_dir()
    assert files_with_a_token(slurm.folder, clone / ".coordinator", clone / "trees") == []
    assert sum(line.startswith("sbatch ") for line in slurm.commands()) == 8
