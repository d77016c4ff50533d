"""Clean-up never takes a path outside the root, nor work that is nowhere else."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coordinator.ports import GitError
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    return made


@pytest.mark.req("W15", "P59")
def test_removing_rescues_uncommitted_work_and_unpushed_commits(world: World) -> None:
    sha = commit(world.tree(), "done.txt", "done\n")
    (world.tree() / "half.txt").write_text("half\n")
    world.repository().remove_worktree("gh-1")
    assert not world.tree().exists()
    ref = "refs/coordinator/rescue/gh-1/removed"
    assert git(world.checkout, "show", f"{ref}:half.txt") == "half"
    assert git(world.checkout, "rev-parse", f"{ref}^") == sha
    assert git(world.checkout, "rev-parse", BRANCH) == sha


def test_a_worktree_with_what_no_commit_can_hold_is_not_removed_and_it_is_named(world: World) -> None:
    path = world.tree() / "file.txt"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(GitError, match=r"git takes no commit of file\.txt, and it is nowhere else: move it away"):
        world.repository().remove_worktree("gh-1")
    assert path.is_fifo()


@pytest.mark.req("P59")
def test_removing_what_is_clean_and_pushed_leaves_no_rescue(world: World) -> None:
    commit(world.tree(), "done.txt", "done\n")
    repo = world.repository()
    repo.push(BRANCH, expect="")
    repo.remove_worktree("gh-1")
    assert not world.refs()
    assert not world.tree().exists()


@pytest.mark.req("E17")
def test_a_worktree_removed_by_hand_is_accepted(world: World) -> None:
    git(world.checkout, "worktree", "remove", "trees/gh-1", "--force")
    repo = world.repository()
    assert repo.worktrees() == ()
    assert repo.work("gh-1", BRANCH, "") is None
    repo.remove_worktree("gh-1")
    assert not world.tree().exists()


@pytest.mark.req("E17")
def test_a_folder_deleted_by_hand_is_forgotten_by_git_too(world: World) -> None:
    shutil.rmtree(world.tree())
    world.repository().remove_worktree("gh-1")
    assert "gh-1" not in git(world.checkout, "worktree", "list")


@pytest.mark.req("W15")
def test_a_persons_folder_and_worktree_under_the_root_are_not_ours(world: World) -> None:
    (world.tree("notes")).mkdir()
    (world.tree("notes") / "a").write_text("a")
    git(world.checkout, "worktree", "add", "-q", "-b", "hers", "trees/hers")
    repo = world.repository()
    assert [found.task_id for found in repo.worktrees()] == ["gh-1"]
    with pytest.raises(GitError, match="no worktree of this repository: not removed"):
        repo.remove_worktree("notes")
    assert (world.tree("notes") / "a").exists()


@pytest.mark.req("W15")
def test_a_repository_inside_the_worktree_keeps_it_from_being_removed(world: World) -> None:
    git(world.tree(), "init", "-q", "inner")
    commit(world.tree() / "inner", "only-here.txt", "x\n")
    with pytest.raises(GitError, match="holds a repository of its own at inner/"):
        world.repository().remove_worktree("gh-1")
    assert (world.tree() / "inner/only-here.txt").exists()


@pytest.mark.req("P59")
def test_the_cleanup_sees_what_is_dirty_and_unpushed(world: World) -> None:
    repo = world.repository()
    commit(world.tree(), "done.txt", "done\n")
    (world.tree() / "STOP").write_text("enough")
    (one,) = repo.worktrees()
    assert (one.branch, one.registered, one.dirty, one.unpushed) == (BRANCH, True, False, 1)
    repo.push(BRANCH, expect="")
    (world.tree() / "half.txt").write_text("half\n")
    (one,) = repo.worktrees()
    assert (one.dirty, one.unpushed) == (True, 0)


def test_old_rescues_expire_but_not_those_of_kept_tasks(world: World) -> None:
    repo = world.repository()
    repo.ensure_worktree("gh-2", "rpi/gh-2", "main", fresh=False, attempt=1)
    for task in ("gh-1", "gh-2"):
        (world.tree(task) / "half.txt").write_text("half\n")
        repo.rescue(task, 1)
    (made, *_) = [at for _, at in repo.rescues()]
    assert repo.expire_rescues(made - timedelta(days=1)) == ()
    gone = repo.expire_rescues(datetime.now(UTC) + timedelta(days=1), keep=["gh-2"])
    assert gone == ("refs/coordinator/rescue/gh-1/1",)
    assert list(world.refs()) == ["refs/coordinator/rescue/gh-2/1"]


IDS = st.one_of(
    st.sampled_from(["gh-1", "..", ".", "../outside", "link", "notes", "/", "", "a/../../outside", ".git"]),
    st.text(max_size=20),
)
DEEDS = st.lists(st.sampled_from(["commit", "dirty", "push", "detach", "orphan", "link"]), max_size=5)


def do(world: World, deed: str, number: int, *, forgotten: bool) -> str:
    """One thing that happens to gh-1; what must not be lost by it is returned ("" for nothing). Once git's record of
    the worktree is gone (`forgotten`), nobody knows of a commit that no branch held: its files stay."""
    tree, text = world.tree(), f"work {number}\n"
    if not (tree / ".git").exists():
        return ""
    if deed == "dirty":
        (tree / f"dirty{number}").write_text(text)
        return git(world.checkout, "hash-object", str(tree / f"dirty{number}"))
    if deed == "orphan":
        shutil.rmtree(world.checkout / ".git/worktrees/gh-1", ignore_errors=True)
    elif not (world.checkout / ".git/worktrees/gh-1").exists():
        return ""
    elif deed == "commit":
        made = commit(tree, f"file{number}", text)
        held = git(world.checkout, "branch", "--contains", made, "--format=%(refname:short)")
        return git(tree, "rev-parse", f"HEAD:file{number}") if forgotten and BRANCH not in held.split() else made
    elif deed == "push":
        git(tree, "push", "-q", "-f", "origin", f"HEAD:refs/heads/{BRANCH}")
    elif deed == "detach":
        git(tree, "checkout", "-q", "--detach")
    elif deed == "link":
        (tree / f"link{number}").symlink_to(world.checkout.parent / "outside")
    return ""


@pytest.mark.timeout(240)
@pytest.mark.req("W15", "P59")
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(deeds=DEEDS, others=st.lists(IDS, max_size=3))
@example(deeds=["detach", "commit", "orphan"], others=[])
def test_no_clean_up_loses_work_or_leaves_the_root(deeds: list[str], others: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder))
        repo = world.repository()
        repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
        outside = world.checkout.parent / "outside"
        outside.mkdir()
        (outside / "precious").write_text("x")
        (world.tree("notes")).mkdir()
        (world.tree("notes") / "hers").write_text("x")
        world.tree("link").symlink_to(outside)
        made = [do(world, deed, at, forgotten="orphan" in deeds[at:]) for at, deed in enumerate(deeds)]
        for task in ["gh-1", *others]:
            try:
                repo.remove_worktree(task)
            except GitError:
                pass   # refused with words: nothing is removed then
        assert not world.tree().exists()
        assert (outside / "precious").exists()
        assert (world.tree("notes") / "hers").exists()
        assert git(world.checkout, "status", "--porcelain", "--untracked-files=no") == ""
        held = git(world.checkout, "rev-list", "--objects", "--all")
        assert [sha for sha in made if sha not in held] == []
