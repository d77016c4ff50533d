"""What a coordinator and its wrappers cost while 3, 30 and 300 workers run: memory and CPU.

`python bench/memory.py [--sizes 3,30,300] [--seconds 60]` prints its table. The coordinator is a process at its default
interval, GitHub the stand-in. The baseline is a Python of the same interpreter that only sleeps.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from crowd import Crowd, crowd, end
from measure import cpu, machine, memory_mb, scratch, wait

from coordinator.runfiles import atomic, codec


def wrappers(crowd: Crowd) -> list[int]:
    beats = (crowd.stage.clone / ".coordinator" / "jobs").rglob("*.heartbeat")
    return [codec.whole((atomic.read_pairs(str(path)) or {}).get("wrapper_pid", "")) for path in beats]


def row(size: int, seconds: float, plain: float) -> str:
    with scratch() as root, crowd(root) as made:
        numbers = made.issues(size)
        daemon = made.started()
        made.label(numbers)
        wait(lambda: all(made.notes("began", number) for number in numbers), "all agents")
        wait(lambda: sum(state == "RUNNING" for state in made.states().values()) == size, "all recorded", pause=0.2)
        time.sleep(20)   # what starting left behind settles
        pids = wrappers(made)
        before, theirs = cpu(daemon.pid), sum(cpu(pid) for pid in pids)
        time.sleep(seconds)
        share = (cpu(daemon.pid) - before) / seconds
        wrapped = (sum(cpu(pid) for pid in pids) - theirs) / seconds / size
        memory, most = memory_mb(daemon.pid), _peak(daemon.pid)
        pss = [memory_mb(pid) for pid in pids]
        end(daemon)
    return (f"| {size} | {memory:.0f} MB | {memory / plain:.1f} | {most:.0f} MB | {100 * share:.2f} % "
            f"| {statistics.median(pss):.1f} MB, {max(pss):.1f} MB | {100 * wrapped:.3f} % |")


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def table(sizes: Sequence[int], seconds: float) -> Iterator[str]:
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    try:
        time.sleep(1)
        plain = memory_mb(sleeper.pid)
        yield f"A Python that sleeps: {plain:.1f} MB.\n"
        yield ("| workers | coordinator, PSS | : baseline | its peak, RSS | its CPU of a core "
               "| wrapper, PSS, median and most | CPU of a wrapper |\n|---|---|---|---|---|---|---|")
        for size in sizes:
            yield row(size, seconds, plain)
    finally:
        sleeper.kill()
        sleeper.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="3,30,300")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    print(f"{machine()}; CPU over {given.seconds:g} s in which no worker begins or ends.\n")
    for line in table([int(one) for one in given.sizes.split(",")], given.seconds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
