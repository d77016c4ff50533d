"""On a terminal `batch --slurm` asks for what is unclear, with an offer, before it asks the cluster anything."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.fake_slurm import FakeSlurm
from tests.support.program import a_repository, environ


@pytest.mark.req("D26", "D44")
@pytest.mark.parametrize(("typed", "prefix"), [(b"\n", "widgets-"), (b"sweep-\n", "sweep-")])
def test_which_jobs_is_asked_for_and_an_empty_answer_takes_the_offer(tmp_path: Path, typed: bytes, prefix: str) -> None:
    slurm, root = FakeSlurm(tmp_path / "slurm"), a_repository(tmp_path / "widgets")
    slurm.add("widgets-1", "RUNNING")
    slurm.add("sweep-1", "RUNNING")
    screen, keyboard = pty.openpty()
    env = {**environ(tmp_path), "PATH": f"{slurm.bin}:{os.environ['PATH']}", "TERM": "dumb"}
    child = subprocess.Popen([sys.executable, "-m", "coordinator", "batch", "status", "--slurm"], cwd=root, env=env,
                             stdin=keyboard, stdout=keyboard, stderr=keyboard)  # fmt: skip
    os.close(keyboard)
    try:
        asked = _until(screen, b"--prefix [widgets-]: ")
        assert b"nobody says which jobs are meant" in asked
        assert slurm.calls() == []
        os.write(screen, typed)
        said = _until(screen, b"look again in").decode()
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        os.close(screen)
    assert f"jobs named: {prefix} (--prefix)" in said
    assert "1 RUNNING" in said


def _until(screen: int, wanted: bytes) -> bytes:
    end, found = time.monotonic() + 60, b""
    while wanted not in found:
        assert time.monotonic() < end, found
        if select.select([screen], [], [], 0.1)[0]:
            found += os.read(screen, 65536)
    return found
