"""Tasks of a plan come together on the plan's branch: real git, no worktree of the branch, nothing run from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from coordinator.adapters.git.folder import agents_folder
from coordinator.adapters.git.repository import GitRepository
from coordinator.ports import ForeignWorktree, GitError, MergeConflict
from tests.support.gitworld import World, commit, git, make_world

FEATURE = "feature-auth"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return make_world(tmp_path)


def repository(world: World) -> GitRepository:
    return world.repository(worktree_root=str(world.checkout.parent / "agents"), leaf="checkout")


def begun(world: World, task: str) -> tuple[GitRepository, Path]:
    repo = repository(world)
    repo.feature(FEATURE, "main")
    tree = repo.ensure_worktree(task, f"rpi/{task}", "main", fresh=False, attempt=1, onto=FEATURE)
    return repo, tree.path


def test_a_tasks_worktree_lies_below_its_own_folder_under_the_name_of_the_repository(world: World) -> None:
    _, tree = begun(world, "plan-auth-t1")
    assert tree == world.checkout.parent / "agents" / "plan-auth-t1" / "checkout"
    assert git(tree, "branch", "--show-current") == "rpi/plan-auth-t1"


def test_what_is_merged_is_a_merge_commit_and_is_what_the_next_task_begins_with(world: World) -> None:
    repo, first = begun(world, "plan-auth-t1")
    head = commit(first, "one.txt", "1\n")
    sha = repo.merge(FEATURE, head, "Merge T1\n\nPlan: auth\n")
    assert git(world.checkout, "rev-list", "--parents", "-1", sha).split()[2] == head
    assert git(world.checkout, "log", "-1", "--format=%an %B", sha) == "Bot Merge T1\n\nPlan: auth"
    _, second = begun(world, "plan-auth-t2")
    assert (second / "one.txt").read_text() == "1\n"
    assert not (world.checkout / "one.txt").exists()


def test_what_is_merged_already_is_not_merged_again(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    head = commit(tree, "one.txt", "1\n")
    assert repo.merge(FEATURE, head, "Merge T1") == repo.merge(FEATURE, head, "Merge T1")
    assert git(world.checkout, "rev-list", "--count", "--merges", FEATURE) == "1"


def test_a_conflict_names_its_files_and_changes_nothing(world: World) -> None:
    repo, first = begun(world, "plan-auth-t1")
    _, second = begun(world, "plan-auth-t2")
    repo.merge(FEATURE, commit(first, "file.txt", "one\n"), "Merge T1")
    before = git(world.checkout, "rev-parse", FEATURE)
    with pytest.raises(MergeConflict, match=r"feature-auth change the same lines of file\.txt") as told:
        repo.merge(FEATURE, commit(second, "file.txt", "two\n"), "Merge T2")
    assert told.value.files == ("file.txt",)
    assert git(world.checkout, "rev-parse", FEATURE) == before


def test_a_plans_branch_that_somebody_has_checked_out_is_left_alone(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    head = commit(tree, "one.txt", "1\n")
    git(world.checkout, "checkout", "-q", FEATURE)
    for act in (lambda: repo.merge(FEATURE, head, "Merge T1"), lambda: repo.feature(FEATURE, "main")):
        with pytest.raises(ForeignWorktree, match=r"checked out in .*switch --detach"):
            act()
    assert git(world.checkout, "status", "--porcelain") == ""


def test_a_plans_branch_is_taken_from_the_remote_where_it_went_on_elsewhere(world: World) -> None:
    sha = world.advance("elsewhere.txt", FEATURE)
    repo = repository(world)
    repo.fetch()
    assert repo.feature(FEATURE, "main") == sha


def test_the_branch_of_a_plan_that_was_merged_moves_up_to_the_base(world: World) -> None:
    repo = repository(world)
    old = repo.feature(FEATURE, "main")
    new = world.advance()
    repo.fetch()
    assert old != new == repo.feature(FEATURE, "main") == git(world.checkout, "rev-parse", FEATURE)


def test_a_branch_that_is_gone_is_said_and_not_made_anew(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    head = commit(tree, "one.txt", "1\n")
    git(world.checkout, "branch", "-D", FEATURE)
    with pytest.raises(GitError, match=r"feature-auth is gone.*git branch feature-auth"):
        repo.merge(FEATURE, head, "Merge T1")


def test_a_branch_that_is_gone_is_made_again_with_all_that_was_merged(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    last = repo.merge(FEATURE, commit(tree, "one.txt", "1\n"), "Merge T1")
    git(world.checkout, "branch", "-D", FEATURE)
    assert repo.feature(FEATURE, "main", last) == last
    git(world.checkout, "branch", "-D", FEATURE)
    with pytest.raises(GitError):
        repo.feature(FEATURE, "main", "0123456789" * 4)


def test_a_survey_counts_what_the_commits_hold_and_nothing_of_others(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    base = git(tree, "rev-parse", "HEAD")
    first = commit(tree, "one\ntwo.txt", "1\n2\n", "first\n\nFeature-Key: bd-1\n")
    head = commit(tree, "file.txt", "gone\n", "second")
    world.advance()
    found = repo.survey(base, head)
    assert found.files == ("file.txt", "one\ntwo.txt")
    assert found.lines == 4
    assert found.messages == ((head, "second"), (first, "first\n\nFeature-Key: bd-1"))
    assert repo.log(base, head) == (f"{first[:8]} first", f"{head[:8]} second")


def test_what_an_agent_merged_of_the_plans_branch_is_not_its_own_work(world: World) -> None:
    repo, one = begun(world, "plan-auth-t1")
    _, two = begun(world, "plan-auth-t2")
    base = git(two, "rev-parse", "HEAD")
    repo.merge(FEATURE, commit(one, "a.txt", "1\n"), "Merge T1")
    own = commit(two, "b.txt", "2\n", "second")
    git(two, "merge", "-q", "--no-edit", FEATURE)
    head = git(two, "rev-parse", "HEAD")
    assert repo.survey(base, head).files == ("a.txt", "b.txt")
    found = repo.survey(base, head, FEATURE)
    assert (found.files, found.messages) == (("b.txt",), ((own, "second"),))
    repo.merge(FEATURE, head, "Merge T2")
    assert repo.survey(base, head, FEATURE).files == ("a.txt", "b.txt")   # found merged after a crash: not empty


def test_a_git_that_is_too_old_to_merge_is_said(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, tree = begun(world, "plan-auth-t1")
    head = commit(tree, "a.txt", "1\n")
    old = tmp_path / "old" / "git"
    old.parent.mkdir()
    old.write_text(f'#!/bin/sh\ncase "$*" in *merge-tree*) echo usage >&2; exit 129;; esac\n'
                   f'exec {shutil.which("git")} "$@"\n')
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}:{os.environ['PATH']}")
    with pytest.raises(GitError, match=r"install git 2\.38 or newer"):
        repository(world).merge(FEATURE, head, "Merge T1")


def test_a_plans_branch_that_an_agent_moved_back_is_not_built_on_and_the_cure_puts_it_back(world: World) -> None:
    repo, tree = begun(world, "plan-auth-t1")
    last = repo.merge(FEATURE, commit(tree, "one.txt", "1\n"), "Merge T1")
    onward = git(world.checkout, "commit-tree", "-m", "x", "-p", last, f"{last}^{{tree}}")
    git(world.checkout, "branch", "-f", FEATURE, onward)
    assert repo.feature(FEATURE, "main", last) == onward   # it went on from there: nothing is lost
    for moved in ("main", git(world.checkout, "commit-tree", "-m", "x", "HEAD^{tree}")):
        git(world.checkout, "branch", "-f", FEATURE, moved)
        with pytest.raises(ForeignWorktree, match="no longer holds") as told:
            repo.feature(FEATURE, "main", last)
    cure = str(told.value).rpartition("with: git ")[2].split()
    git(world.checkout, *cure)
    assert repo.feature(FEATURE, "main", last) == last


def test_a_merge_driver_that_an_agent_configured_is_not_run(world: World, tmp_path: Path) -> None:
    repo, first = begun(world, "plan-auth-t1")
    _, second = begun(world, "plan-auth-t2")
    ran = tmp_path / "ran"
    git(world.checkout, "config", "merge.evil.driver", f"touch {ran}")
    (world.checkout / ".git" / "info" / "attributes").write_text("* merge=evil\n")
    repo.merge(FEATURE, commit(first, "file.txt", "one\n"), "Merge T1")
    with pytest.raises(GitError):
        repo.merge(FEATURE, commit(second, "file.txt", "two\n"), "Merge T2")
    assert not ran.exists()


def test_a_removed_worktree_takes_its_empty_folder_along_and_leaves_a_persons_files(world: World) -> None:
    repo, first = begun(world, "plan-auth-t1")
    _, second = begun(world, "plan-auth-t2")
    (second.parent / "notes.txt").write_text("mine\n")
    repo.remove_worktree("plan-auth-t1")
    repo.remove_worktree("plan-auth-t2")
    assert not first.parent.exists()
    assert [one.name for one in second.parent.iterdir()] == ["notes.txt"]


def test_the_folder_of_worktrees_is_for_its_owner_alone(tmp_path: Path) -> None:
    made = agents_folder(str(tmp_path / "agents"))
    assert made.stat().st_mode & 0o777 == 0o700
    assert agents_folder(str(tmp_path / "agents")) == made


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_of_worktrees_that_is_a_link_is_not_followed(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "elsewhere").mkdir()
    (tmp_path / "agents").symlink_to(tmp_path / "elsewhere")
    assert agents_folder(str(tmp_path / "agents")) == tmp_path / f"agents-{os.geteuid()}"
