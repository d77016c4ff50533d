"""How long people wait: from the label to the running agent, and from its end to the comment with the pull request.

`python bench/latency.py [--sizes 1,10,100]` prints its table. GitHub is the stand-in, 100 ms slower a request than it
is; the coordinator is a process at its default interval of 15 s. The tasks of a row are labelled together at a random
moment and end one second after the other; the row of one task is repeated. The baseline is a plain loop at the same
interval: one task after the other it adds a worktree and starts the agent, and when that has ended it pushes, opens the
pull request and writes the comment.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from crowd import LABEL, Crowd, crowd, end
from measure import machine, scratch, share, wait

from coordinator.rehearsal.stage import BOT_TOKEN

DELAY, POLL = 0.1, 15.0
SEED = 7
IDENTITY = {f"GIT_{who}_{what}": "b@b.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Loop:
    """The baseline, in a thread."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd, self._over = crowd, threading.Event()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._done: set[int] = set()
        self._thread = threading.Thread(target=self._turn)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _turn(self) -> None:
        while not self._over.is_set():
            for issue in self._ask("GET", f"issues?labels={LABEL}&per_page=100"):
                if issue["number"] not in self._running and "pull_request" not in issue:
                    self._start(issue["number"])
            due = time.monotonic() + POLL
            while time.monotonic() < due and not self._over.wait(0.5):
                for number, agent in self._running.items():
                    if number not in self._done and agent.poll() is not None:
                        self._publish(number)

    def _ask(self, method: str, path: str, **body: str) -> Any:
        request = urllib.request.Request(  # the stand-in's own address
            f"{self._crowd.stage.github.url}/repos/acme/widgets/{path}", json.dumps(body).encode() if body else None,
            {"Authorization": f"Bearer {BOT_TOKEN}"}, method=method)
        while True:   # GitHub takes 80 requests a minute that make content
            try:
                with urllib.request.urlopen(request) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if "retry-after" not in error.headers:
                    raise
                time.sleep(int(error.headers["retry-after"]))

    def _git(self, *args: str) -> None:
        basic = b64encode(f"x-access-token:{BOT_TOKEN}".encode()).decode()
        subprocess.run(["git", "-C", str(self._crowd.stage.clone), "-c",
                        f"http.extraHeader=Authorization: Basic {basic}", *args], check=True, capture_output=True)

    def _start(self, number: int) -> None:
        self._git("fetch", "-q", "origin")
        path = self._crowd.stage.clone / "trees" / f"gh-{number}"
        self._git("worktree", "add", "-b", f"rpi/gh-{number}", str(path), "origin/main")
        self._running[number] = subprocess.Popen(
            [sys.executable, str(self._crowd.place / "agent.py"), str(self._crowd.place)], cwd=path,
            stdout=subprocess.DEVNULL, env={**os.environ, **IDENTITY})

    def _publish(self, number: int) -> None:
        self._done.add(number)
        branch = f"rpi/gh-{number}"
        self._git("push", "-q", "origin", branch)
        made = self._ask("POST", "pulls", title=f"Issue {number}", head=branch, base="main", body="")
        self._ask("POST", f"issues/{number}/comments", body=made["html_url"])


class Waits:
    """Seconds: label to start, end to the first write that GitHub sees, end to the comment."""

    def __init__(self) -> None:
        self.start: list[float] = []
        self.act: list[float] = []
        self.comment: list[float] = []


def play(crowd: Crowd, numbers: Sequence[int], found: Waits, dice: random.Random) -> None:
    """One round: label, all begin, one after the other ends and is commented."""
    time.sleep(dice.uniform(0, POLL))
    labelled = crowd.label(numbers)
    wait(lambda: all(crowd.notes("began", number) for number in numbers), "all agents")
    found.start += [crowd.notes("began", number)[0][0] - labelled for number in numbers]
    for number in numbers:
        crowd.let_go(number)
        time.sleep(1)
    wait(lambda: all(_commented(crowd, number) for number in numbers), "all comments", pause=0.05)
    for number in numbers:
        ended = crowd.notes("ended", number)[0][0]
        found.comment.append(_commented(crowd, number) - ended)
        if len(numbers) == 1:
            writes = [at for at, method, path in list(crowd.acts) if at > ended and _writes(method, path)]
            found.act.append(min(writes) - ended)


def _writes(method: str, path: str) -> bool:
    return method not in {"GET", "HEAD"} and not path.endswith(("/graphql", "/git-upload-pack"))


def _commented(crowd: Crowd, number: int) -> float:
    """When the comment came that followed the agent's end; 0 before."""
    ended = crowd.notes("ended", number)
    path = f"/repos/acme/widgets/issues/{number}/comments"
    return next((at for at, method, one in list(crowd.acts)
                 if ended and at > ended[0][0] and method == "POST" and one == path), 0.0)


def ours(crowd: Crowd) -> Callable[[], None]:
    daemon = crowd.started()
    return lambda: end(daemon)


def baseline(crowd: Crowd) -> Callable[[], None]:
    return Loop(crowd).close


def measured(begin: Callable[[Crowd], Callable[[], None]], size: int, rounds: int) -> Waits:
    found, dice = Waits(), random.Random(SEED)
    with scratch() as root, crowd(root, poll=f"{POLL:g}s", delay=DELAY) as made:
        stop = begin(made)
        try:
            for _ in range(rounds):
                play(made, made.issues(size), found, dice)
        finally:
            stop()
    return found


def table(sizes: Sequence[int], rounds: int) -> Iterator[str]:
    yield ("| tasks | by | label → running, p50 | p95 | end → first write, p50 | p95 | end → comment, p50 | p95 "
           "| comment : plain loop |\n|---|---|---|---|---|---|---|---|---|")
    for size in sizes:
        times = rounds if size == 1 else 1
        loop = measured(baseline, size, times)
        mine = measured(ours, size, times)
        for name, found in (("coordinator", mine), ("plain loop", loop)):
            act = f"{share(found.act, 0.5):.1f} s | {share(found.act, 0.95):.1f} s" if found.act else " | "
            ratio = share(found.comment, 0.5) / share(loop.comment, 0.5)
            yield (f"| {size} | {name} | {share(found.start, 0.5):.1f} s | {share(found.start, 0.95):.1f} s | {act} "
                   f"| {share(found.comment, 0.5):.1f} s | {share(found.comment, 0.95):.1f} s | {ratio:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="1,10,100")
    parser.add_argument("--rounds", type=int, default=8, help="of the row of one task")
    given = parser.parse_args()
    print(f"{machine()}; {1000 * DELAY:g} ms a request, a poll each {POLL:g} s. GitHub takes 80 requests a minute that "
          "make content: with 100 tasks both wait for that.\n")
    for line in table([int(one) for one in given.sizes.split(",")], given.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
