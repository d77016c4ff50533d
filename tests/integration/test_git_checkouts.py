"""Checkouts that are not whole, and remotes that changed under a coordinator that runs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from coordinator.adapters.git.repository import GitRepository
from coordinator.ports import GitError
from tests.integration.test_git_worktrees import ensure
from tests.support.gitworld import World, git, make_world


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
