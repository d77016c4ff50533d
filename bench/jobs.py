"""What the job runner costs: reading 1 to 200 jobs, recording an end, and idling, beside a named baseline in one run.

`python bench/jobs.py [--sizes 1,10,50,200] [--seconds 60]` prints its tables. The baseline is what people wrote before:
one `ps` and one `cat` for each job, in bash, over the same files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from measure import cpu, machine, median_ms, memory_mb, wait

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.ports import Handle, LaunchSpec
from coordinator.runfiles import atomic, codec, identity

ROUNDS = 7
BASELINE = 'for f in *.pid; do ps -o pid=,etime=,time= -p "$(cat "$f")"; cat "${f%.pid}.meta" >/dev/null; done'
ENDED = 'for f in *.outcome; do ps -o pid=,etime=,time= -p 1; cat "$f" >/dev/null; done'


@contextmanager
def jobs_of(size: int, argv: tuple[str, ...]) -> Iterator[tuple[Path, list[LaunchSpec]]]:
    """A flat job folder with so many jobs that were really started; whatever lives at the end is ended."""
    root = Path(tempfile.mkdtemp(prefix="bench-jobs-"))
    executor = LocalExecutor(root / "jobs", lambda _: None, flat=True)
    specs = [_spec(root, number, argv) for number in range(size)]
    try:
        for spec in specs:
            executor.submit(spec)
        yield root / "jobs", specs
    finally:
        for pid in agents(root / "jobs", specs):
            os.kill(pid, signal.SIGKILL)
        wait(lambda: not list((root / "jobs").glob("*.pid")), "all ended")
        executor.close()
        shutil.rmtree(root)


def _spec(root: Path, number: int, argv: tuple[str, ...]) -> LaunchSpec:
    cwd = root / "trees" / f"job-{number}"
    cwd.mkdir(parents=True)
    return LaunchSpec(
        handle=Handle("command", f"job-{number}", f"{number:032x}"), worker_id="w-000000", attempt=1, fence=1,
        run_id="20260101000000", argv=argv, env={"PATH": os.environ["PATH"]}, cwd=cwd, prompt="x", stdin="null",
        timeout=timedelta(hours=1), grace=timedelta(seconds=1),
    )  # fmt: skip


def pairs(folder: Path, spec: LaunchSpec, kind: str) -> dict[str, str]:
    return atomic.read_pairs(str(folder / f"{spec.handle.job}.{kind}")) or {}


def agents(folder: Path, specs: list[LaunchSpec]) -> list[int]:
    """The living agents' pids, each checked by its start time."""
    found = []
    for spec in specs:
        beat = pairs(folder, spec, "heartbeat")
        pid, start = codec.whole(beat.get("agent_pid", "")), codec.whole(beat.get("agent_start", ""))
        if identity.alive(pid, start, beat.get("boot_id", "")):
            found.append(pid)
    return found


def wrappers(folder: Path, specs: list[LaunchSpec]) -> list[int]:
    return [codec.whole(pairs(folder, spec, "heartbeat").get("wrapper_pid", "")) for spec in specs]


def command(folder: Path, *words: str) -> Callable[[], object]:
    argv = [sys.executable, "-m", "coordinator", "job", *words, "--log-dir", str(folder)]
    return lambda: subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def bash(folder: Path, script: str) -> Callable[[], object]:
    argv = ["bash", "-c", script]
    return lambda: subprocess.run(argv, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def reading(sizes: list[int]) -> Iterator[str]:
    yield "| jobs | state | `status` | `health` | `check` of one | `ps` + `cat` a job in bash | status : baseline |"
    yield "|---|---|---|---|---|---|---|"
    for size in sizes:
        for state, argv, baseline in (("running", ("sleep", "3600"), BASELINE), ("ended", ("true",), ENDED)):
            with jobs_of(size, argv) as (folder, _):
                if state == "ended":
                    wait(lambda folder=folder, size=size: len(list(folder.glob("*.outcome"))) == size, "all ended")
                status, health, check = (median_ms(command(folder, *words), ROUNDS) for words in (
                    ("status",), ("health",), ("check", "--beads", "job-0")))
                old = median_ms(bash(folder, baseline), ROUNDS)
            yield (f"| {size} | {state} | {status:.0f} ms | {health:.0f} ms | {check:.0f} ms | {old:.0f} ms "
                   f"| {status / old:.2f} |")


def ending(size: int) -> Iterator[str]:
    """From the agents' death to their outcomes on the disk."""
    for count in (1, size):
        with jobs_of(count, ("sleep", "3600")) as (folder, specs):
            for pid in agents(folder, specs):
                os.kill(pid, signal.SIGKILL)
            took = wait(lambda folder=folder, count=count: len(list(folder.glob("*.outcome"))) == count, "all ended")
            yield f"| exit to outcome, {count} at once | {1000 * took:.0f} ms |"


def idling(size: int, seconds: float) -> Iterator[str]:
    with jobs_of(size, ("sleep", "3600")) as (folder, specs):
        pids = wrappers(folder, specs)
        pss = [memory_mb(pid) for pid in pids]
        before = sum(cpu(pid) for pid in pids)
        time.sleep(seconds)
        share = (sum(cpu(pid) for pid in pids) - before) / seconds
        middle, most = statistics.median(pss), max(pss)
        yield f"| wrapper's memory (PSS), median and largest of {size} | {middle:.1f} MB, {most:.1f} MB |"
        yield f"| CPU of {size} idle jobs over {seconds:g} s | {100 * share:.2f} % of one core |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1,10,50,200")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    sizes = [int(one) for one in given.sizes.split(",")]
    print(f"{machine()}; medians of {ROUNDS} rounds, whole processes.\n")
    for line in reading(sizes):
        print(line, flush=True)
    print("\n| what | measured |\n|---|---|")
    for line in (*ending(max(sizes)), *idling(max(sizes), given.seconds)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
