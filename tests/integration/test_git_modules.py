"""Commits that name a submodule's commit: one that only this host has does not go out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.adapters.git import cells, modules
from coordinator.adapters.git.repository import GitRepository
from coordinator.domain.cargo import Cargo, Search
from tests.support.gitworld import World, commit, git, make_world

BRANCH, LOCAL = "rpi/gh-1", ("-c", "protocol.file.allow=always")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A repository with a submodule `libs/x`, checked out in the worktree of gh-1."""
    made = make_world(tmp_path)
    git(tmp_path, "init", "-q", "--bare", "x.git")
    git(tmp_path, "clone", "-q", "x.git", "x")
    commit(tmp_path / "x", "x.txt", "x\n")
    git(tmp_path / "x", "push", "-q", "origin", "HEAD")
    git(made.person, *LOCAL, "submodule", "--quiet", "add", str(tmp_path / "x.git"), "libs/x")
    git(made.person, "commit", "-q", "-m", "Add x")
    git(made.person, "push", "-q", "origin", "HEAD:main")
    repo = made.repository()
    repo.fetch()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    git(made.tree(), *LOCAL, "submodule", "--quiet", "update", "--init")
    return made


def moved(world: World) -> str:
    """A worker's commit in the submodule, recorded in its branch."""
    sha = commit(world.tree() / "libs/x", "more.txt", "more\n")
    git(world.tree(), "commit", "-q", "-a", "-m", "Move x")
    return sha


def carried(repo: GitRepository) -> Cargo:
    seen: list[Cargo] = []
    repo.push(BRANCH, expect="", passes=seen.append)
    return seen[0]


def of_branch(repo: GitRepository) -> Cargo:
    return repo.cargo(git(repo.worktree_path("gh-1"), "rev-parse", "HEAD"), Search())


@pytest.mark.parametrize("told", [carried, of_branch])
def test_a_submodule_s_commit_that_is_on_no_remote_is_named(
    world: World, told: Callable[[GitRepository], Cargo]
) -> None:
    sha = moved(world)
    cargo = told(world.repository())
    assert (cargo.modules, cargo.only_here) == ((("libs/x", sha),), (("libs/x", sha),))


def test_one_that_was_pushed_is_told_of_and_no_more(world: World) -> None:
    sha = moved(world)
    git(world.tree() / "libs/x", "push", "-q", "origin", "HEAD:refs/heads/more")
    cargo = carried(world.repository())
    assert (cargo.modules, cargo.only_here) == ((("libs/x", sha),), ())


def test_one_that_nobody_has_here_is_told_of_and_no_more(world: World) -> None:
    git(world.tree(), "update-index", "--cacheinfo", f"160000,{'a' * 40},libs/x")
    git(world.tree(), "commit", "-q", "-m", "Move x")
    cargo = carried(world.repository())
    assert (cargo.modules, cargo.only_here) == ((("libs/x", "a" * 40),), ())


def test_where_only_the_base_moved_it_nothing_is_told(world: World) -> None:
    git(world.person / "libs/x", "commit", "-q", "--allow-empty", "-m", "Theirs")
    git(world.person, "commit", "-q", "-a", "-m", "Move x there")
    git(world.person, "push", "-q", "origin", "HEAD:main")
    commit(world.tree(), "a.txt", "a\n")
    assert carried(world.repository()).modules == ()


@pytest.mark.parametrize("where", ["of the worker's making", "behind walls"])
def test_of_a_git_directory_that_a_walled_worker_can_write_git_is_asked_nothing(world: World, where: str) -> None:
    moved(world)
    place = world.tree() / "libs/x"
    inner = (place / (place / ".git").read_text().removeprefix("gitdir: ").strip()).resolve()
    target = place / ".git"
    target.unlink()
    if where == "behind walls":
        walls = world.checkout / ".git" / cells.FOLDER / "gh-1/modules"
        walls.mkdir(parents=True)
        target.write_text(f"gitdir: {walls / 'x'}\n")
        target = walls / "x"
    inner.rename(target)
    shutil.rmtree(target / "objects")
    os.mkfifo(target / "objects")   # whoever asked would wait
    assert carried(world.repository()).only_here == ()


def test_of_more_submodules_than_anybody_has_the_first_are_asked_about(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "LIMIT", 0)
    sha = moved(world)
    cargo = carried(world.repository())
    assert (cargo.modules, cargo.only_here) == ((("libs/x", sha),), ())


def test_a_git_directory_outside_the_repository_is_not_looked_at(world: World, tmp_path: Path) -> None:
    moved(world)
    inner = (world.tree() / "libs/x/.git").read_text().removeprefix("gitdir: ").strip()
    (world.tree() / "libs/x" / inner).resolve().rename(tmp_path / "elsewhere")
    (world.tree() / "libs/x/.git").write_text(f"gitdir: {tmp_path / 'elsewhere'}\n")
    assert carried(world.repository()).only_here == ()
