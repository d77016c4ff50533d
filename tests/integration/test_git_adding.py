"""A worktree for a job started by hand: made where the person wants it, or nothing at all is left behind."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coordinator.adapters.git.adding import add_worktree
from coordinator.ports import ForeignWorktree, GitError
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/bd-1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def agents(world: World) -> Path:
    return world.checkout.parent / "agents" / "bd-1" / "widgets"


def everything(world: World) -> tuple[str, str, bool]:
    return (git(world.checkout, "worktree", "list", "--porcelain"), git(world.checkout, "for-each-ref"),
            (world.checkout.parent / "agents").exists())


@pytest.mark.req("A10")
def test_a_missing_worktree_is_made_on_a_branch_of_its_own_from_what_is_checked_out(world: World) -> None:
    add_worktree(world.checkout, agents(world), BRANCH)
    assert git(agents(world), "rev-parse", "--abbrev-ref", "HEAD") == BRANCH
    assert git(agents(world), "rev-parse", "HEAD") == git(world.checkout, "rev-parse", "main")
    assert (agents(world) / "file.txt").read_text() == "line 2\n"


def test_stop_and_blocked_notes_stay_out_of_what_the_agent_commits(world: World) -> None:
    add_worktree(world.checkout, agents(world), BRANCH)
    for name in ("STOP", "BLOCKED.md", "work.txt"):
        (agents(world) / name).write_text("x\n")
    git(agents(world), "add", "-A")
    assert git(agents(world), "diff", "--cached", "--name-only") == "work.txt"


def test_a_branch_that_is_there_is_gone_on_with(world: World) -> None:
    git(world.checkout, "branch", BRANCH)
    add_worktree(world.checkout, agents(world), BRANCH)
    sha = commit(agents(world), "done.txt", "done\n")
    git(world.checkout, "worktree", "remove", str(agents(world)))
    add_worktree(world.checkout, agents(world), BRANCH)
    assert git(agents(world), "rev-parse", "HEAD") == sha


def test_a_worktree_whose_folder_was_removed_is_made_again_and_its_own_commits_are_kept(world: World) -> None:
    """/tmp is emptied when the host starts; git still holds the place."""
    add_worktree(world.checkout, agents(world), BRANCH)
    git(agents(world), "checkout", "-q", "--detach")
    sha = commit(agents(world), "only-here.txt", "x\n")
    shutil.rmtree(agents(world).parent)
    add_worktree(world.checkout, agents(world), BRANCH)
    assert git(agents(world), "rev-parse", "--abbrev-ref", "HEAD") == BRANCH
    assert "refs/coordinator/rescue/bd-1/" in git(world.checkout, "for-each-ref", f"--contains={sha}")


def test_a_branch_that_a_person_has_checked_out_is_refused_with_the_cure_and_nothing_is_made(world: World) -> None:
    git(world.checkout, "checkout", "-q", "-b", BRANCH)
    before = everything(world)
    with pytest.raises(ForeignWorktree, match=rf"git -C {world.checkout} switch --detach"):
        add_worktree(world.checkout, agents(world), BRANCH)
    assert everything(world) == before


def test_a_file_in_the_place_is_refused_and_stays(world: World) -> None:
    agents(world).parent.mkdir(parents=True)
    agents(world).write_text("mine\n")
    with pytest.raises(ForeignWorktree, match="move it away"):
        add_worktree(world.checkout, agents(world), BRANCH)
    assert agents(world).read_text() == "mine\n"


def test_a_failure_half_way_leaves_neither_folder_nor_branch_nor_registration(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = everything(world)
    monkeypatch.setattr("coordinator.adapters.git.adding.add_excludes", fails)
    with pytest.raises(OSError, match="No space left"):
        add_worktree(world.checkout, agents(world), BRANCH)
    assert everything(world) == before


def test_a_repository_without_a_commit_and_a_bad_branch_are_said_in_words(tmp_path: Path, world: World) -> None:
    git(tmp_path, "init", "-q", "empty")
    with pytest.raises(GitError, match="has no commit yet"):
        add_worktree(tmp_path / "empty", tmp_path / "tree", BRANCH)
    with pytest.raises(GitError, match="cannot be the name of a branch"):
        add_worktree(world.checkout, agents(world), "rpi/a..b")
    assert not (tmp_path / "tree").exists()


def test_a_hook_of_the_repository_does_not_run(world: World, tmp_path: Path) -> None:
    hook = world.checkout / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    add_worktree(world.checkout, agents(world), BRANCH)
    assert agents(world).is_dir()
    assert not (tmp_path / "ran").exists()
