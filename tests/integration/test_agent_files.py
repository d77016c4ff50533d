"""What an attempt left of agents' configuration in a real worktree is not there for the next one, and is not lost."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from coordinator.domain.cargo import Search
from coordinator.planning.protection import AGENTS
from coordinator.ports import GitError
from tests.support import ordinary
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


def test_what_no_git_can_keep_is_taken_away_and_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = world.tree()
    (tree / "CLAUDE.md").unlink()
    os.mkfifo(tree / "CLAUDE.md")
    (tree / ".claude").mkdir()
    os.mkfifo(tree / ".claude/settings.json")
    monkeypatch.chdir(tree)   # a socket's address has room for some 100 letters
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(".mcp.json")
    assert put_back(world) == ((".claude/settings.json", ".mcp.json", "CLAUDE.md"), "")
    assert (tree / "CLAUDE.md").read_text() == "Be kind.\n"
    assert not (tree / ".mcp.json").exists()


def test_a_file_of_terabytes_is_not_read_and_a_person_is_told(world: World) -> None:
    for name in ("CLAUDE.md", ".gemini/large"):
        (world.tree() / name).touch()
        os.truncate(world.tree() / name, 1 << 40)
        with pytest.raises(GitError, match=f"{name} has 1099511627776 bytes.* delete it"):
            put_back(world)
        (world.tree() / name).unlink()


@pytest.mark.parametrize("deep", [1200, 2200])
def test_folders_in_folders_without_end_end_no_coordinator(world: World, deep: int) -> None:
    """The deeper ones are out of reach for any program that goes by names."""
    here = os.open(world.tree(), os.O_RDONLY)
    for name in (".codex", *"d" * deep):
        os.mkdir(name, dir_fd=here)
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    try:
        if deep * 2 < os.pathconf("/", "PC_PATH_MAX") - 1000:
            assert put_back(world)[0] == (".codex/" + "d/" * deep + "f",)
        else:
            with pytest.raises(GitError, match=r"\.codex/d/.*File name too long.*Delete it there"):
                put_back(world)
    finally:
        subprocess.run(["rm", "-rf", str(world.tree() / ".codex")], check=True)


def test_line_ends_that_a_checkout_wrote_are_no_change(world: World) -> None:
    text = "Be kind.\r\n" * 200_000
    commit(world.tree(), "AGENTS.md", text.replace("\r\n", "\n"))
    (world.tree() / "AGENTS.md").write_bytes(text.encode())
    assert put_back(world) == ((), "")
    (world.tree() / "AGENTS.md").write_bytes(text.replace("kind", "evil").encode())
    assert put_back(world)[0] == ("AGENTS.md",)


CLOSED = """
import os, sys
sys.path.insert(0, os.environ["CHECKOUT"])
from pathlib import Path
from coordinator.ports import GitError
from tests.support.gitworld import make_world
world = make_world(Path(sys.argv[1]))
repo = world.repository()
repo.fetch()
repo.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=1)
hook, folder = world.checkout / ".git/hooks/pre-push", world.tree() / ".claude"
before = repo.planted("gh-1")
hook.parent.mkdir(exist_ok=True)
hook.write_text("#!/bin/sh")
hook.chmod(0)
planted = repo.planted("gh-1")
print([name for name in planted if name not in before], repo.planted("gh-1") == planted)
hook.parent.chmod(0)
print([name for name in repo.planted("gh-1") if name not in before])
hook.parent.chmod(0o700)
folder.mkdir()
(folder / "settings.json").write_text("{}")
folder.chmod(0)
try:
    print(repo.put_back("gh-1", 2))
except GitError as error:
    print(error.words)
"""


def test_what_is_closed_to_us_is_told_and_stops_no_look() -> None:
    with ordinary.a_home() as folder:
        ordinary.give(folder)
        ran = subprocess.run(
            [ordinary.python(), "-c", CLOSED, str(folder)], capture_output=True, text=True, check=False, cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": ordinary.paths(),
                 "CHECKOUT": str(ordinary.CHECKOUT)}, **ordinary.as_user())  # fmt: skip
    said = ran.stdout.splitlines()
    assert said[:2] == ["['.git/hooks/pre-push'] True", "['.git/hooks']"], ran.stderr
    assert said[2].endswith("cannot be put back: .claude: Permission denied. Delete it there, then try again")


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
