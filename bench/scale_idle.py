"""What one repository costs when nothing happens, in an hour and now, and what a task asks of GitHub in its life.

`python bench/scale_idle.py [--seconds 20]` prints its tables. The coordinator is a real process at its default
intervals, GitHub is the stand-in of `coordinator rehearse`, whose record of requests is counted. The baseline of a
process is a Python that only sleeps.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import idle_hour
from measure import cpu, machine, memory_mb, scratch, wait

from coordinator.rehearsal.hub.wire import Exchange
from coordinator.rehearsal.stage import MAINTAINER, Stage, coordinator, pull_of, staged

LABEL, QUIET = "rpi-auto", 2.0
READING = ("GET", "HEAD")


@contextmanager
def world() -> Iterator[Stage]:
    with scratch() as root, staged(root / "stage") as stage:
        yield stage


# --- a life -------------------------------------------------------------------------------------------


def asked(stage: Stage) -> list[Exchange]:
    """Requests of the API since the last time; git's own count against no limit of it."""
    found = [one for one in stage.github.requests if ".git/" not in one.path]
    stage.github.forget_requests()
    return found


def life(stage: Stage) -> list[Exchange]:
    """From the label to the merge that is seen, one task that succeeds at once."""
    with coordinator(stage):
        wait(lambda: bool(stage.board().get("polled_at")), "the first poll")
        time.sleep(QUIET)
        stage.github.forget_requests()
        person = stage.repository.as_user(MAINTAINER)
        person.add_label(1, LABEL)
        wait(lambda: _state(stage) == "IN_REVIEW", "a pull request")
        time.sleep(QUIET)
        pull = pull_of(stage, 1)
        assert pull is not None
        person.merge(pull.number)
        wait(lambda: _state(stage) == "DONE", "the merge is seen")
        time.sleep(QUIET)
        return asked(stage)


def _state(stage: Stage) -> str:
    return next((str(one["state"]) for one in stage.board().get("tasks", []) if one["id"] == "gh-1"), "")


def kinds(requests: Sequence[Exchange]) -> Counter[str]:
    """304s are polls that found nothing, whose number is the clock's affair."""
    return Counter("unchanged" if one.status == 304 else "read" if one.method in READING else "write"
                   for one in requests)  # fmt: skip


def lives() -> Iterator[str]:
    with world() as stage:
        requests = life(stage)
    found = kinds(requests)
    counted = found["read"] + found["write"]
    yield f"One task, from the label to the merge: {counted} requests that count, {found['write']} of them write.\n"
    yield "| request | times |\n|---|---|"
    for shown, times in sorted(Counter(idle_hour.shown(one) for one in requests if one.status != 304).items()):
        yield f"| {shown} | {times} |"


# --- a process that waits -----------------------------------------------------------------------------


def idle(seconds: float) -> Iterator[str]:
    with world() as stage:
        config = stage.clone / "coordinator.toml"
        config.write_text(config.read_text("utf-8").replace('interval = "1s"\njitter = "0s"',
                                                            'interval = "15s"\njitter = "3s"'), "utf-8")  # fmt: skip
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
        with coordinator(stage) as daemon:
            wait(lambda: bool(stage.board().get("polled_at")), "the first poll")
            time.sleep(5)
            asked(stage)
            before = cpu(daemon.pid)
            time.sleep(seconds)
            share = (cpu(daemon.pid) - before) / seconds
            memory, own = memory_mb(daemon.pid, "Pss"), memory_mb(daemon.pid, "Private_Dirty")
            files, threads = (sum(1 for _ in Path(f"/proc/{daemon.pid}/{kind}").iterdir()) for kind in ("fd", "task"))
            found = asked(stage)
        plain, plain_own = memory_mb(sleeper.pid, "Pss"), memory_mb(sleeper.pid, "Private_Dirty")
        sleeper.kill()
        sleeper.wait()
    unchanged = kinds(found)["unchanged"]
    yield "| of one idle repository | measured | 1,000 of them |\n|---|---|---|"
    yield f"| memory (PSS), : baseline | {memory:.0f} MB, {memory / plain:.1f} | {memory:.0f} GB at most |"
    yield f"| of it its own alone, : baseline | {own:.0f} MB, {own / plain_own:.1f} | {own:.0f} GB at least |"
    yield f"| CPU | {100 * share:.2f} % of a core | {1000 * share:.1f} cores |"
    yield f"| open files, threads | {files}, {threads} | {1000 * files}, {1000 * threads} |"
    yield f"| requests in {seconds:g} s, of them 304 | {len(found)}, {unchanged} | |"


# --- an hour ------------------------------------------------------------------------------------------


def hours() -> Iterator[str]:
    """On a clock that is put forward, the daily listing within it."""
    for load in (idle_hour.Load(), idle_hour.Load(in_review=5)):
        with scratch() as root, idle_hour.idle(root, load) as one:
            yield (f"An idle hour, {load.issues} labelled issues, {load.running} running, {load.in_review} in "
                   f"review: {one.hour()}.\n")


def ticks(sizes: Sequence[int]) -> Iterator[str]:
    """Of a coordinator that has taken up all of them, five of which run and five are in review."""
    yield "| labelled issues | requests of a tick that count | answered by 304 | GraphQL points |\n|---|---|---|---|"
    for size in sizes:
        with scratch() as root, idle_hour.idle(root, idle_hour.Load(size, 5, 5)) as one:
            found = one.tick()
            yield f"| {size:,} | {found.counted.total()} | {found.unchanged} | {found.points} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=36.0)
    given = parser.parse_args()
    print(f"{machine()}; baseline: a Python that only sleeps.\n")
    for part in (lives(), hours(), ticks((100, 1_000, 10_000)), idle(given.seconds)):
        for line in part:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
