"""Many at once on one repository: one operation at a time, so that all of them succeed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.gitworld import IDENTITY, git, make_world

ROOT = Path(__file__).resolve().parents[2]
MANY = 32
ONE = """
import sys
from pathlib import Path
from coordinator.adapters.git.repository import GitRepository
repo = GitRepository(Path(sys.argv[1]), identity={})
for task in sys.argv[2:]:
    repo.ensure_worktree(task, "rpi/" + task, "main", fresh=False, attempt=1)
"""


def made(checkout: Path) -> list[str]:
    listed = git(checkout, "worktree", "list", "--porcelain").splitlines()
    return sorted(line.rpartition("/")[2] for line in listed if line.startswith("branch refs/heads/rpi/"))


@pytest.mark.req("W14")
def test_thirty_two_threads_each_get_their_worktree(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    tasks = [f"gh-{number}" for number in range(MANY)]

    def one(task: str) -> str:
        repo = world.repository(identity=IDENTITY)
        return repo.ensure_worktree(task, f"rpi/{task}", "main", fresh=False, attempt=1).head_sha

    with ThreadPoolExecutor(MANY) as pool:
        heads = set(pool.map(one, tasks))
    assert heads == {git(world.remote, "rev-parse", "main")}
    assert made(world.checkout) == sorted(tasks)


@pytest.mark.req("W14")
def test_thirty_two_worktrees_from_separate_processes_all_succeed(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    tasks = [f"gh-{number}" for number in range(MANY)]
    children = [
        subprocess.Popen([sys.executable, "-c", ONE, str(world.checkout), *tasks[at::8]], cwd=ROOT,
                         env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
        for at in range(8)
    ]
    said = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * 8, said
    assert made(world.checkout) == sorted(tasks)


@pytest.mark.req("W14", "E20")
def test_many_asking_for_the_same_worktree_share_one(tmp_path: Path) -> None:
    repo = make_world(tmp_path).repository()

    def one(_: int) -> tuple[Path, bool]:
        tree = repo.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=1)
        return tree.path, tree.reused

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(one, range(8)))
    assert len({path for path, _ in found}) == 1
    assert sorted(reused for _, reused in found) == [False] + [True] * 7
