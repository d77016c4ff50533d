"""A rehearsal that is killed leaves nothing running: neither its coordinator nor an agent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.program import environ
from tests.support.workers import until


def processes_in(folder: Path) -> list[str]:
    """Those that work below the folder or name it, zombies left out."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "status"]):
        known = process.info
        if known["status"] != psutil.STATUS_ZOMBIE and str(folder) in f"{known['cwd']} {known['cmdline']}":
            found.append(f"{process.pid} {' '.join(known['cmdline'] or ())} in {known['cwd']}")
    return found


@pytest.mark.timeout(120)
def test_a_rehearsal_that_is_killed_leaves_no_process(tmp_path: Path):
    folder = tmp_path / "played here"
    played = subprocess.Popen([sys.executable, "-m", "coordinator", "rehearse", "--dir", str(folder)], cwd=tmp_path,
                              env=environ(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        until(lambda: list((folder / "widgets" / "trees").glob("gh-*/.git")), "an agent's checkout", 60)
        until(lambda: any("agent.py" in line for line in processes_in(folder)), "an agent at work", 60)
        assert any(" run " in line for line in processes_in(folder)), "the coordinator"
        played.kill()
        assert played.wait(10) == -9

        until(lambda: processes_in(folder) == [], "the end of all that the rehearsal started", 30)
    finally:
        played.kill()
        played.wait()
        for line in processes_in(folder):
            os.kill(int(line.split()[0]), 9)
