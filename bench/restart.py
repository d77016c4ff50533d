"""Whether a coordinator that is killed finds its workers again: 100 of them, and `kill -9` a hundred times.

`python bench/restart.py [--workers 100] [--rounds 100]` prints its table. Each round kills it at a random moment after
its start, at times before it has looked at anything; the last one is let alone, and its workers end by themselves. The
baseline of a start is a Python that imports what the coordinator imports and ends.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

from crowd import Crowd, crowd, end
from measure import machine, median_ms, scratch, share, wait

SEED = 7
IMPORTS = "import " + ", ".join(f"coordinator.{room}" for room in (
    "cli.running", "engine.daemon", "adapters.github", "adapters.git.repository", "adapters.store.sql"))


def found_again(crowd: Crowd, size: int) -> tuple[subprocess.Popen[bytes], float]:
    """A new coordinator, and the seconds until its own board shows all workers running."""
    began = time.monotonic()
    daemon = crowd.start()
    wait(lambda: crowd.stage.board().get("pid") == daemon.pid and _running(crowd) == size, "all workers found again")
    return daemon, time.monotonic() - began


def _running(crowd: Crowd) -> int:
    return sum(state == "RUNNING" for state in crowd.states().values())


def table(size: int, rounds: int) -> Iterator[str]:
    dice = random.Random(SEED)
    with scratch() as root, crowd(root, poll="5s") as made:
        numbers = made.issues(size)
        daemon = made.started()
        made.label(numbers)
        wait(lambda: all(made.notes("began", number) for number in numbers), "all agents")
        wait(lambda: _running(made) == size, "all recorded")
        end(daemon, signal.SIGKILL)
        times = []
        for number in range(rounds):
            if number % 10 == 0:
                daemon, took = found_again(made, size)
                times.append(took)
            else:
                daemon = made.start()
                time.sleep(dice.uniform(0, 3))
            end(daemon, signal.SIGKILL)
        daemon, took = found_again(made, size)
        times.append(took)
        for number in numbers:
            made.let_go(number)
        wait(lambda: sum(state == "IN_REVIEW" for state in made.states().values()) == size, "all in review", pause=0.2)
        end(daemon)
        agents = Counter(len(made.notes("began", number)) for number in numbers)
        pulls = Counter(len(made.stage.repository.pulls(head=f"rpi/gh-{number}")) for number in numbers)
    least = median_ms(lambda: subprocess.run([sys.executable, "-c", IMPORTS], check=True), 5) / 1000
    yield "| what | measured |\n|---|---|"
    yield f"| start → all {size} workers found again, p50 | {share(times, 0.5):.2f} s |"
    yield f"| the same, p95 | {share(times, 0.95):.2f} s |"
    yield f"| of that the start of a Python with the same imports | {least:.2f} s |"
    yield f"| found again : baseline | {share(times, 0.5) / least:.2f} |"
    yield f"| killed and started again | {rounds + 1} times |"
    yield f"| workers doubled | {sum(count for seen, count in agents.items() if seen > 1)} |"
    yield f"| workers lost | {size - pulls[1]} |"
    yield f"| pull requests doubled | {sum(count for seen, count in pulls.items() if seen > 1)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args()
    print(f"{machine()}; {given.workers} workers.\n")
    for line in table(given.workers, given.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
