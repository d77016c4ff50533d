"""What a crash, a full disk or a worker's pen leaves of a worktree's records never costs work or the next start."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.adapters.git.repository import GitRepository
from coordinator.adapters.system import seam
from coordinator.domain.checkout import Worktree
from tests.support.gitworld import World, commit, git, make_world

RESCUED = "refs/coordinator/rescue/gh-1/2"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def ensure(repo: GitRepository, attempt: int = 1) -> Worktree:
    repo.fetch()
    return repo.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=attempt)


def detached(world: World) -> tuple[GitRepository, str]:
    """A repository whose gh-1 has a commit that only its HEAD holds, and one uncommitted file; the commit."""
    repo = world.repository()
    ensure(repo)
    git(world.tree(), "checkout", "-q", "--detach")
    sha = commit(world.tree(), "side.txt", "side\n")
    (world.tree() / "half.txt").write_text("half\n")
    return repo, sha


def admin(world: World) -> Path:
    return world.checkout / ".git/worktrees/gh-1"


@pytest.mark.req("E22", "W15")
@pytest.mark.parametrize("lost", ["", "index", "commondir", "HEAD"])
def test_what_stands_in_a_worktree_said_to_be_unfinished_is_rescued_first(world: World, lost: str) -> None:
    """Git says so in a file that a worker can write."""
    repo, sha = detached(world)
    (admin(world) / "locked").write_text("initializing\n")
    (admin(world) / lost).unlink() if lost else None
    made = ensure(repo, attempt=2)
    assert not (made.path / "half.txt").exists()
    assert git(world.checkout, "show", f"{RESCUED}:half.txt") == "half"
    assert git(world.checkout, "show", f"{RESCUED}:side.txt") == "side"
    assert any(RESCUED in note for note in made.notes)
    if lost in {"", "index"}:
        assert git(world.checkout, "rev-parse", f"{RESCUED}^") == sha


def test_a_worktree_git_left_half_checked_out_leaves_no_rescue(world: World) -> None:
    repo = world.repository()
    made = ensure(repo)
    (admin(world) / "locked").write_text("initializing\n")
    (admin(world) / "index").unlink()
    (made.path / "file.txt").unlink()
    assert git(ensure(repo, attempt=2).path, "status", "--porcelain") == ""
    assert not world.refs()


@pytest.mark.req("W15")
@pytest.mark.parametrize("deed", ["ensure", "remove"])
def test_commits_that_only_a_deleted_folders_head_held_are_rescued(world: World, deed: str) -> None:
    repo, sha = detached(world)
    shutil.rmtree(world.tree())
    ensure(repo, attempt=2) if deed == "ensure" else repo.remove_worktree("gh-1")
    assert sha in git(world.checkout, "rev-list", *world.refs())


@pytest.mark.req("P58")
@pytest.mark.parametrize(("write", "before"), [(".git", None), ("coordinator", "gh-1\nrpi/older\n")])
def test_a_full_disk_leaves_link_and_mark_as_they_were(world: World, write: str, before: str | None) -> None:
    repo = world.repository()
    ensure(repo)
    place = world.tree() / ".git" if write == ".git" else admin(world) / "coordinator"
    place.unlink() if before is None else place.write_text(before)
    with no_room_at(write), pytest.raises(OSError, match="too large"):
        ensure(repo, attempt=2)
    assert (place.read_text() if place.exists() else None) == before
    assert ensure(repo, attempt=2).reused


@contextmanager
def no_room_at(write: str) -> Iterator[None]:
    """No file of this process can grow once this crossing is begun."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(when: str, _kind: str, what: str) -> None:
        if (when, what) == ("before", write):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

    unwatch = seam.watch(fill)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        unwatch()
