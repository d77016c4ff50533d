"""A coordinator as a process on the stand-in GitHub, with as many agents as a bench wants: each notes when it began and
when it ended, and works until it is told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from measure import wait

from coordinator.rehearsal.hub.wire import Interception
from coordinator.rehearsal.stage import BOT_TOKEN, MAINTAINER, Stage, staged

LABEL = "rpi-auto"
AGENT = """\
import os, subprocess, sys, time
place, task = sys.argv[1], os.path.basename(os.getcwd())
def note(kind):
    with open(os.path.join(place, kind, task), "a") as stream:
        stream.write("%f %d\\n" % (time.time(), os.getpid()))
note("began")
while not os.path.exists(os.path.join(place, "go", task)):
    time.sleep(0.2)
open(task + ".txt", "w").write("work\\n")
subprocess.run(["git", "add", "-A"], check=True)
subprocess.run(["git", "commit", "-q", "-m", "Do the work"], check=True)
print('{"type":"result","subtype":"success","is_error":false,"result":"All done.","usage":{}}', flush=True)
note("ended")
"""
CONFIG = """\
[repository]
name = "acme/widgets"
api_url = "{url}"

[poll]
interval = "{poll}"
jitter = "0s"

[workers]
max = 1000
provider = "command"
sandbox_write = ["{place}"]

[caps]
sessions_per_day = 0

[floors]
disk = "1MB"
inodes = 0

[providers.command]
argv = ["{python}", "{agent}", "{place}"]
"""


class Crowd:
    """One stand-in, one clone, one coordinator at a time. `acts` are (time, method, path) of every request; each takes
    `delay` seconds longer than it needs."""

    def __init__(self, root: Path, stage: Stage, poll: str, delay: float) -> None:
        self.place, self.stage, self.delay = root / "crowd", stage, delay
        self.acts: list[tuple[float, str, str]] = []
        self._daemons: list[subprocess.Popen[bytes]] = []
        for kind in ("began", "ended", "go"):
            (self.place / kind).mkdir(parents=True)
        agent = self.place / "agent.py"
        agent.write_text(AGENT, "utf-8")
        config = CONFIG.format(url=stage.github.url, poll=poll, python=sys.executable, agent=agent, place=self.place)
        (stage.clone / "coordinator.toml").write_text(config, "utf-8")
        stage.github.intercept = self._slow

    def _slow(self, method: str, path: str) -> Interception:
        self.acts.append((time.time(), method, path))
        time.sleep(self.delay)
        return None

    def issues(self, count: int) -> list[int]:
        person = self.stage.repository.as_user(MAINTAINER)
        return [person.open_issue(f"Make part {one} better", "It turns too slowly.").number for one in range(count)]

    def label(self, numbers: Sequence[int]) -> float:
        """The time of the last label."""
        person = self.stage.repository.as_user(MAINTAINER)
        for number in numbers:
            person.add_label(number, LABEL)
        return time.time()

    def let_go(self, number: int) -> None:
        (self.place / "go" / f"gh-{number}").touch()

    def notes(self, kind: str, number: int) -> list[tuple[float, int]]:
        """(time, pid) of each agent of this issue that began or ended."""
        path = self.place / kind / f"gh-{number}"
        lines = path.read_text("ascii").splitlines() if path.exists() else []
        return [(float(at), int(pid)) for at, pid in (line.split() for line in lines)]

    def states(self) -> dict[str, str]:
        return {str(one["id"]): str(one["state"]) for one in self.stage.board().get("tasks", [])}

    def start(self) -> subprocess.Popen[bytes]:
        """Its agents outlive it. The first run of a repository with many labelled issues wants a yes."""
        surroundings = {**os.environ, "GITHUB_TOKEN": BOT_TOKEN, "GIT_TERMINAL_PROMPT": "0"}
        with self.stage.log.open("ab") as log:
            daemon = subprocess.Popen([sys.executable, "-m", "coordinator", "run", "--yes"], cwd=self.stage.clone,
                                      env=surroundings, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._daemons.append(daemon)
        return daemon

    def close(self) -> None:
        """No coordinator and no agent is left."""
        for daemon in self._daemons:
            end(daemon, signal.SIGKILL)
        for task in (self.place / "began").iterdir():
            (self.place / "go" / task.name).touch()
        wait(lambda: not list((self.stage.clone / ".coordinator" / "jobs").rglob("*.pid")), "the end of all agents")

    def started(self) -> subprocess.Popen[bytes]:
        """Once it has polled."""
        began = time.time()
        daemon = self.start()
        wait(lambda: any(at > began and path.endswith("/issues") for at, _, path in self.acts), "the first poll")
        return daemon


def end(daemon: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    daemon.send_signal(number)
    daemon.wait()


@contextmanager
def crowd(root: Path, *, poll: str = "15s", delay: float = 0.0) -> Iterator[Crowd]:
    with staged(root / "stage") as stage:
        made = Crowd(root, stage, poll, delay)
        try:
            yield made
        finally:
            made.close()
