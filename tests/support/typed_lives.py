"""The lives of what a person starts by a command: a job by hand, and a plan up to its pull request."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.rehearsal.standin import StandIn
from coordinator.runfiles import atomic, identity
from tests.support.crash import PATIENCE, TOKEN, Lives, Plot, a_plot, report_of
from tests.support.fate import KILLED, Point, Write

ALONE = """\
# Notes its start and whether it was alone with its task, then works.
import fcntl, os, re, subprocess, sys, time
here = os.path.dirname(os.path.abspath(__file__))
found = re.search(r"Feature-Key: (\\S+)", sys.stdin.read())
key = found[1] if found else "job"
alone = open(os.path.join(here, "alone-" + key), "a")
try:
    fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    word = "alone"
except BlockingIOError:
    word = "crowded"
with open(os.path.join(here, "starts"), "a") as starts:
    starts.write("%s %s %s\\n" % (key, os.environ["COORDINATOR_TOKEN"], word))
"""
STAYS = ALONE + "print('hello', flush=True)\ntime.sleep(120)\n"
COMMITS = ALONE + """\
name = key + ".txt"
with open(name, "w") as work:
    work.write("work\\n")
message = "Add %s\\n\\nFeature-Key: %s\\nAgent: crash" % (name, key)
for args in (["add", name], ["commit", "-q", "-m", message]):
    subprocess.run(["git"] + args, check=True)
print('{"type": "result", "subtype": "success", "is_error": false, "result": "Done."}')
"""
PLAN = """\
# Plan: Better auth

## Overview
Users can log in.

## Tasks

{tasks}"""
TASK = """\
### {name}: Part {name}
- **depends_on**: [{on}]
- **repo**: {repo}
- **location**: {name}.txt
- **description**: make it
- **validation**: `true`
- **status**: Not Started
- **log**:
- **files edited**:

"""


class TypedLife:
    """Commands one after another; a death ends the one, and it is typed again."""

    name: str
    _lived: dict[Path, tuple[list[Write], list[Write]]]

    def type(self, lives: Lives, plot: Plot, die: Point | None, step: str, *argv: str) -> int:
        """One command; what it wrote is kept."""
        code = lives.live(plot, die, step=step, argv=argv)
        if code != KILLED:
            report, (writes, middles) = report_of(plot), self._lived.setdefault(plot.folder, ([], []))
            writes += [one for one in report.writes if one not in writes]
            middles += report.middles
        return code

    def writes(self, plot: Plot) -> tuple[Sequence[Write], Sequence[Write]]:
        return self._lived[plot.folder]


def starts(plot: Plot) -> list[list[str]]:
    """Key, token and word of each agent that was started."""
    path = plot.folder / "starts"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def crowds(plot: Plot) -> Iterator[str]:
    if any(one[2] != "alone" for one in starts(plot)):
        yield f"two workers at once: {starts(plot)}"
    tokens = Counter(one[1] for one in starts(plot))
    if tokens and max(tokens.values()) > 1:
        yield f"a token was started twice: {tokens}"


def left(plot: Plot) -> Iterator[str]:
    """Processes of any worker, after a while."""
    until = time.monotonic() + 30
    while found := [proc.pid for one in starts(plot) for proc in identity.with_token(one[1])]:
        if time.monotonic() > until:
            yield f"left running: {found}"
            return
        time.sleep(0.02)


def wait(done: Callable[[], object]) -> bool:
    until = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@dataclass
class JobLife(TypedLife):
    """Started by hand, found stalled and started again by the watchdog, stopped by hand. The command that died is typed
    again, and those after it."""

    name: str = "job"
    _lived: dict[Path, tuple[list[Write], list[Write]]] = field(default_factory=dict)
    _died: dict[Path, str] = field(default_factory=dict)

    def plot(self, folder: Path) -> Plot:
        clone = folder / "clone"
        for place in (folder / "tmp", clone):
            place.mkdir(parents=True)
        (folder / "agent.py").write_text(STAYS)
        (folder / "prompt").write_text("Do it.\n")
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8",
                   "COORDINATOR_WORKERS_STALL": "1s", "COORDINATOR_WORKERS_GRACE": "1s",
                   "COORDINATOR_WORKERS_STOP_GRACE": "500ms"}
        return Plot(folder, None, None, environ, merged=True)

    def live(self, lives: Lives, plot: Plot, die: Point | None) -> int:
        place, job = ("--log-dir", str(plot.folder / "jobs")), ("--beads", "bd-1")
        agent = (sys.executable, "-S", str(plot.folder / "agent.py"))
        steps = {"start": ("job", "start", *place, *job, "--provider", "command", "--prompt-file",
                           str(plot.folder / "prompt"), "--", *agent),
                 "watch": ("job", "watchdog", "--once", *place),
                 "stop": ("job", "stop", *place, *job)}
        until, left = time.monotonic() + PATIENCE, list(steps)[list(steps).index(self._died.get(plot.folder, "start")):]
        while left:
            code = self.type(lives, plot, die, left[0], *steps[left[0]])
            if code == KILLED:
                self._died[plot.folder] = left[0]
                self._a_minute_later(plot)
                return code
            if time.monotonic() > until:
                return 4
            if left[0] != "watch" or self._settled(plot):
                del left[0]
        return code

    def _a_minute_later(self, plot: Plot) -> None:
        """A start that nobody goes on with is not waited for any more."""
        meta, fence = atomic.read_pairs(str(plot.folder / "jobs" / "bd-1.meta")) or {}, plot.folder / "jobs/bd-1.fence"
        if fence.exists() and not identity.with_token(meta.get("token") or "none"):
            os.utime(fence, (time.time() - 60,) * 2)

    def _settled(self, plot: Plot) -> bool:
        """Whether the watchdog has nothing more to do: it was started again, or waits for a person."""
        meta = atomic.read_pairs(str(plot.folder / "jobs" / "bd-1.meta")) or {}
        again = len(starts(plot)) > 1 and meta.get("retries") == "1"
        return again or meta.get("blocked", "") not in ("", "false", "0")

    def again(self, lives: Lives, plot: Plot) -> int:
        return self.live(lives, plot, None)

    def faults(self, plot: Plot) -> list[str]:
        return [*crowds(plot), *left(plot), *self._ended(plot)]

    def _ended(self, plot: Plot) -> Iterator[str]:
        outcome = atomic.read_pairs(str(plot.folder / "jobs" / "bd-1.outcome")) or {}
        meta = atomic.read_pairs(str(plot.folder / "jobs" / "bd-1.meta")) or {}
        if len(starts(plot)) != 2:
            yield f"started {len(starts(plot))} times"
        if not outcome.get("state") or outcome.get("token") != meta.get("token"):
            yield f"outcome {dict(outcome)} of the run {dict(meta)}"


@dataclass
class PlanLife(TypedLife):
    """Two tasks, the second on the first, run to their pull request."""

    github: StandIn
    name: str = "plan"
    _lived: dict[Path, tuple[list[Write], list[Write]]] = field(default_factory=dict)

    def plot(self, folder: Path) -> Plot:
        plot = a_plot(self.github, folder, config=f'\n[plans]\nworktrees = "{folder / "agents"}"\n')
        plot.ann.close(plot.issue)
        (folder / "agent.py").write_text(COMMITS)
        repo = f"acme/{folder.name}"
        tasks = TASK.format(name="T1", on="", repo=repo) + TASK.format(name="T2", on="T1", repo=repo)
        (plot.clone / "auth-plan.md").write_text(PLAN.format(tasks=tasks))
        return plot

    def live(self, lives: Lives, plot: Plot, die: Point | None) -> int:
        return self.type(lives, plot, die, "run", "plan", "run", "auth-plan.md")

    def again(self, lives: Lives, plot: Plot) -> int:
        return self.type(lives, plot, None, "resume", "plan", "resume", "auth-plan.md")

    def faults(self, plot: Plot) -> list[str]:
        return [*crowds(plot), *left(plot), *self._starts(plot), *self._delivered(plot)]

    def _starts(self, plot: Plot) -> Iterator[str]:
        if len(starts(plot)) != 2:
            yield f"agents were started for {starts(plot)}"

    def _delivered(self, plot: Plot) -> Iterator[str]:
        heads = [pull.the_pull().head_ref for pull in plot.repository.pulls()]
        if heads != ["feature-auth"]:
            yield f"pull requests: {heads}"
            return
        there = set(plot.repository.files("feature-auth"))
        if len([name for name in there if name.endswith(".txt")]) != 2:
            yield f"lost work: {sorted(there)}"
        address = plot.repository.clone_url.replace("://", f"://x:{TOKEN}@")
        plot.git("fetch", "-q", address, "feature-auth")
        merges = plot.git("rev-list", "--merges", "--count", "FETCH_HEAD")
        if merges != "2":
            yield f"{merges} merges"
        if (plot.clone / "auth-plan.md").read_text().count("**status**: Completed") != 2:
            yield (plot.clone / "auth-plan.md").read_text()
        if trees := plot.git("worktree", "list").splitlines()[1:]:
            yield f"left: {trees}"
