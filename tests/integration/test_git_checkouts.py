"""Checkouts that are not whole, and remotes that changed under a coordinator that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from coordinator.adapters.git.repository import GitRepository
from coordinator.domain.cargo import Search
from coordinator.ports import GitError
from tests.integration.test_git_worktrees import BRANCH, ensure
from tests.support.gitworld import World, commit, git, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def world_env(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def cloned(world: World, tmp_path: Path, *how: str) -> GitRepository:
    git(world.remote, "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", "--no-checkout", *how, f"file://{world.remote}", "other")
    return GitRepository(tmp_path / "other", default_branch="main")


def test_a_partial_clone_is_named_where_it_fails_and_its_cure_cures(world: World, tmp_path: Path) -> None:
    repo = cloned(world, tmp_path, "--filter=blob:none")
    words, cure = repo.lacks
    assert "partial clone" in words
    with pytest.raises(GitError, match=r"this is a partial clone.*git fetch --refetch"):
        ensure(repo)
    subprocess.run(cure, shell=True, check=True, cwd=tmp_path / "other", env=world_env(tmp_path))
    assert repo.lacks == ("", "")
    assert ensure(repo).head_sha


def test_a_shallow_clone_is_named_and_works(world: World, tmp_path: Path) -> None:
    world.advance()
    repo = cloned(world, tmp_path, "--depth=1")
    assert "shallow clone" in repo.lacks[0]
    assert ensure(repo).head_sha
    subprocess.run(repo.lacks[1], shell=True, check=True, cwd=tmp_path / "other", env=world_env(tmp_path))
    assert repo.lacks == ("", "")


# --- the default branch -----------------------------------------------------------------------------


def renamed(world: World) -> GitRepository:
    """A repository that asked for the default branch, which is called otherwise since; gh-1 has a commit."""
    repo = world.repository(default_branch="")
    repo.fetch()
    assert repo.default_branch() == "main"
    ensure(repo)
    commit(world.tree(), "done.txt", "done\n")
    git(world.remote, "branch", "-m", "main", "trunk")
    return repo


def test_a_default_branch_that_was_renamed_is_asked_for_again_by_a_push(world: World) -> None:
    repo, seen = renamed(world), []
    repo.push(BRANCH, expect="", passes=seen.append)
    assert [one.files for one in seen] == [("done.txt",)]
    assert repo.default_branch() == "trunk"
    assert git(world.remote, "rev-parse", BRANCH)


def test_and_by_whoever_looks_or_begins_after_a_fetch(world: World) -> None:
    repo = renamed(world)
    assert repo.cargo(git(world.tree(), "rev-parse", "HEAD"), Search()).files == ("done.txt",)
    git(world.remote, "branch", "-m", "trunk", "stem")
    repo.fetch()
    assert repo.default_branch() == "stem"


@pytest.mark.parametrize("search", [Search(base="gone"), Search()])
def test_a_base_that_is_not_there_is_an_error_with_words_and_nothing_is_pushed(world: World, search: Search) -> None:
    repo = renamed(world) if search.base else world.repository(default_branch="gone")
    if not search.base:
        git(world.checkout, "branch", BRANCH)
    for call in (lambda: repo.push(BRANCH, expect="", search=search),
                 lambda: repo.cargo(git(world.checkout, "rev-parse", "HEAD"), search)):
        with pytest.raises(GitError, match=r"the base branch gone is not on the remote: set \[repository\] base"):
            call()
    assert BRANCH not in git(world.remote, "for-each-ref")
