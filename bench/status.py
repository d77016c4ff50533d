"""What looking costs: `status` and `job status` of 10 to 1,000 tasks, whole processes printing to a pipe.

`python bench/status.py [--sizes 10,200,1000]` prints its table. The baseline is a Python of the same interpreter that
starts and ends; the second, what people wrote before, is one `ps` and one `cat` a job in bash.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from measure import machine, median_ms, scratch
from scale import Load, repository

from coordinator.engine.projections import Projections
from coordinator.engine.tick import AtOnce, Engine
from coordinator.runfiles import codec, identity

ROUNDS = 15
BASH = 'for f in *.pid; do ps -o pid=,etime=,time= -p "$(cat "$f")"; cat "${f%.pid}.meta" >/dev/null; done'


def command(folder: Path, *argv: str) -> Callable[[], object]:
    return lambda: subprocess.run(argv, cwd=folder, capture_output=True, check=True)


def lay_jobs(folder: Path, size: int, pid: int) -> None:
    """Run files of so many running jobs as their wrappers leave them; all name one living process."""
    folder.mkdir(parents=True)
    seen = identity.look(pid)
    assert seen is not None
    at = f"{time.time():.3f}"
    for number in range(1, size + 1):
        files = {
            "meta": {"beads": f"bd-{number}", "provider": "claude", "token": f"{number:032x}", "fence": "1",
                     "run_id": "20260304130000", "worktree": f"/w/bd-{number}", "started_at": "2026-03-04T13:00:00Z"},
            "heartbeat": {"token": f"{number:032x}", "wrapper_pid": str(pid), "wrapper_start": str(seen.start),
                          "boot_id": identity.boot_id(), "started_at": at, "agent_pid": str(pid), "at": at, "since": at,
                          "cpu_sec": "1", "agent_start": str(seen.start)},
        }
        for kind, pairs in files.items():
            (folder / f"bd-{number}.{kind}").write_bytes(codec.encode(pairs))
        (folder / f"bd-{number}.pid").write_text(f"{pid}\n", "ascii")
        (folder / f"bd-{number}.log").write_text("the agent says what it does\n" * 50, "utf-8")


def table(sizes: Sequence[int]) -> Iterator[str]:
    yield "| tasks | `status` | `job status` | a Python | `ps` + `cat` a job in bash | `status` : a Python |"
    yield "|---|---|---|---|---|---|"
    ours, python = (sys.executable, "-m", "coordinator"), (sys.executable, "-c", "pass")
    sleeper = subprocess.Popen(["sleep", "3600"])
    try:
        for size in sizes:
            with scratch() as root, repository(Load(size, running=min(size, 100))) as (world, memory):
                subprocess.run(["git", "init", "-q", str(world.root)], check=True)
                Projections(world, memory).write(*Engine(world, AtOnce(), lambda _: None, memory).preview())
                lay_jobs(root / "jobs", size, sleeper.pid)
                here = median_ms(command(world.root, *ours, "status"), ROUNDS)
                jobs = median_ms(command(root, *ours, "job", "status", "--log-dir", str(root / "jobs")), ROUNDS)
                least = median_ms(command(root, *python), ROUNDS)
                bash = median_ms(command(root / "jobs", "bash", "-c", BASH), 3)
            yield (f"| {size:,} | {here:.0f} ms | {jobs:.0f} ms | {least:.0f} ms | {bash:,.0f} ms "
                   f"| {here / least:.1f} |")
    finally:
        sleeper.kill()
        sleeper.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="10,200,1000")
    given = parser.parse_args()
    os.environ["NO_COLOR"] = "1"
    print(f"{machine()}; medians of {ROUNDS} rounds, whole processes, printed to a pipe.\n")
    for line in table([int(one) for one in given.sizes.split(",")]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
