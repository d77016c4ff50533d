"""Lock files that a killed git, or a host that lost its power, left in the repository itself; those that are held; and
a repository that is large."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.adapters.git.leftovers import DEAD_AFTER, lock_named
from coordinator.ports import GitBusy
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"
Set = tuple[Path, Callable[[], tuple[str, ...]]]
"""A lock, and what it is in the way of, which gives the notes for people."""
Way = Callable[[World], Set]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def of_a_branch(world: World) -> Set:
    """In the way of the branch that a new worktree gets."""
    repo = world.repository()
    lock = world.checkout / ".git/refs/heads/rpi/gh-1.lock"
    lock.parent.mkdir(parents=True)
    return lock, lambda: repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1).notes


def of_packed_refs(world: World) -> Set:
    """In the way of a fetch that drops what vanished from the remote."""
    world.advance(branch="passing")
    repo = world.repository()
    repo.fetch()
    git(world.checkout, "pack-refs", "--all")
    git(world.person, "push", "-q", "origin", "--delete", "passing")
    lock = world.checkout / ".git/packed-refs.lock"

    def act() -> tuple[str, ...]:
        repo.fetch()
        return repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1).notes

    return lock, act


def left(lock: Path, seconds: float) -> None:
    lock.touch()
    at = time.time() - seconds
    os.utime(lock, (at, at))


WAYS = [of_a_branch, of_packed_refs]


@pytest.mark.parametrize("way", WAYS)
def test_a_lock_that_nobody_holds_goes_and_is_said(world: World, way: Way):
    lock, act = way(world)
    left(lock, DEAD_AFTER + 5)

    notes = act()

    assert re.fullmatch(rf"removed {lock}, left \d+ s ago by a process that is gone", notes[0])
    assert not lock.exists()
    assert git(world.tree(), "symbolic-ref", "--short", "HEAD") == BRANCH


@pytest.mark.parametrize("way", WAYS)
def test_a_fresh_one_is_waited_for_with_words_and_costs_nothing(world: World, way: Way):
    lock, act = way(world)
    left(lock, 3)
    with pytest.raises(GitBusy, match=rf"{lock} was left \d+ s ago and no process is seen to hold it: it is removed"):
        act()
    assert lock.exists()
    lock.unlink()
    act()
    assert world.tree().is_dir()


def test_one_that_is_held_is_never_taken_away_however_old_it_is(world: World):
    lock, act = of_a_branch(world)
    left(lock, 3600)
    holds = "import sys; f = open(sys.argv[1]); print(flush=True); input()"
    held = subprocess.Popen([sys.executable, "-c", holds, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(GitBusy, match=f"is held by process {held.pid}: it is waited for"):
            act()
        assert lock.exists()
    finally:
        held.communicate(b"\n")
    act()
    assert not lock.exists()


def test_only_a_lock_of_this_repository_is_ever_meant(world: World, tmp_path: Path):
    common = (world.checkout / ".git").resolve()
    said = "fatal: Unable to create '{}': File exists."
    (common / "linked.lock").symlink_to(tmp_path / "elsewhere")
    assert lock_named(said.format(common / "packed-refs.lock"), common) == common / "packed-refs.lock"
    assert lock_named(said.format(tmp_path / "other/.git/index.lock"), common) is None
    assert lock_named(said.format(common / "linked.lock"), common) is None
    assert lock_named(said.format(common / "../../x.lock"), common) is None
    assert lock_named("fatal: something else", common) is None


def test_a_repository_of_a_hundred_thousand_files_is_prepared_committed_looked_at_and_tidied(tmp_path: Path):
    """Made by fast-import, checked out without its blobs' weight: each file is empty."""
    world = make_world(tmp_path)
    names = "".join(f"M 100644 :1 d{at // 1000}/s{at % 1000 // 100}/f{at}.txt\n" for at in range(100_000))
    stream = ("blob\nmark :1\ndata 0\n\ncommit refs/heads/main\ncommitter Ann <ann@example.org> 1700000000 +0000\n"
              f"data 5\nlarge\nfrom refs/heads/main^0\n{names}\n")  # fmt: skip
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=world.remote, input=stream.encode(), check=True)
    repo = world.repository()
    repo.fetch()

    made = repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    tree = world.tree()
    assert (tree / "d99/s9/f99999.txt").exists()
    (tree / "d0/s0/f0.txt").unlink()
    (tree / "d50/new.txt").write_text("x\n")
    commit(tree, "d51/own.txt", "own\n")
    sha = repo.commit_all("gh-1", "What was left")
    work = repo.work("gh-1", BRANCH, made.base_sha)
    survey = repo.survey(made.base_sha, sha or "")
    repo.push(BRANCH, expect="")
    repo.remove_worktree("gh-1")

    assert work is not None
    assert (work.commits, work.dirty, work.head_sha) == (2, (), sha)
    assert sorted(survey.files) == ["d0/s0/f0.txt", "d50/new.txt", "d51/own.txt"]
    assert git(world.remote, "rev-parse", BRANCH) == sha
    assert not tree.exists()
