"""What an attempt left of agents' configuration in a real worktree is not there for the next one, and is not lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.domain.cargo import Search
from coordinator.planning.protection import AGENTS
from tests.support.gitworld import World, commit, git, make_world

BRANCH = "rpi/gh-1"
HOOK = '{"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "evil"}]}]}}\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    (made.person / ".gemini").mkdir()
    commit(made.person, ".gemini/settings.json", "{}\n")
    commit(made.person, "CLAUDE.md", "Be kind.\n")
    commit(made.person, ".gitignore", "*.local.json\n")
    git(made.person, "push", "-q", "origin", "main")
    repo = made.repository()
    repo.fetch()
    repo.ensure_worktree("gh-1", BRANCH, "main", fresh=False, attempt=1)
    return made


def put_back(world: World) -> tuple[tuple[str, ...], str]:
    return world.repository().put_back("gh-1", 2)


def test_a_worktree_as_its_branch_has_it_is_left_alone(world: World) -> None:
    commit(world.tree(), "CLAUDE.md", "Be kind, and brief.\n")
    (world.tree() / "half.txt").write_text("half\n")
    assert put_back(world) == ((), "")
    assert (world.tree() / "half.txt").read_text() == "half\n"
    assert (world.tree() / "CLAUDE.md").read_text() == "Be kind, and brief.\n"


def test_what_was_changed_added_ignored_deleted_or_hidden_in_the_index_is_put_back_and_kept(world: World) -> None:
    tree = world.tree()
    (tree / ".gemini/settings.json").write_text(HOOK)
    git(tree, "update-index", "--skip-worktree", ".gemini/settings.json")
    (tree / "CLAUDE.md").unlink()
    (tree / ".claude").mkdir()
    (tree / ".claude/settings.local.json").write_text(HOOK)
    (tree / ".mcp.json").write_text(HOOK)
    git(tree, "add", "-N", ".mcp.json")
    (tree / ".codex").symlink_to("/etc")

    names, ref = put_back(world)

    assert names == (".claude/settings.local.json", ".codex", ".gemini/settings.json", ".mcp.json", "CLAUDE.md")
    assert (tree / ".gemini/settings.json").read_text() == "{}\n"
    assert (tree / "CLAUDE.md").read_text() == "Be kind.\n"
    assert not [name for name in (".codex", ".mcp.json", ".claude/settings.local.json") if (tree / name).exists()]
    for name in (".claude/settings.local.json", ".gemini/settings.json", ".mcp.json"):
        assert git(tree, "show", f"{ref}:{name}") == HOOK.strip()
    assert put_back(world) == ((), "")
    assert not git(tree, "status", "--porcelain", "--untracked-files=all", "--", ".gemini", "CLAUDE.md", ".mcp.json")


def test_a_link_in_the_place_of_a_folder_is_taken_away_and_nothing_behind_it(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "settings.json").write_text(HOOK)
    (world.tree() / ".gemini/settings.json").unlink()
    (world.tree() / ".gemini").rmdir()
    (world.tree() / ".gemini").symlink_to(outside)
    names, _ = put_back(world)
    assert names == (".gemini", ".gemini/settings.json")
    assert (world.tree() / ".gemini/settings.json").read_text() == "{}\n"
    assert (outside / "settings.json").read_text() == HOOK


def test_what_the_branch_itself_has_otherwise_than_the_base_is_told(world: World) -> None:
    repo = world.repository()
    repo.fetch()
    commit(world.tree(), ".gemini/settings.json", HOOK)
    head = commit(world.tree(), "other.txt", "x\n")
    git(world.tree(), "update-ref", "refs/remotes/origin/main", head)   # it would have us think that the base has it
    (world.checkout / ".git/info").mkdir(exist_ok=True)
    (world.checkout / ".git/info/grafts").write_text(f"{git(world.remote, 'rev-parse', 'main')} {head}\n")
    assert AGENTS.touched(repo.cargo(head, Search(scan=False))) == (".gemini/settings.json",)
    assert AGENTS.touched(repo.cargo(head, Search(allowed=(head,), scan=False))) == ()
    later = commit(world.tree(), "more.txt", "x\n")
    assert AGENTS.touched(repo.cargo(later, Search(allowed=(head,), scan=False))) == ()
    again = commit(world.tree(), ".gemini/settings.json", HOOK + "\n")
    assert AGENTS.touched(repo.cargo(again, Search(allowed=(head,), scan=False))) == (".gemini/settings.json",)


def test_what_the_base_changed_meanwhile_is_not_the_branch_s(world: World) -> None:
    head = commit(world.tree(), "work.txt", "x\n")
    commit(world.person, "CLAUDE.md", "Be kinder.\n")
    git(world.person, "push", "-q", "origin", "main")
    repo = world.repository()
    repo.fetch()
    assert AGENTS.touched(repo.cargo(head, Search(scan=False))) == ()
