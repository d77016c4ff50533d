"""Patterns of paths, which changed files are protected, and what a person's word lets pass."""

from __future__ import annotations

import pytest

from coordinator.config import load
from coordinator.domain.cargo import Cargo, Spotted
from coordinator.domain.patterns import matches
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState
from coordinator.engine.effects import guarding
from coordinator.planning.actions import Answer, Move, Push
from coordinator.planning.plan import plan
from coordinator.planning.protection import Protection, cleared
from coordinator.ports import HeldBack
from coordinator.wording.warnings import warnings
from tests.factories import a_request, a_snapshot, a_task, an_attempt
from tests.support.fakes import an_outside

USUAL = Protection(tuple(load(None, {}).protect.paths))
ALLOW = a_request(RequestKind.RETRY, allow="1")


@pytest.mark.parametrize(("path", "pattern"), [
    ("CLAUDE.md", "CLAUDE.md"), ("a/b/claude.MD", "CLAUDE.md"), (".github/workflows/ci.yml", ".github/workflows/**"),
    (".github/workflows/a/b", ".github/workflows/**"), (".github", ".github/workflows/**"), (".GitHub/Workflows/x",
    ".github/workflows/**"), (".github/workflows", ".github/workflows/**"), ("sub/.claude/settings.json", ".claude/"),
    (".claude", ".claude/"), ("/x"[1:], "/x"), ("a/x/c", "a/*/c"), ("a/c", "a/**/c"), ("a/b/d/c", "a/**/c"),
    ("opencode.json", "opencode.jso?"), ("a\nb", "a*b"), ("a[1]+(x)", "a[1]+(x)"),
])  # fmt: skip
def test_a_pattern_names_a_path(path: str, pattern: str) -> None:
    assert matches(path, pattern)


@pytest.mark.parametrize(("path", "pattern"), [
    ("CLAUDE.md.txt", "CLAUDE.md"), ("myCLAUDE.md", "CLAUDE.md"), ("a/x", "/x"), ("a/b/x/c", "a/*/c"),
    ("src/.github/workflows/ci.yml", ".github/workflows/**"), (".githubx", ".github/workflows/**"),
    ("abc", "a.c"), ("workflows", ".github/workflows/**"), ("src", "*/x"),
])  # fmt: skip
def test_and_no_other(path: str, pattern: str) -> None:
    assert not matches(path, pattern)


@pytest.mark.parametrize("path", [
    ".github/workflows/deploy.yml", ".github/actions/x/action.yml", "CODEOWNERS", ".github/CODEOWNERS",
    "docs/CODEOWNERS", ".claude/settings.json", ".claude/hooks/a.sh", ".mcp.json", "CLAUDE.md", "pkg/AGENTS.md",
    ".gemini/settings.json", "GEMINI.md", ".codex/config.toml", "opencode.jsonc", ".opencode/plugin/x.ts",
    ".gitattributes", ".gitmodules", ".secrets-allowed", ".claude", ".github",
])  # fmt: skip
def test_what_is_protected_without_a_word(path: str) -> None:
    assert USUAL.touched(Cargo(files=("README.md", path))) == (path,)


def test_what_a_protected_link_leads_to_is_protected_with_it_and_nothing_above_the_repository() -> None:
    links = (("CLAUDE.md", "docs/agents.md"), (".claude", "tools/claude"), ("x", "README.md"), ("AGENTS.md", "../.."))
    cargo = Cargo(files=("docs/agents.md", "tools/claude/hooks/a.sh", "README.md"), links=links)
    assert USUAL.touched(cargo) == ("docs/agents.md", "tools/claude/hooks/a.sh")
    assert Protection(USUAL.paths, "off").touched(cargo) == ()


@pytest.mark.parametrize("reason", ["secret_found", "not_scanned", "protected_path", "submodule_commit", "lfs_objects"])
def test_a_person_s_word_publishes_what_was_held_back_and_counts_for_that_commit(reason: str) -> None:
    task, attempt = a_task(1, TaskState.BLOCKED, reason=reason), an_attempt(head_sha="abc", commits=1)
    made = plan(a_snapshot(task, attempts={"gh-1": (attempt,)}, requests=(ALLOW,)))
    [move] = [one for one in made.actions if isinstance(one, Move)]
    assert (move.to, move.request) == (TaskState.PUBLISHING, ALLOW)
    assert move.changes["cleared"] == (f"{reason}:abc",)
    assert move.detail == f"a person let {reason} pass at abc (cli)"


@pytest.mark.parametrize(("state", "reason"), [
    (TaskState.BLOCKED, "max_retries"), (TaskState.BLOCKED, "needs_human"), (TaskState.CANCELLED, "manual_stop"),
    (TaskState.QUEUED, ""), (TaskState.RUNNING, ""), (TaskState.DONE, "merged"),
])  # fmt: skip
def test_where_nothing_is_held_back_there_is_nothing_to_allow(state: TaskState, reason: str) -> None:
    attempts = {"gh-1": (an_attempt(head_sha="abc"),)}
    made = plan(a_snapshot(a_task(1, state, reason=reason), attempts=attempts, requests=(ALLOW,)))
    [answer] = [one for one in made.actions if isinstance(one, Answer)]
    assert answer.words == "nothing of gh-1 is held back: there is nothing to allow"


def test_kept_work_that_is_held_back_is_not_pushed_until_a_person_lets_it() -> None:
    attempts = {"gh-1": (an_attempt(head_sha="abc", commits=1),)}
    task = a_task(1, TaskState.CANCELLED, reason="manual_stop", withheld="secret_found: a line 1")
    assert not [one for one in plan(a_snapshot(task, attempts=attempts)).actions if isinstance(one, Push)]
    [move] = [one for one in plan(a_snapshot(task, attempts=attempts, requests=(ALLOW,))).actions
              if isinstance(one, Move)]
    assert (move.to, dict(move.changes)) == (None, {"cleared": ("secret_found:abc",), "withheld": ""})


def test_which_commits_were_let_pass_is_told_by_the_reason() -> None:
    task = a_task(1, cleared=("secret_found:a", "protected_path:b", "not_scanned:c"))
    assert (cleared(task, "secret_found", "not_scanned"), cleared(task, "protected_path")) == (("a", "c"), ("b",))


def test_a_reviewer_is_told_of_places_and_long_lists_are_cut() -> None:
    doubts = tuple(Spotted(f"f{n}`x`.py", n, "Hex High Entropy String", "c" * 40) for n in range(14))
    links = (("out", "../x"), ("in", "README.md"), ("old", "/etc"))
    cargo = Cargo(doubts=doubts, links=links, files=("out", "in"))
    touched, let = [f"d{n}" for n in range(12)], ["a:" + "b" * 40]
    first, second, third, fourth, last = warnings(cargo, touched, "x in .git/config", let)
    assert third == "**Links out of the repository**: `out`."
    assert "`x in .git/config`" in fourth
    assert last == f"**A person let pass**: `a at {'b' * 40}`."
    assert first.endswith("`d9` and 2 more.")
    assert "f3" in second
    assert second.endswith("and 4 more.")
    assert warnings(Cargo(), ()) == ()


def test_a_submodule_s_commit_that_nobody_else_has_is_held_back_until_a_person_lets_it_pass() -> None:
    cargo = Cargo("h", files=("libs/x",), modules=(("libs/x", "a" * 40),), only_here=(("libs/x", "a" * 40),))
    world = an_outside().world()
    with pytest.raises(HeldBack, match="libs/x at aaaaaaaaaaaa") as caught:
        guarding.passing(world, [a_task(1)])(cargo)
    assert caught.value.reason == "submodule_commit"
    guarding.passing(world, [a_task(1, cleared=("submodule_commit:h",))])(cargo)
    assert warnings(cargo, ()) == (
        "**Submodules**, look whether others can get their commits: `libs/x at aaaaaaaaaaaa`.",
        "**Only the coordinator's host has** the commits of `libs/x at aaaaaaaaaaaa`.")


def test_files_of_git_lfs_are_held_back_until_a_person_has_uploaded_them() -> None:
    cargo, world = Cargo("h", files=("big.bin",), pointers=("big.bin",)), an_outside().world()
    with pytest.raises(HeldBack, match=r"^big\.bin$") as caught:
        guarding.passing(world, [a_task(1)])(cargo)
    assert caught.value.reason == "lfs_objects"
    guarding.passing(world, [a_task(1, cleared=("lfs_objects:h",))])(cargo)
