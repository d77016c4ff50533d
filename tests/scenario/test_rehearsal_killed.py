"""A rehearsal that is killed leaves nothing running; one whose coordinator is killed serves on, for it to come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.error import HTTPError

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


def board(folder: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((folder / "widgets" / ".coordinator" / "board.json").read_text())
    return read


@contextmanager
def rehearsing(home: Path, folder: Path, said: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Nothing of it is left at the end, whatever it started."""
    with said.open("wb") as out:
        played = subprocess.Popen([sys.executable, "-m", "coordinator", "rehearse", *options, "--dir", str(folder)],
                                  cwd=home, env=environ(home), stdin=subprocess.DEVNULL, stdout=out)
    try:
        yield played
    finally:
        played.kill()
        played.wait()
        for line in processes_in(folder):
            os.kill(int(line.split()[0]), 9)


@pytest.mark.timeout(120)
def test_a_rehearsal_that_is_killed_leaves_no_process(tmp_path: Path):
    folder = tmp_path / "played here"
    with rehearsing(tmp_path, folder, tmp_path / "said") as played:
        until(lambda: list((folder / "widgets" / "trees").glob("gh-*/.git")), "an agent's checkout", 60)
        until(lambda: any("agent.py" in line for line in processes_in(folder)), "an agent at work", 60)
        assert any(" run " in line for line in processes_in(folder)), "the coordinator"
        played.kill()
        assert played.wait(10) == -9

        until(lambda: processes_in(folder) == [], "the end of all that the rehearsal started", 30)


@pytest.mark.timeout(180)
def test_a_coordinator_killed_while_its_github_is_served_comes_back_by_the_command_that_is_said(tmp_path: Path):
    folder, said = tmp_path / "played here", tmp_path / "said"
    with rehearsing(tmp_path, folder, said, "--serve") as played:
        until(lambda: any("agent.py" in line for line in processes_in(folder)), "an agent at work", 60)
        killed = board(folder)["pid"]
        os.kill(killed, signal.SIGKILL)
        until(lambda: "coordinator run" in said.read_text(), "what to do", 30)
        assert played.poll() is None
        url = tomllib.loads((folder / "widgets" / "coordinator.toml").read_text())["repository"]["api_url"]
        with pytest.raises(HTTPError, match="401"):   # it answers: without a token nothing
            urllib.request.urlopen(f"{url}/user", timeout=10)

        ours = f" {quote(sys.executable)} -m coordinator run"
        command = said.read_text().splitlines()[-1].replace(" coordinator run", ours)
        words = tmp_path / "words"
        with words.open("w") as err:
            again = subprocess.Popen(["sh", "-c", f"{command} --stop-workers"], env=environ(tmp_path), cwd=tmp_path,
                                     stdin=subprocess.DEVNULL, stderr=err)
        until(lambda: board(folder)["pid"] != killed or again.poll() is not None, "the coordinator's return", 60)
        assert again.poll() is None, f"{command}\n{words.read_text()}"
        until(lambda: any(task["pr_number"] for task in board(folder)["tasks"]), "a pull request", 60)
        os.kill(board(folder)["pid"], signal.SIGTERM)
        assert again.wait() == 0
        played.send_signal(signal.SIGINT)
        assert played.wait(30) != 0
        until(lambda: processes_in(folder) == [], "the end of all that the rehearsal started", 30)
