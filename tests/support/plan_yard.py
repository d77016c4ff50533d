"""Plan files run by the program itself: repositories with remotes that are folders, and an agent that does as its
task's description says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.gitworld import commit, git
from tests.support.program import environ

AGENT = '''\
"""Does what stands behind RUN: in its prompt, in the worktree it was started in."""
import os, re, subprocess, sys, time
prompt = sys.stdin.read()
key = re.search(r"Feature-Key: (\\S+)", prompt)[1]
def git(*args): subprocess.run(["git", *args], check=True, stdout=subprocess.DEVNULL)
def write(name, text="x\\n"):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    open(name, "w").write(text)
    git("add", "--", name)
    git("commit", "-q", "-m", f"Write {name}\\n\\nFeature-Key: {key}\\nAgent: scripted")
def wait(path):
    while not os.path.exists(path): time.sleep(0.02)
for line in re.findall(r"^RUN: (.*)$", prompt, re.M):
    exec(line)
print("done")
'''
CONFIG = """\
[workers]
sandbox = "off"
provider = "command"
stop_grace = "300ms"

[retry]
max = 0

[floors]
disk = "0"
inodes = 0
memory = "0"

[plans]
worktrees = "{agents}"

[providers.command]
argv = ["{python}", "{agent}"]
"""


@dataclass
class PlanYard:
    """Repositories side by side below `folder`; commands are typed in the first of them."""

    folder: Path
    repos: tuple[str, ...]

    @property
    def home(self) -> Path:
        return self.folder / self.repos[0]

    @property
    def agents(self) -> Path:
        return self.folder / "agents"

    def plan(self, *tasks: str, name: str = "auth-plan.md") -> Path:
        path = self.home / name
        path.write_text("\n".join(["# Plan: Better auth", "", "## Overview", "People can log in.", "", "## Tasks", "",
                                   *tasks]))
        return path

    def run(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "coordinator", *argv], cwd=self.home, env=self.environ(**more),
                              text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=55, check=False)

    def environ(self, **more: str) -> dict[str, str]:
        return environ(self.folder, GIT_CONFIG_GLOBAL=os.devnull, **more)

    @contextmanager
    def running(self, *argv: str) -> Iterator[subprocess.Popen[str]]:
        """The program beside the test; killed at the end where it still lives."""
        with subprocess.Popen([sys.executable, "-m", "coordinator", *argv], cwd=self.home, env=self.environ(),
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as child:
            try:
                yield child
            finally:
                child.poll() is None and child.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """A test that failed must not leave its workers behind."""
        for process in psutil.process_iter(["cwd"]):
            if (process.info["cwd"] or "").startswith(str(self.agents)):
                process.kill()

    def remote(self, repo: str) -> Path:
        return self.folder / f"{repo}.git"

    def branches(self, repo: str) -> list[str]:
        return git(self.remote(repo), "for-each-ref", "--format=%(refname:short)", "refs/heads").split()


def task(name: str, title: str, *run: str, on: str = "", repo: str = "shop", location: str = "src/",
         validation: str = "look at it", **more: str) -> str:
    """One task of a plan file whose agent runs these lines of Python."""
    lines = [f"### {name}: {title}", f"- **depends_on**: [{on}]", f"- **repo**: {repo}", f"- **location**: {location}",
             "- **description**: do as told", *(f"  RUN: {line}" for line in run), f"- **validation**: {validation}",
             *(f"- **{key}**: {value}" for key, value in more.items()),
             "- **status**: Not Started", "- **log**:", "- **files edited**:", ""]
    return "\n".join(lines)


def make_yard(folder: Path, *repos: str) -> PlanYard:
    yard = PlanYard(folder, repos)
    (folder / "agent.py").write_text(AGENT)
    for name in repos:
        git(folder, "init", "-q", "--bare", "-b", "main", str(yard.remote(name)))
        git(folder, "clone", "-q", str(yard.remote(name)), str(folder / name))
        git(folder / name, "checkout", "-q", "-b", "main")
        commit(folder / name, "README.md", f"# {name}\n")
        git(folder / name, "push", "-q", "origin", "main")
    text = CONFIG.format(agents=yard.agents, python=sys.executable, agent=folder / "agent.py")
    (yard.home / "coordinator.toml").write_text(text)
    return yard


def until(done: Callable[[], Any], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "not reached"
        time.sleep(0.05)
