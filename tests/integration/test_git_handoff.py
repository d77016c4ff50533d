"""What stages hand on in a real worktree: kept out of commits, put back, read without following a link."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coordinator.adapters.git.handoff import LONGEST, MOST_FILES
from coordinator.adapters.git.repository import GitRepository
from coordinator.domain.workflow import HANDOFF
from coordinator.ports import GitError
from tests.support.gitworld import World, git, make_world

PLAN = f"{HANDOFF}/PLAN.md"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def repo(world: World) -> GitRepository:
    made = world.repository()
    made.fetch()
    made.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=1)
    return made


def test_what_is_handed_on_is_no_work_and_in_no_commit(world: World, repo: GitRepository) -> None:
    repo.hand("gh-1", {PLAN: "By a gear.\n"}, ())
    (world.tree() / HANDOFF / "notes.md").write_text("more")
    work = repo.work("gh-1", "rpi/gh-1", git(world.tree(), "rev-parse", "HEAD"))
    assert work is not None
    assert work.dirty == ()
    git(world.tree(), "add", "-A")
    assert git(world.tree(), "status", "--porcelain") == ""
    assert repo.commit_all("gh-1", "all") is None
    assert repo.left("gh-1", [PLAN])[PLAN] == ((PLAN, "By a gear.\n"),)


def test_an_earlier_rounds_file_goes_and_what_an_agent_changed_is_put_back(world: World, repo: GitRepository) -> None:
    repo.hand("gh-1", {PLAN: "By a gear."}, ())
    (world.tree() / PLAN).write_text("By hand.")
    (world.tree() / HANDOFF / "REVIEW.md").write_text("VERDICT: approved")
    (world.tree() / "README.md").write_text("mine")
    repo.hand("gh-1", {PLAN: "By a gear."}, [f"{HANDOFF}/*.md", "README.md"])
    assert sorted(one.name for one in (world.tree() / HANDOFF).iterdir()) == ["PLAN.md"]
    assert (world.tree() / PLAN).read_text() == "By a gear."
    assert (world.tree() / "README.md").read_text() == "mine"


def test_no_link_is_read_written_or_removed_through(world: World, repo: GitRepository, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "PLAN.md").write_text("a secret")
    (world.tree() / ".coordinator").mkdir()
    (world.tree() / HANDOFF).symlink_to(outside)
    (world.tree() / "plan.md").symlink_to(outside / "PLAN.md")
    os.mkfifo(world.tree() / "pipe.md")
    patterns = [PLAN, "plan.md", "**/*.md", "pipe.md"]
    assert [repo.left("gh-1", patterns)[one] for one in (PLAN, "plan.md", "pipe.md")] == [(), (), ()]
    repo.hand("gh-1", {PLAN: "By a gear.", "../../out.md": "no", "src/x.md": "no"}, [PLAN])
    assert (outside / "PLAN.md").read_text() == "a secret"
    assert not (world.tree() / HANDOFF).is_symlink()
    assert (world.tree() / PLAN).read_text() == "By a gear."
    assert not (world.tree() / "src" / "x.md").exists()
    assert not (world.tree().parent.parent / "out.md").exists()


def test_patterns_find_files_in_order_and_not_without_end(world: World, repo: GitRepository) -> None:
    folder = world.tree() / "docs" / "deep"
    folder.mkdir(parents=True)
    for number in range(MOST_FILES + 5):
        (folder / f"{number:02d}.md").write_text("x" * (LONGEST + 10))
    (folder / "99.bin").write_bytes(b"\xff\x00")
    found = repo.left("gh-1", ["docs/**/*.md", "docs", "docs/**/*.bin"])
    assert [name for name, _ in found["docs/**/*.md"]] == [f"docs/deep/{at:02d}.md" for at in range(MOST_FILES)]
    assert {len(text) for _, text in found["docs/**/*.md"]} == {LONGEST}
    assert found["docs"] == ()
    assert found["docs/**/*.bin"] == (("docs/deep/99.bin", "\ufffd\x00"),)


def test_a_worktree_that_went_is_said(repo: GitRepository) -> None:
    repo.remove_worktree("gh-1")
    with pytest.raises(GitError, match="is no worktree any more"):
        repo.left("gh-1", [PLAN])
