"""The claim as a ref on a real remote: swapped by the remote itself, alone or with work in one transaction."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.adapters.git.network import CLAIM
from coordinator.adapters.git.repository import GitRepository
from coordinator.domain.cargo import Search
from coordinator.domain.claim import Claim, read
from coordinator.engine.claimant import Claimant
from coordinator.planning.claiming import Terms
from coordinator.ports import ClaimMoved, GitUnreachable, PushRefused
from tests.support.gitworld import World, commit, git, make_world


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def work(world: World, task: str = "gh-1") -> str:
    """A branch of a task with one commit here; its name."""
    repo, branch = world.repository(), f"rpi/{task}"
    repo.fetch()
    repo.ensure_worktree(task, branch, "main", fresh=False, attempt=1)
    commit(world.tree(task), f"{task}.txt", "work\n")
    return branch


def there(world: World, ref: str) -> str:
    return git(world.remote, "rev-parse", "--verify", "-q", ref, ok=False)


def test_it_is_made_read_and_moved_and_leaves_nothing_in_the_repository(world: World):
    repo = world.repository()
    assert repo.claim("") == ("", "")
    objects = git(world.checkout, "count-objects")

    first = repo.put_claim("held by anna: ünïcode\n\nkey: value\n", held="")
    assert repo.claim("") == (first, "held by anna: ünïcode\n\nkey: value\n")
    assert repo.claim(first) == (first, "")
    second = repo.put_claim("held by anna, renewed\n", held=first)

    assert repo.claim(first)[0] == second != first
    assert git(world.checkout, "count-objects") == objects
    assert git(world.remote, "for-each-ref", "--format=%(refname)") == f"{CLAIM}\nrefs/heads/main"
    assert git(world.remote, "rev-list", "--count", CLAIM) == "1", "what it replaces is kept by nobody"
    assert git(world.remote, "ls-tree", CLAIM) == ""


@pytest.mark.req("W2")
def test_who_expects_another_value_is_refused_and_changes_nothing(world: World):
    repo = world.repository()
    first = repo.put_claim("anna\n", held="")
    with pytest.raises(ClaimMoved):
        repo.put_claim("berta\n", held="")
    second = repo.put_claim("anna again\n", held=first)
    with pytest.raises(ClaimMoved):
        repo.put_claim("berta\n", held=first)
    assert there(world, CLAIM) == second


@pytest.mark.req("W2")
def test_work_and_claim_arrive_together_or_not_at_all(world: World):
    repo = world.repository()
    branch = work(world)
    first = repo.put_claim("anna\n", held="")
    second, tip = repo.push_claimed("anna, with work\n", held=first, branch=branch, expect="")
    assert (there(world, CLAIM), there(world, branch)) == (second, tip)

    taken = repo.put_claim("berta\n", held=second)
    commit(world.tree(), "more.txt", "more\n")
    with pytest.raises(ClaimMoved):
        repo.push_claimed("anna, with more\n", held=second, branch=branch, expect="")
    assert (there(world, CLAIM), there(world, branch)) == (taken, tip)


def test_a_branch_is_forced_only_over_what_we_pushed_last_and_a_refused_one_keeps_the_claim(world: World):
    repo = world.repository()
    branch = work(world)
    first, old = repo.push_claimed("anna\n", held="", branch=branch, expect="")
    git(world.tree(), "commit", "-q", "--amend", "-m", "other words")
    second, new = repo.push_claimed("anna, amended\n", held=first, branch=branch, expect=old)
    assert there(world, branch) == new != old

    git(world.person, "fetch", "-q")
    git(world.person, "checkout", "-q", branch)
    commit(world.person, "mine.txt", "a person's\n")
    git(world.person, "push", "-q", "origin", branch)
    theirs = there(world, branch)
    git(world.tree(), "commit", "-q", "--amend", "-m", "other words again")
    with pytest.raises(PushRefused, match="stale info"):
        repo.push_claimed("anna, once more\n", held=second, branch=branch, expect=new)
    assert (there(world, CLAIM), there(world, branch)) == (second, theirs)


@pytest.mark.parametrize("with_work", [False, True])
def test_a_remote_that_forbids_the_ref_says_so_in_its_own_words(world: World, with_work: bool):
    branch = work(world) if with_work else ""
    hook = world.remote / "hooks" / "update"
    hook.write_text(f'#!/bin/sh\ntest "$1" != {CLAIM} || {{ echo "no such refs here" >&2; exit 1; }}\n')
    hook.chmod(0o755)
    repo = world.repository()
    asked = (lambda: repo.push_claimed("anna\n", held="", branch=branch, expect="")) if with_work else (
        lambda: repo.put_claim("anna\n", held=""))
    with pytest.raises(PushRefused, match="declined"):
        asked()
    assert there(world, CLAIM) == there(world, "refs/heads/rpi/gh-1") == ""


def test_a_remote_that_is_gone_is_no_answer(world: World):
    repo = world.repository()
    world.remote.rename(world.remote.with_name("away"))
    for asked in (lambda: repo.claim(""), lambda: repo.put_claim("x\n", held=""), lambda: repo.standing("rpi/")):
        with pytest.raises(GitUnreachable):
            asked()


def test_whatever_stands_at_the_ref_is_read_as_words(world: World):
    blob = git(world.person, "hash-object", "-w", "file.txt")
    git(world.person, "push", "-q", "origin", f"{blob}:{CLAIM}")
    sha, words = world.repository().claim("")
    assert sha == blob
    assert read(words) == Claim()


def test_branches_of_tasks_are_listed_with_their_tips(world: World):
    repo = world.repository()
    first = world.advance(branch="rpi/gh-1")
    world.advance("other.txt", branch="x/refs/heads/rpi/gh-2")
    assert repo.standing("rpi/") == {"rpi/gh-1": first}


def test_a_shallow_repository_keeps_a_claim_too(tmp_path: Path):
    world = make_world(tmp_path, depth=1)
    repo = world.repository()
    branch = work(world)
    first = repo.put_claim("anna\n", held="")
    second, tip = repo.push_claimed("anna, with work\n", held=first, branch=branch, expect="")
    assert repo.claim("") == (second, "anna, with work\n")
    assert there(world, branch) == tip


@pytest.mark.req("W2")
def test_of_many_at_once_the_remote_lets_exactly_one_through(world: World):
    held = ""
    repos = [world.repository() for _ in range(4)]
    with ThreadPoolExecutor(len(repos)) as pool:
        for turn in range(5):
            tries = [(repo, held, f"{turn} by {at}\n") for at, repo in enumerate(repos)]
            won = [sha for sha in pool.map(_tries, tries) if sha]
            assert len(won) == 1
            assert there(world, CLAIM) == won[0]
            held = won[0]


def _tries(one: tuple[GitRepository, str, str]) -> str:
    repo, held, words = one
    try:
        return repo.put_claim(words, held=held)
    except ClaimMoved:
        return ""


def test_a_push_that_stands_in_line_for_the_repository_does_not_keep_the_claim_from_being_renewed(world: World):
    branch, repo = work(world), world.repository()
    claimant = Claimant(repo, Claim("anna", "1"), Terms(timedelta(), timedelta(hours=1), timedelta(minutes=3)),
                        even=time.monotonic, now=lambda: datetime.now(UTC))
    claimant.keep("rpi/")
    claimant.inherited()
    first = claimant.sha
    with ThreadPoolExecutor() as pool:
        with repo.held():   # as a long fetch has it
            pushed = pool.submit(claimant.push, branch, "", Search(), lambda _: None)
            with pytest.raises(FutureTimeout):
                pushed.result(0.2)
            pool.submit(claimant.keep, "rpi/").result(30.0)
            renewed = claimant.sha
        tip = pushed.result(30.0)
    assert len({first, renewed, claimant.sha}) == 3
    assert (there(world, branch), there(world, CLAIM)) == (tip, claimant.sha)
