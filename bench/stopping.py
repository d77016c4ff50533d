"""What a stop leaves alive: a hostile tree of eight processes, ended by us and by what others do, one after the other.

`python bench/stopping.py [--rounds 100]` prints its table. The tree ignores TERM, INT and HUP; of the eight one starts
a session of its own, two are orphans (double fork) of which one dropped its environment and took another name, one
changes its name, one is stopped, and one forks anew every few milliseconds. Baselines in the same run: TERM then KILL
to the agent alone, to its process group, and to what a psutil walk of its children finds.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
from measure import machine, scratch, wait

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.domain.worker import Exited
from coordinator.ports import Handle, LaunchSpec, StopOrder

SIZE, GRACE = 8, 0.5
POLITE = 1.5 * GRACE   # TERM comes after a grace, KILL half a grace later
TREE = r"""
import ctypes, os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

def note(kind):
    with open(sys.argv[1], "a") as stream:
        stream.write("%s %d\n" % (kind, os.getpid()))

def spawn(act):
    if os.fork() == 0:
        try:
            act()
        finally:
            os._exit(0)

def linger(kind):
    note(kind)
    while True:
        time.sleep(1)

def session():
    os.setsid()
    linger("session")

def orphan():
    os.setsid()
    if os.fork():
        os._exit(0)
    linger("orphan")

def nameless():
    os.setsid()
    if os.fork():
        os._exit(0)
    code = "import os,sys,signal,time\nsignal.signal(15, signal.SIG_IGN)\n" \
           "open(sys.argv[1], 'a').write('nameless %d\\n' % os.getpid())\ntime.sleep(600)"
    os.execve(sys.executable, ["sshd", "-c", code, sys.argv[1]], {})

def renamed():
    ctypes.CDLL(None).prctl(15, b"sshd", 0, 0, 0)
    linger("renamed")

def stopped():
    note("stopped")
    os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        time.sleep(1)

def runner():
    while True:
        if os.fork():
            os._exit(0)
        note("runner")
        time.sleep(0.02)

for act in (lambda: linger("child"), session, orphan, nameless, renamed, stopped, runner):
    spawn(act)
linger("agent")
"""


def alive(noted: Path) -> list[int]:
    """Processes of the tree that live, zombies not counted: all that noted itself, and the runner's last child."""
    found = []
    for line in noted.read_text("ascii").splitlines():
        pid = int(line.split()[1])
        try:
            one = psutil.Process(pid)
            if one.status() != psutil.STATUS_ZOMBIE and str(noted) in " ".join(one.cmdline()):
                found.append(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def grown(noted: Path) -> bool:
    return noted.exists() and len({line.split()[0] for line in noted.read_text("ascii").splitlines()}) == SIZE


def settled(noted: Path) -> int:
    """Survivors half a second after the end: a runner may just be between two of its lives."""
    time.sleep(0.5)
    return len(alive(noted))


def ours(root: Path) -> tuple[int, float]:
    """(survivors, seconds after the end of the polite time)."""
    noted, cwd = root / "pids", root / "tree"
    cwd.mkdir()
    executor = LocalExecutor(root / "jobs", lambda _: None)
    spec = LaunchSpec(
        handle=Handle("command", "gh-1", root.name), worker_id="w-000000", attempt=1, fence=1, run_id="20260101000000",
        argv=(sys.executable, "-c", TREE, str(noted)), env={"PATH": os.environ["PATH"]}, cwd=cwd, prompt="x",
        stdin="null", timeout=timedelta(hours=1), grace=timedelta(seconds=GRACE))
    try:
        executor.submit(spec)
        wait(lambda: grown(noted), "the whole tree")
        began = time.monotonic()
        executor.stop(spec.handle, StopOrder("stalled", "bench"))
        wait(lambda: isinstance(executor.look([spec.handle])[spec.handle], Exited), "the end")
        took = time.monotonic() - began
        executor.reap()
        return settled(noted), took - POLITE
    finally:
        executor.close()


def theirs(root: Path, end: Callable[[subprocess.Popen[bytes], int], None]) -> tuple[int, float]:
    noted = root / "pids"
    agent = subprocess.Popen([sys.executable, "-c", TREE, str(noted)], start_new_session=True)
    wait(lambda: grown(noted), "the whole tree")
    began = time.monotonic()
    end(agent, signal.SIGTERM)
    time.sleep(POLITE)
    end(agent, signal.SIGKILL)
    agent.wait()
    return settled(noted), time.monotonic() - began - POLITE - 0.5


def walk(agent: subprocess.Popen[bytes], number: int) -> None:
    root = psutil.Process(agent.pid)
    for one in (*root.children(recursive=True), root):
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue


WAYS: dict[str, Callable[[Path], tuple[int, float]]] = {
    "coordinator": ours,
    "`kill` of the agent": lambda root: theirs(root, lambda agent, number: os.kill(agent.pid, number)),
    "kill of its process group": lambda root: theirs(root, lambda agent, number: os.killpg(agent.pid, number)),
    "psutil, children recursive": lambda root: theirs(root, walk),
}


def bury(noted: Path) -> None:
    """What a baseline left alive; a runner is hunted until it is caught."""
    wait(lambda: not [os.kill(pid, signal.SIGKILL) for pid in alive(noted)], "the last of the tree", pause=0)


def table(rounds: int) -> Iterator[str]:
    yield "| ended by | rounds | survivors, most of a round | rounds with any | after the polite time, median | most |"
    yield "|---|---|---|---|---|---|"
    for name, way in WAYS.items():
        ends = []
        for _ in range(rounds):
            with scratch() as root:
                ends.append(way(root))
                bury(root / "pids")
        left, took = [one for one, _ in ends], [seconds for _, seconds in ends]
        yield (f"| {name} | {rounds} | {max(left)} | {sum(1 for one in left if one)} "
               f"| {statistics.median(took):.2f} s | {max(took):.2f} s |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    print(f"{machine()}; a tree of {SIZE}, {POLITE:g} s of polite time.\n")
    for line in table(given.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
