"""Whatever stands where a task's worktree should be: it is made, reused, repaired or refused, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from coordinator.adapters.git import registry
from coordinator.adapters.git.repository import GitRepository
from coordinator.adapters.system import doctor
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.checkout import Worktree
from coordinator.far import trees
from coordinator.ports import ForeignWorktree, GitError
from coordinator.worker import keeping
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.mark.parametrize(("version", "level"), [("2.34.1", "fail"), ("2.36.0", "warn"), ("2.38.0", "ok")])
def test_a_git_that_cannot_list_worktrees_as_we_ask_is_refused_by_the_doctor(version: str, level: str) -> None:
    class Host(SystemProbe):
        def run(self, argv: Sequence[str], **_: object) -> tuple[int, str, str]:
            return 0, f"git version {version}\n", ""

    assert doctor.git_version(Host({})).level == level


def ensure(repo: GitRepository, task: str = "gh-1", *, fresh: bool = False, attempt: int = 1,
           expect: str = "") -> Worktree:
    repo.fetch()
    return repo.ensure_worktree(task, f"rpi/{task}", "main", fresh=fresh, attempt=attempt, expect=expect)


def state(world: World) -> tuple[str, str]:
    return git(world.checkout, "status", "--porcelain", "--branch"), git(world.checkout, "rev-parse", "HEAD")


def begun(world: World) -> tuple[GitRepository, Worktree]:
    """A repository whose gh-1 has one commit and one uncommitted file."""
    repo = world.repository()
    made = ensure(repo)
    commit(world.tree(), "done.txt", "done\n")
    (world.tree() / "half.txt").write_text("half\n")
    return repo, made


def relatively(tree: Path) -> None:
    """Its two ends as git 2.48 writes them where worktree.useRelativePaths is set."""
    admin = Path((tree / ".git").read_text().removeprefix("gitdir: ").strip())
    (tree / ".git").write_text(f"gitdir: {os.path.relpath(admin, tree)}\n")
    (admin / "gitdir").write_text(f"{os.path.relpath(tree / '.git', admin)}\n")


def content(world: World, name: str, path: str) -> str:
    return git(world.checkout, "show", f"{name}:{path}")


@pytest.mark.req("E11", "E20", "E21", "E23")
def test_a_worktree_is_made_on_its_branch_and_listed_by_git(world: World) -> None:
    made = ensure(world.repository())
    assert made.path == world.checkout / "trees" / "gh-1"
    assert git(made.path, "branch", "--show-current") == BRANCH
    assert f"worktree {made.path.resolve()}\n" in git(world.checkout, "worktree", "list", "--porcelain") + "\n"
    assert (made.reused, made.notes) == (False, ())


@pytest.mark.req("E20", "E22", "P58")
def test_asking_again_reuses_the_worktree_with_its_uncommitted_work(world: World) -> None:
    repo, first = begun(world)
    again = ensure(repo, attempt=2)
    assert again.reused
    assert again.head_sha != first.head_sha
    assert (world.tree() / "half.txt").read_text() == "half\n"
    assert not world.refs()


@pytest.mark.req("P66")
def test_the_base_is_the_remotes_branch_not_the_local_head(world: World) -> None:
    commit(world.checkout, "private.txt", "local only\n")
    tip = world.advance()
    made = ensure(world.repository())
    assert made.base_sha == made.head_sha == tip
    assert not (made.path / "private.txt").exists()


def folder_gone(world: World) -> None:
    git(world.tree(), "add", "-A")
    git(world.tree(), "commit", "-q", "-m", "all")
    shutil.rmtree(world.tree())


def locked(world: World) -> None:
    git(world.checkout, "worktree", "lock", str(world.tree()))


def locked_and_gone(world: World) -> None:
    locked(world)
    folder_gone(world)


def moved_and_back_unknown(world: World) -> None:
    """git knows the worktree at a place that is gone."""
    git(world.checkout, "worktree", "move", str(world.tree()), str(world.checkout / "elsewhere"))
    (world.checkout / "elsewhere").rename(world.tree())


def git_file_lost(world: World) -> None:
    (world.tree() / ".git").unlink()


def removed_by_hand(world: World) -> None:
    git(world.tree(), "add", "-A")
    git(world.tree(), "commit", "-q", "-m", "all")
    git(world.checkout, "worktree", "remove", "trees/gh-1", "--force")


def dead_lock_files(world: World) -> None:
    for name in ("index.lock", "HEAD.lock"):
        (world.checkout / ".git/worktrees/gh-1" / name).touch()


@pytest.mark.req("P58", "E17")
@pytest.mark.parametrize(
    "meddle", [folder_gone, locked, locked_and_gone, moved_and_back_unknown, git_file_lost, removed_by_hand,
               dead_lock_files])
def test_work_on_the_branch_is_continued_whatever_happened_to_the_folder(
    world: World, meddle: Callable[[World], None]
) -> None:
    repo, _ = begun(world)
    meddle(world)
    ensure(repo, attempt=2)
    assert git(world.tree(), "branch", "--show-current") == BRANCH
    assert (world.tree() / "done.txt").read_text() == "done\n"
    assert (world.tree() / "half.txt").read_text() == "half\n"
    commit(world.tree(), "next.txt", "goes on\n")


def another_branch(world: World) -> None:
    git(world.tree(), "checkout", "-q", "-b", "side")
    commit(world.tree(), "side.txt", "side\n")


def detached(world: World) -> None:
    git(world.tree(), "checkout", "-q", "--detach")
    commit(world.tree(), "side.txt", "side\n")


def unborn(world: World) -> None:
    git(world.tree(), "checkout", "-q", "--orphan", "fresh-start")
    (world.tree() / "side.txt").write_text("side\n")


def mid_rebase(world: World) -> None:
    commit(world.tree(), "side.txt", "side\n")
    git(world.tree(), "rebase", "-q", "--exec", "false", "HEAD~1", ok=False)
    assert (world.checkout / ".git/worktrees/gh-1/rebase-merge").is_dir()


def mid_merge(world: World) -> None:
    git(world.tree(), "branch", "other", "HEAD~1")
    commit(world.tree(), "side.txt", "side\n")
    git(world.tree(), "add", "half.txt")
    git(world.tree(), "commit", "-q", "-m", "half")
    git(world.tree(), "checkout", "-q", "other")
    commit(world.tree(), "side.txt", "otherwise\n")
    git(world.tree(), "checkout", "-q", BRANCH)
    git(world.tree(), "merge", "-q", "other", ok=False)
    (world.tree() / "half.txt").write_text("half\n")
    (world.tree() / "side.txt").write_text("side\n")
    (world.tree() / "loose.txt").write_text("loose\n")


@pytest.mark.req("E22", "P58")
@pytest.mark.parametrize("meddle", [another_branch, detached, unborn, mid_rebase, mid_merge])
def test_a_worktree_off_its_branch_is_rescued_then_set_back(world: World, meddle: Callable[[World], None]) -> None:
    repo, _ = begun(world)
    meddle(world)
    made = ensure(repo, attempt=2)
    assert git(world.tree(), "symbolic-ref", "HEAD") == f"refs/heads/{BRANCH}"
    assert git(world.tree(), "status", "--porcelain") == ""
    assert (world.tree() / "done.txt").exists()
    ref = "refs/coordinator/rescue/gh-1/2"
    assert content(world, ref, "half.txt") == "half"
    assert content(world, ref, "side.txt") == "side"
    assert any(ref in note for note in made.notes)
    commit(world.tree(), "next.txt", "goes on\n")


@pytest.mark.req("E22")
def test_beginning_anew_rescues_commits_and_uncommitted_work_first(world: World) -> None:
    repo, first = begun(world)
    lost = git(world.tree(), "rev-parse", "HEAD")
    made = ensure(repo, fresh=True, attempt=2)
    assert made.head_sha == first.base_sha
    assert not (world.tree() / "half.txt").exists()
    ref = "refs/coordinator/rescue/gh-1/2"
    assert content(world, ref, "half.txt") == "half"
    assert git(world.checkout, "rev-parse", f"{ref}^") == lost


@pytest.mark.req("E22")
def test_beginning_anew_without_a_folder_rescues_the_branch_first(world: World) -> None:
    repo, first = begun(world)
    lost = git(world.tree(), "rev-parse", "HEAD")
    git(world.checkout, "worktree", "remove", "--force", "trees/gh-1")
    made = ensure(repo, fresh=True, attempt=2)
    assert made.head_sha == first.base_sha
    assert git(world.checkout, "rev-parse", "refs/coordinator/rescue/gh-1/2^") == lost


def test_a_second_rescue_of_one_attempt_never_replaces_the_first(world: World) -> None:
    repo, _ = begun(world)
    first = repo.rescue("gh-1", 1)
    (world.tree() / "half.txt").write_text("better\n")
    second = repo.rescue("gh-1", 1)
    assert first
    assert second
    assert (content(world, first, "half.txt"), content(world, second, "half.txt")) == ("half", "better")


def test_what_an_agent_removed_with_git_rm_is_rescued_and_committed_as_removed(world: World) -> None:
    repo = world.repository()
    repo.fetch()
    repo.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=1)
    git(world.tree(), "rm", "-q", "file.txt")
    (world.tree() / "other").write_text("kept")
    ref = repo.rescue("gh-1", 1)
    assert ref is not None
    assert git(world.checkout, "ls-tree", "--name-only", ref).split() == ["other"]
    assert repo.commit_all("gh-1", "WIP") is not None
    assert git(world.tree(), "ls-tree", "--name-only", "HEAD").split() == ["other"]


def test_a_rescue_touches_neither_files_nor_index(world: World) -> None:
    repo, _ = begun(world)
    (world.tree() / ".gitignore").write_text("secret\n")
    (world.tree() / "secret").write_text("x\n")
    git(world.tree(), "add", ".gitignore")
    before = git(world.tree(), "status", "--porcelain", "--ignored")
    index = (world.checkout / ".git/worktrees/gh-1/index").read_bytes()
    ref = repo.rescue("gh-1", 1)
    assert ref == "refs/coordinator/rescue/gh-1/1"
    assert git(world.tree(), "status", "--porcelain", "--ignored") == before
    assert (world.checkout / ".git/worktrees/gh-1/index").read_bytes() == index
    assert "secret" not in git(world.checkout, "ls-tree", "--name-only", ref).splitlines()


def test_a_folder_whose_records_git_lost_is_rescued_and_made_anew(world: World) -> None:
    repo, _ = begun(world)
    shutil.rmtree(world.checkout / ".git/worktrees/gh-1")
    made = ensure(repo, attempt=2)
    assert git(made.path, "branch", "--show-current") == BRANCH
    assert content(world, "refs/coordinator/rescue/gh-1/2", "half.txt") == "half"


@pytest.mark.req("E22", "P58")
def test_an_empty_folder_is_used(world: World) -> None:
    world.tree().mkdir(parents=True)
    assert git(ensure(world.repository()).path, "branch", "--show-current") == BRANCH


@pytest.mark.req("P58")
def test_a_foreign_folder_is_refused_and_untouched(world: World) -> None:
    world.tree().mkdir(parents=True)
    (world.tree() / "mine").write_text("mine\n")
    with pytest.raises(ForeignWorktree, match="no worktree of this repository: move it away"):
        ensure(world.repository())
    assert (world.tree() / "mine").read_text() == "mine\n"


def test_another_repository_in_the_folder_is_refused(world: World) -> None:
    world.tree().mkdir(parents=True)
    git(world.tree(), "init", "-q")
    with pytest.raises(ForeignWorktree):
        ensure(world.repository())


def test_a_copy_of_another_worktree_does_not_disturb_that_one(world: World) -> None:
    repo, _ = begun(world)
    shutil.copytree(world.tree(), world.tree("gh-2"))
    ensure(repo, "gh-2")
    assert git(world.tree(), "branch", "--show-current") == BRANCH
    assert git(world.tree("gh-2"), "branch", "--show-current") == "rpi/gh-2"


@pytest.mark.req("X3")
def test_our_branch_checked_out_by_a_person_is_refused_with_the_place_named(world: World, tmp_path: Path) -> None:
    git(world.checkout, "worktree", "add", "-q", "-b", BRANCH, str(tmp_path / "hers"))
    with pytest.raises(ForeignWorktree, match=f"checked out in {tmp_path / 'hers'}"):
        ensure(world.repository())


@pytest.mark.req("X3")
def test_our_branch_in_the_main_checkout_is_refused_with_the_place_named(world: World) -> None:
    git(world.checkout, "checkout", "-q", "-b", BRANCH)
    with pytest.raises(ForeignWorktree, match=r"checked out in .*checkout"):
        ensure(world.repository())


def test_a_remote_branch_of_ours_is_continued_with_what_a_person_added(world: World) -> None:
    repo, _ = begun(world)
    ours = repo.push(BRANCH, expect="")
    repo.remove_worktree("gh-1")
    git(world.checkout, "branch", "-D", BRANCH)
    git(world.person, "fetch", "-q")
    git(world.person, "checkout", "-q", BRANCH)
    theirs = world.advance("review.txt", BRANCH)
    made = ensure(repo, attempt=2, expect=ours)
    assert made.head_sha == theirs


def test_a_local_branch_is_forwarded_to_what_a_person_added(world: World) -> None:
    repo, _ = begun(world)
    ours = repo.push(BRANCH, expect="")
    repo.remove_worktree("gh-1")
    git(world.person, "fetch", "-q")
    git(world.person, "checkout", "-q", BRANCH)
    theirs = world.advance("review.txt", BRANCH)
    assert ensure(repo, attempt=2, expect=ours).head_sha == theirs


def test_a_remote_branch_we_never_pushed_is_refused(world: World) -> None:
    world.advance("hers.txt", BRANCH)
    with pytest.raises(ForeignWorktree, match="we never pushed it"):
        ensure(world.repository())


def test_a_remote_branch_rewritten_by_a_person_is_refused(world: World) -> None:
    repo, _ = begun(world)
    ours = repo.push(BRANCH, expect="")
    git(world.checkout, "worktree", "remove", "--force", "trees/gh-1")
    git(world.checkout, "branch", "-D", BRANCH)
    commit(world.person, "hers.txt", "hers\n")
    git(world.person, "push", "-q", "--force", "origin", f"HEAD:{BRANCH}")
    with pytest.raises(ForeignWorktree, match="does not contain"):
        ensure(repo, expect=ours)


@pytest.mark.req("X3")
def test_a_dirty_detached_main_checkout_stays_as_it_is(world: World) -> None:
    git(world.checkout, "checkout", "-q", "--detach", "HEAD~1")
    (world.checkout / "file.txt").write_text("mine\n")
    (world.checkout / "new.txt").write_text("mine\n")
    before = state(world)
    repo = world.repository()
    repo.exclude(["/trees/"])
    ensure(repo)
    assert state(world) == before


@pytest.mark.req("X3")
def test_a_shallow_clone_with_a_remote_called_upstream_works_to_the_push(tmp_path: Path) -> None:
    world = make_world(tmp_path, remote_name="upstream", depth=1)
    repo = world.repository(default_branch="")
    assert repo.default_branch() == "main"
    tip = world.advance()
    made = ensure(repo)
    commit(made.path, "a.txt", "a\n")
    repo.push(BRANCH, expect="")
    assert made.base_sha == tip
    assert git(world.remote, "rev-parse", BRANCH) == git(made.path, "rev-parse", "HEAD")


@pytest.mark.req("P58")
def test_a_worktree_root_behind_a_link_is_recognised(world: World, tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (world.checkout / "trees").symlink_to(tmp_path / "big")
    repo = world.repository()
    ensure(repo)
    assert ensure(repo).reused
    assert (tmp_path / "big" / "gh-1" / "file.txt").exists()


def test_a_link_in_the_worktrees_place_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    world.tree().parent.mkdir()
    world.tree().symlink_to(tmp_path / "precious")
    with pytest.raises(ForeignWorktree, match="is a link to"):
        ensure(world.repository())
    with pytest.raises(GitError):
        world.repository().remove_worktree("gh-1")
    assert list((tmp_path / "precious").iterdir()) == []


@pytest.mark.parametrize("task", ["../../etc", "/etc/passwd", "a/b", "..", ".git", "x" * 300, "a\nb", "über", "-rf",
                                  "a..b", "a.lock", "."])
def test_a_hostile_task_id_gives_a_safe_folder_below_the_root(world: World, task: str) -> None:
    repo = world.repository()
    repo.fetch()
    made = repo.ensure_worktree(task, "rpi/safe", "main", fresh=False, attempt=1)
    assert made.path.parent == world.checkout / "trees"
    assert made.path.name != task
    assert [found.task_id for found in repo.worktrees()] == [task]
    (made.path / "x").write_text("x")
    assert repo.rescue(task, 1) in world.refs()


@pytest.mark.parametrize("branch", ["--force", "a..b", "a b", "", "main", "x.lock", "@{-1}"])
def test_a_branch_git_would_not_take_is_refused(world: World, branch: str) -> None:
    repo = world.repository()
    with pytest.raises(GitError):
        repo.ensure_worktree("gh-1", branch, "main", fresh=False, attempt=1)
    assert not world.tree().exists()


def test_a_lock_that_a_living_process_holds_is_left_alone(world: World) -> None:
    repo, _ = begun(world)
    lock = world.checkout / ".git/worktrees/gh-1/index.lock"
    lock.touch()
    held = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], cwd=world.tree(),
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert held.stdout is not None
        held.stdout.readline()
        with pytest.raises(GitError, match=f"process {held.pid} works in"):
            ensure(repo)
        assert lock.exists()
    finally:
        held.communicate(b"\n")


def test_a_worktree_git_never_finished_is_made_anew(world: World) -> None:
    repo, _ = begun(world)
    (world.checkout / ".git/worktrees/gh-1/locked").write_text("initializing\n")
    made = ensure(repo)
    assert not made.reused
    assert git(made.path, "status", "--porcelain") == ""


def test_an_environment_that_redirects_git_is_not_followed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(world.person / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", os.fspath(world.person))
    ensure(world.repository())
    assert "gh-1" not in git(world.person, "branch", "--list")


@pytest.mark.parametrize(("half", "behind"), [("mine.txt", False), ("hers.txt", True)])
def test_a_standing_worktree_takes_up_a_persons_commits_and_keeps_what_is_uncommitted(
    world: World, half: str, behind: bool
) -> None:
    repo = world.repository()
    ensure(repo)
    commit(world.tree(), "done.txt", "done\n")
    ours = repo.push(BRANCH, expect="")
    git(world.person, "fetch", "-q", "origin")
    git(world.person, "checkout", "-q", "-B", "hers", f"origin/{BRANCH}")
    theirs = world.advance("hers.txt", BRANCH)
    (world.tree() / half).write_text("half\n")
    repo.fetch()

    again = repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=2, expect=ours)

    assert again.head_sha == (ours if behind else theirs)
    assert any(("stays behind" if behind else "moved on") in note for note in again.notes)
    assert (world.tree() / half).read_text() == "half\n"


@pytest.mark.parametrize("where", ["here", "on the remote"])
def test_a_branch_that_is_named_as_ours_begins_is_named_before_anything_is_made(world: World, where: str) -> None:
    repo = world.repository()
    if where == "here":
        git(world.checkout, "branch", "rpi")
    else:
        git(world.person, "push", "-q", "origin", "HEAD:refs/heads/rpi")
    repo.fetch()
    assert repo.crowded(BRANCH) == (("rpi", "") if where == "here" else ("", "rpi"))
    with pytest.raises(ForeignWorktree, match=f"a branch rpi is {where}, and git makes no rpi/gh-1 beside it"):
        ensure(repo)
    assert not world.tree().exists()


def test_a_branch_without_a_folder_is_crowded_by_none(world: World) -> None:
    assert world.repository().crowded("feature-x") == ("", "")


def test_a_worktree_that_git_linked_by_relative_paths_is_known_and_its_work_kept(world: World) -> None:
    repo, made = begun(world)
    relatively(made.path)
    assert [(one.task_id, one.registered, one.dirty) for one in repo.worktrees()] == [("gh-1", True, True)]
    work = repo.work("gh-1", BRANCH, made.base_sha)
    assert work is not None
    assert (work.commits, work.dirty) == (1, ("half.txt",))
    assert keeping.place_of(str(made.path)) == str(world.checkout / ".git/worktrees/gh-1")
    assert trees._admin(str(world.checkout / ".git"), str(made.path)) == str(world.checkout / ".git/worktrees/gh-1")
    assert repo.rescue("gh-1", 1) in world.refs()
    made.path.rename(made.path.with_name("moved"))
    assert registry.repairable(made.path.with_name("moved"))
