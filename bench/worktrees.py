"""What a ready worktree costs in a repository of 80,000 files, and whether a pool of ready ones would pay.

`python bench/worktrees.py [--files 80000] [--rounds 3]` prints its tables. The baseline is a plain `git worktree add`.
A pool would keep detached worktrees and give one out by `git worktree move` and a new branch; what it saves at the
start it pays beforehand: each place is a whole checkout on the disk that is made, and brought up to the base whenever
that moves.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import machine, scratch, timed

from coordinator.adapters.git.repository import GitRepository

COMMIT = b"commit refs/heads/main\ncommitter b <b@b.invalid> 1700000000 +0000\ndata 1\nx\n"


def git(root: Path, *args: str, stdin: bytes = b"") -> None:
    subprocess.run(["git", "-C", str(root), *args], input=stdin, check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def made(root: Path, files: int) -> Path:
    """A bare remote with so many files of 2 KB in folders of a hundred, and a clone of it without a checkout."""
    remote, clone = root / "remote.git", root / "clone"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(remote)], check=True)
    words = [COMMIT]
    for number in range(files):
        text = f"# part {number}\n".encode() + b"one line of a file among many of them\n" * 52
        words.append(b"M 100644 inline src/d%d/f%d.txt\ndata %d\n%s\n" % (number // 100, number, len(text), text))
    git(remote, "fast-import", "--quiet", stdin=b"".join(words))
    subprocess.run(["git", "clone", "-q", "--no-checkout", str(remote), str(clone)], check=True)
    return clone


def touched(clone: Path, files: int, number: int) -> None:
    """One file in fifty is other on the remote than before."""
    remote = clone.parent / "remote.git"
    words = [COMMIT.replace(b"data 1\nx\n", b"data 1\ny\nfrom refs/heads/main^0\n")]
    for one in range(0, files, 50):
        text = b"changed %d\n" % number
        words.append(b"M 100644 inline src/d%d/f%d.txt\ndata %d\n%s\n" % (one // 100, one, len(text), text))
    git(remote, "fast-import", "--quiet", stdin=b"".join(words))
    git(clone, "fetch", "-q", "origin")


class Ways:
    """Each gives the seconds until a worktree stands ready, and takes it away again unmeasured."""

    def __init__(self, clone: Path) -> None:
        self._clone, self._count = clone, 0
        self._ours = GitRepository(clone, worktree_root="trees", token=None,
                                   identity={"name": "b", "email": "b@b.invalid"})

    def _plain(self, *options: str) -> float:
        self._count += 1
        path = self._clone / "plain" / str(self._count)
        took = timed(lambda: git(self._clone, *options, "worktree", "add", "-b", f"p{self._count}", str(path),
                                 "origin/main"))
        git(self._clone, "worktree", "remove", "--force", str(path))
        return took

    def plain(self) -> float:
        return self._plain()

    def parallel(self) -> float:
        """As many processes as cores, whatever the number of files."""
        return self._plain("-c", f"checkout.workers={os.cpu_count()}", "-c", "checkout.thresholdForParallelism=0")

    def ours(self) -> float:
        self._count += 1
        task = f"gh-{self._count}"
        took = timed(lambda: self._ours.ensure_worktree(task, f"rpi/{task}", "main", fresh=False, attempt=1))
        git(self._clone, "worktree", "remove", "--force", str(self._ours.worktree_path(task)))
        return took

    def pool(self) -> tuple[float, float]:
        """(given out, brought up after the base moved on by a fiftieth of its files)."""
        self._count += 1
        ready, path = self._clone / "pool" / str(self._count), self._clone / "taken" / str(self._count)
        path.parent.mkdir(exist_ok=True)
        git(self._clone, "worktree", "add", "--detach", str(ready), "origin/main~1")
        refreshed = timed(lambda: git(ready, "reset", "-q", "--hard", "origin/main"))

        def give() -> None:
            git(self._clone, "worktree", "move", str(ready), str(path))
            git(path, "checkout", "-q", "-b", f"w{self._count}")

        took = timed(give)
        git(self._clone, "worktree", "remove", "--force", str(path))
        return took, refreshed


PLAIN, OURS = "plain `git worktree add`", "ours (`checkout.workers`)"
WAYS: dict[str, Callable[[Ways], float]] = {
    PLAIN: Ways.plain, OURS: Ways.ours, "`git worktree add`, a process a core": Ways.parallel}


def table(files: int, rounds: int) -> Iterator[str]:
    with scratch() as root:
        clone = made(root, files)
        touched(clone, files, 1)
        ways = Ways(clone)
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        pooled = []
        for number in range(rounds + 1):
            for name, act in WAYS.items():
                os.sync()   # what one leaves to the disk is no burden of the next
                took = act(ways)
                if number:   # the first warms the caches
                    times[name].append(took)
            pooled.append(ways.pool())
        rows = {name: statistics.median(found) for name, found in times.items()}
        plain = rows[PLAIN]
        rows["given out of a pool"] = statistics.median(took for took, _ in pooled)
        refreshed = statistics.median(seconds for _, seconds in pooled)
        git(clone, "worktree", "add", "--detach", str(clone / "size"), "origin/main")
        size = sum(path.stat().st_blocks for path in (clone / "size").rglob("*")) * 512 / 1e6
        shutil.rmtree(clone / "size")
    yield "| ready by | seconds | : plain |\n|---|---|---|"
    for name, seconds in rows.items():
        yield f"| {name} | {seconds:.2f} | {seconds / plain:.2f} |"
    yield "\n| upkeep of one place in a pool | |\n|---|---|"
    yield f"| disk | {size:.0f} MB |"
    yield f"| made anew after each task | {rows[OURS]:.2f} s |"
    yield f"| brought up when the base moved on by a fiftieth of its files | {refreshed:.2f} s |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=80_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    print(f"{machine()}; {given.files:,} files, medians of {given.rounds} rounds in turn, by the clock.\n")
    for line in table(given.files, given.rounds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
