"""What an agent leaves becomes commits and pushes: all of it, and nothing that is not work."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.ports import GitError, GitUnreachable, PushRefused
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)   # this host's operator may have a name of their own
    made = make_world(tmp_path)
    made.repository().ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    return made


def names(world: World) -> set[str]:
    return set(git(world.tree(), "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0"))


def test_notes_and_nested_repositories_are_never_committed(world: World) -> None:
    tree = world.tree()
    for name in ("STOP", "BLOCKED.md", "new\nline.txt", "über.txt", "-dash", ":(top)magic"):
        (tree / name).write_text("x\n")
    (tree / "sub").mkdir()
    (tree / "sub/STOP").write_text("a file of the project\n")
    git(tree, "init", "-q", "inner")
    commit(tree / "inner", "x", "x\n")
    git(tree, "add", "STOP", "inner")
    sha = world.repository().commit_all("gh-1", "WIP: Stopped by user")
    assert names(world) - {""} == {"file.txt", "new\nline.txt", "über.txt", "-dash", ":(top)magic", "sub/STOP"}
    assert git(tree, "log", "-1", "--format=%H %s %an") == f"{sha} WIP: Stopped by user Bot"


def test_committing_when_only_notes_changed_does_nothing(world: World) -> None:
    (world.tree() / "STOP").write_text("enough\n")
    assert world.repository().commit_all("gh-1", "x") is None


def sparse(tree: Path) -> None:
    git(tree, "sparse-checkout", "set", "elsewhere")
    (tree / "beyond").mkdir()
    (tree / "beyond/new.txt").write_text("new\n")


def careful_of_line_ends(tree: Path) -> None:
    git(tree, "config", "core.autocrlf", "input")
    git(tree, "config", "core.safecrlf", "true")
    (tree / "dos.txt").write_bytes(b"one\r\ntwo\n")


@pytest.mark.parametrize(("refusing", "path"), [(sparse, "beyond/new.txt"), (careful_of_line_ends, "dos.txt")])
def test_settings_that_make_git_refuse_files_keep_no_work_from_being_committed_or_rescued(
    world: World, refusing: Callable[[Path], None], path: str
) -> None:
    refusing(world.tree())
    ref = world.repository().rescue("gh-1", 1)
    assert path in git(world.checkout, "ls-tree", "-r", "--name-only", str(ref)).split()
    assert world.repository().commit_all("gh-1", "WIP")
    assert path in names(world)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_repository_without_a_commit(path: Path) -> None:
    path.mkdir()
    git(path, "init", "-q", ".")
    (path / "inner.txt").write_text("x\n")


def a_repository(path: Path) -> None:
    a_repository_without_a_commit(path)
    commit(path, "inner.txt", "y\n")


@pytest.mark.parametrize("put", [a_pipe, a_repository_without_a_commit, a_repository])
def test_what_no_commit_can_hold_stays_where_it_is_and_the_rest_is_kept(
    world: World, put: Callable[[Path], None]
) -> None:
    """Git adds nothing at all where one of the files is such."""
    tree, repo = world.tree(), world.repository()
    (tree / "file.txt").unlink()
    put(tree / "file.txt")
    assert repo.rescue("gh-1", 1) is None
    (tree / "work.txt").write_text("work\n")

    ref = repo.rescue("gh-1", 2)
    assert git(world.checkout, "ls-tree", "-r", "--name-only", str(ref)).split() == ["file.txt", "work.txt"]
    assert repo.commit_all("gh-1", "WIP")
    assert names(world) - {""} == {"file.txt", "work.txt"}
    assert git(tree, "ls-tree", "HEAD", "file.txt").startswith("100644 blob")
    left = repo.work("gh-1", BRANCH, "")
    assert left is not None
    assert [name.rstrip("/") for name in left.dirty] == ["file.txt"]
    noted = repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=2).notes
    assert any("git takes no commit of file.txt: it lies there uncommitted" in note for note in noted)


def test_a_file_that_cannot_be_read_keeps_no_other_from_being_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root nothing is unreadable: asked is the system, which says so of this one."""
    tree, known = world.tree(), os.access
    for name in ("closed.txt", "open.txt"):
        (tree / name).write_text("x\n")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed.txt" and known(path, mode))
    assert world.repository().commit_all("gh-1", "WIP")
    assert names(world) - {""} == {"file.txt", "open.txt"}


def test_the_repositorys_own_identity_signs_commits(world: World) -> None:
    git(world.checkout, "config", "user.name", "Ann")
    git(world.checkout, "config", "user.email", "ann@example.org")
    (world.tree() / "a").write_text("a")
    world.repository().commit_all("gh-1", "x")
    assert git(world.tree(), "log", "-1", "--format=%an <%ae>") == "Ann <ann@example.org>"


def test_nothing_is_committed_off_the_branch(world: World) -> None:
    git(world.tree(), "checkout", "-q", "--detach")
    (world.tree() / "a").write_text("a")
    with pytest.raises(GitError, match="is on no branch instead of rpi/gh-1"):
        world.repository().commit_all("gh-1", "x")


def test_work_tells_commits_dirt_push_and_branch(world: World) -> None:
    repo = world.repository()
    base = git(world.remote, "rev-parse", "main")
    head = commit(world.tree(), "a.txt", "a\n", "first")
    (world.tree() / "STOP").write_text("x")
    (world.tree() / "b.txt").write_text("b")
    seen = repo.work("gh-1", BRANCH, base)
    assert seen is not None
    assert (seen.commits, seen.dirty, seen.head_sha, seen.pushed, seen.branch_ok) == (1, ("b.txt",), head, False, True)
    repo.push(BRANCH, expect="")
    git(world.tree(), "checkout", "-q", "--detach")
    seen = repo.work("gh-1", BRANCH, base)
    assert seen is not None
    assert (seen.pushed, seen.branch_ok) == (True, False)
    assert repo.contains(head, BRANCH)
    assert not repo.contains("0" * 40, BRANCH)


def test_the_summary_is_oldest_first_with_one_line_a_file(world: World) -> None:
    base = git(world.remote, "rev-parse", "main")
    commit(world.tree(), "a.txt", "a\n", "first")
    commit(world.tree(), "file.txt", "b\n", "second")
    lines, files = world.repository().summary("gh-1", base)
    assert [line.split(" ", 1)[1] for line in lines] == ["first", "second"]
    assert files == ("A a.txt", "M file.txt")


def test_commits_on_a_branch_of_the_agents_own_come_home(world: World) -> None:
    repo, tree = world.repository(), world.tree()
    base = git(world.remote, "rev-parse", "main")
    commit(tree, "a.txt", "a\n", "on ours")
    git(tree, "switch", "-q", "-c", "feature")
    head = commit(tree, "b.txt", "b\n", "beside it")
    (tree / "c.txt").write_text("c\n")
    assert repo.take_home("gh-1", BRANCH)
    seen = repo.work("gh-1", BRANCH, base)
    assert seen is not None
    assert (seen.head_sha, seen.commits, seen.dirty, seen.branch_ok) == (head, 2, ("c.txt",), True)
    assert repo.push(BRANCH, expect="") == head
    assert repo.commit_all("gh-1", "WIP") is not None


def test_branches_that_went_apart_are_left_alone(world: World) -> None:
    repo, tree = world.repository(), world.tree()
    ours = commit(tree, "a.txt", "a\n", "on ours")
    git(tree, "switch", "-q", "-c", "feature", "HEAD~1")
    commit(tree, "b.txt", "b\n", "beside it")
    assert not repo.take_home("gh-1", BRANCH)
    assert git(tree, "rev-parse", BRANCH) == ours
    assert git(tree, "branch", "--show-current") == "feature"


def test_the_summary_shows_words_below_a_subject_that_would_close_an_issue(world: World) -> None:
    base = git(world.remote, "rev-parse", "main")
    commit(world.tree(), "a.txt", "a\n", "first\n\nFixes #99, see #5.\nAlso closes:\tacme/other#7\n")
    (line,), _ = world.repository().summary("gh-1", base)
    assert line.split(" ", 1)[1] == "first [Fixes #99, closes: acme/other#7]"


def test_a_rewritten_branch_is_forced_only_over_what_we_pushed_last(world: World) -> None:
    repo = world.repository()
    commit(world.tree(), "a.txt", "a\n")
    first = repo.push(BRANCH, expect="")
    git(world.tree(), "commit", "-q", "--amend", "-m", "better")
    with pytest.raises(PushRefused, match=r"non-fast-forward|fetch first"):
        repo.push(BRANCH, expect="")
    second = repo.push(BRANCH, expect=first)
    assert git(world.remote, "rev-parse", BRANCH) == second
    git(world.person, "fetch", "-q")
    git(world.person, "checkout", "-q", BRANCH)
    theirs = world.advance("hers.txt", BRANCH)
    git(world.tree(), "commit", "-q", "--amend", "-m", "best")
    with pytest.raises(PushRefused, match=r"stale info|fetch first"):
        repo.push(BRANCH, expect=second)
    assert git(world.remote, "rev-parse", BRANCH) == theirs


def test_a_push_carries_neither_tags_nor_other_branches(world: World) -> None:
    commit(world.tree(), "a.txt", "a\n")
    git(world.tree(), "tag", "-a", "-m", "x", "v1")
    git(world.checkout, "config", "push.followTags", "true")
    world.repository().push(BRANCH, expect="")
    there = git(world.remote, "for-each-ref", "--format=%(refname)").split()
    assert there == ["refs/heads/main", f"refs/heads/{BRANCH}"]


def test_a_protected_branchs_refusal_keeps_the_remotes_words(world: World) -> None:
    hook = world.remote / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'GH006: Protected branch update failed' >&2\nexit 1\n")
    hook.chmod(0o755)
    commit(world.tree(), "a.txt", "a\n")
    with pytest.raises(PushRefused, match=r"GH006: Protected branch[\s\S]*pre-receive hook declined"):
        world.repository().push(BRANCH, expect="")


def test_a_remote_that_is_not_there_is_unreachable(world: World) -> None:
    repo = world.repository()
    world.remote.rename(world.remote.with_name("moved"))
    for call in (repo.fetch, lambda: repo.push(BRANCH, expect="")):
        with pytest.raises(GitUnreachable):
            call()


def test_a_refused_connection_is_unreachable_and_shows_no_token(world: World) -> None:
    repo = world.repository(url="http://127.0.0.1:9/x.git", token=lambda: "ghp_" + "a" * 36)
    with pytest.raises(GitUnreachable) as caught:
        repo.fetch()
    assert "ghp_" not in caught.value.words


def test_a_vanished_remote_branch_is_pruned_and_one_below_its_name_arrives(world: World) -> None:
    world.advance("a", "topic")
    repo = world.repository()
    repo.fetch()
    git(world.person, "push", "-q", "origin", ":topic", "HEAD:refs/heads/topic/deep")
    repo.fetch()
    assert "refs/remotes/origin/topic/deep" in world.refs("refs/remotes/")
    assert "refs/remotes/origin/topic" not in world.refs("refs/remotes/")


def test_a_note_is_read_without_following_links_and_cut(world: World) -> None:
    repo, note = world.repository(), world.tree() / "BLOCKED.md"
    assert repo.note("gh-1", "BLOCKED.md") == ""
    note.symlink_to("/etc/passwd")
    assert repo.note("gh-1", "BLOCKED.md") == ""
    repo.forget_note("gh-1", "BLOCKED.md")
    os.mkfifo(note)
    assert repo.note("gh-1", "BLOCKED.md") == ""
    repo.forget_note("gh-1", "BLOCKED.md")
    note.mkdir()
    assert repo.note("gh-1", "BLOCKED.md") == ""
    note.rmdir()
    note.write_text("ü" * 9000)
    assert repo.note("gh-1", "BLOCKED.md") == "ü" * 4000
    with pytest.raises(GitError, match="is no note"):
        repo.note("gh-1", "../../.git/config")


@pytest.mark.req("X1")
def test_files_are_copied_where_absent_and_stay_out_of_commits(world: World) -> None:
    (world.checkout / ".env").write_text("KEY=1\n")
    repo = world.repository()
    assert repo.copy_into("gh-1", [".env", "file.txt", "missing"]) == (".env",)
    assert (world.tree() / ".env").read_text() == "KEY=1\n"
    assert repo.commit_all("gh-1", "x") is None
    (world.tree() / "out").symlink_to("/tmp")
    with pytest.raises(GitError, match="leads out"):
        repo.copy_into("gh-1", ["out/x"])


@pytest.mark.req("X1")
def test_a_hook_runs_in_the_worktree_and_tells_the_end_of_its_output(world: World) -> None:
    repo, env = world.repository(), {"PATH": os.environ["PATH"], "WHO": "me"}
    ok, said = repo.run_hook("gh-1", "pwd; echo $WHO", "after_create", timedelta(seconds=20), env)
    assert (ok, said) == (True, f"{world.tree().resolve()}\nme")
    line = "yes | head -c 9000; echo broken >&2; exit 3"
    ok, said = repo.run_hook("gh-1", line, "before_run", timedelta(seconds=20), env)
    assert (ok, len(said), said[-6:]) == (False, 2000, "broken")
    ok, said = repo.run_hook("gh-1", "sleep 60", "before_run", timedelta(milliseconds=200), env)
    assert not ok
    assert "no answer within 0.2 s" in said


def test_a_hook_that_leaves_a_service_running_is_over_when_it_ends_itself(world: World) -> None:
    began = time.monotonic()
    ok, said = world.repository().run_hook("gh-1", "setsid sleep 20 & echo $! > service; echo started", "after_create",
                                           timedelta(seconds=15), {"PATH": os.environ["PATH"]})
    took = time.monotonic() - began
    os.kill(int((world.tree() / "service").read_text()), signal.SIGKILL)
    assert (ok, said) == (True, "started")
    assert took < 10, "it was waited for until the service let go of the output"


def test_excludes_are_added_once_and_tracked_files_are_known(world: World) -> None:
    repo = world.repository()
    assert repo.exclude(["/trees/", "/logs/"]) == ("/trees/", "/logs/")
    assert repo.exclude(["/trees/", "/new"]) == ("/new",)
    assert (world.checkout / ".git/info/exclude").read_text().count("/trees/") == 1
    assert (repo.tracked("file.txt"), repo.tracked("tasks.md")) == (True, False)
