"""The stand-in's git side: real clients over HTTP, with GitHub's rules of who may fetch and push what."""

from __future__ import annotations

import os
import subprocess
from base64 import b64encode
from pathlib import Path

import pytest

from tests.support import standin
from tests.support.standin import BOT_TOKEN, Town

town = standin.town


def git(where: Path, *arguments: str, token: str | None = BOT_TOKEN) -> subprocess.CompletedProcess[str]:
    """Run git with a token given by header, and with nobody's configuration."""
    known = ["-c", "user.name=Bot", "-c", "user.email=bot@example.invalid", "-c", "http.postBuffer=70000"]
    if token:
        basic = b64encode(f"x-access-token:{token}".encode()).decode()
        known += ["-c", f"http.extraHeader=Authorization: Basic {basic}"]
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    return subprocess.run(
        ["git", *known, *arguments],
        cwd=where,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def done(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.fixture
def clone(town: Town, tmp_path: Path) -> Path:
    done(git(tmp_path, "clone", "-q", town.repository.clone_url, "clone"))
    return tmp_path / "clone"


def commit(clone: Path, branch: str, text: str = "x") -> str:
    """A commit on a branch, made when needed; returns its id."""
    done(git(clone, "checkout", "-q", "-B", branch))
    (clone / "work.txt").write_text(text)
    done(git(clone, "add", "-A"))
    done(git(clone, "commit", "-q", "-m", f"Work: {text[:20]}"))
    return done(git(clone, "rev-parse", "HEAD"))


def test_a_push_arrives_and_is_fetched_again(town: Town, clone: Path) -> None:
    sha = commit(clone, "rpi/gh-1")
    done(git(clone, "push", "-q", "origin", "rpi/gh-1"))
    assert town.repository.branch("rpi/gh-1") == sha
    done(git(clone, "fetch", "-q", "origin"))
    assert done(git(clone, "rev-parse", "origin/rpi/gh-1")) == sha


def test_a_push_larger_than_the_buffer_comes_in_chunks_and_whole(town: Town, clone: Path) -> None:
    text = os.urandom(200_000).hex()
    commit(clone, "rpi/big", text)
    done(git(clone, "push", "-q", "origin", "rpi/big"))
    assert town.repository.read("rpi/big", "work.txt") == text
    pushes = [one for one in town.github.requests if one.path.endswith("/git-receive-pack")]
    assert any(one.request_headers.get("transfer-encoding") == "chunked" for one in pushes)


def test_without_a_token_git_is_asked_for_one_and_a_wrong_one_is_refused(town: Town, tmp_path: Path) -> None:
    nobody = git(tmp_path, "clone", town.repository.clone_url, "none", token=None)
    assert nobody.returncode != 0
    assert "could not read Username" in nobody.stderr
    assert git(tmp_path, "clone", town.repository.clone_url, "none", token="stolen").returncode != 0
    assert {one.status for one in town.github.requests} == {401}


def test_a_reader_may_fetch_but_not_push(town: Town, clone: Path) -> None:
    town.github.add_user("eve", "eve-token", permission="read")
    commit(clone, "rpi/gh-1")
    done(git(clone, "fetch", "-q", "origin", token="eve-token"))
    refused = git(clone, "push", "origin", "rpi/gh-1", token="eve-token")
    assert refused.returncode != 0
    assert "403" in refused.stderr
    assert town.repository.branch("rpi/gh-1") is None


def test_a_protected_branch_declines_a_push_with_githubs_words(town: Town, clone: Path) -> None:
    town.repository.protect("main", "release/*")
    before = town.repository.branch("main")
    commit(clone, "main")
    refused = git(clone, "push", "origin", "main")
    assert "GH006: Protected branch update failed for refs/heads/main." in refused.stderr
    assert town.repository.branch("main") == before
    assert git(clone, "push", "origin", "main:release/1").returncode != 0
    done(git(clone, "push", "-q", "origin", "main:rpi/gh-1"))


def test_the_head_of_a_pull_request_follows_pushes(town: Town, clone: Path) -> None:
    commit(clone, "rpi/gh-1", "one")
    done(git(clone, "push", "-q", "origin", "rpi/gh-1"))
    number = town.repository.as_user("bot").open_pull("rpi/gh-1", "Work").number
    before = town.repository.issue(number).updated_at
    town.clock.advance(3)
    sha = commit(clone, "rpi/gh-1", "two")
    done(git(clone, "push", "-q", "origin", "rpi/gh-1"))
    pull = town.repository.issue(number)
    assert pull.the_pull().head_sha == sha
    assert pull.updated_at == before + 3


def test_deleting_the_branch_by_push_closes_its_pull_request(town: Town, clone: Path) -> None:
    commit(clone, "rpi/gh-1")
    done(git(clone, "push", "-q", "origin", "rpi/gh-1"))
    number = town.repository.as_user("bot").open_pull("rpi/gh-1", "Work").number
    done(git(clone, "push", "-q", "origin", "--delete", "rpi/gh-1"))
    assert (town.repository.issue(number).state, town.repository.branch("rpi/gh-1")) == ("closed", None)


def test_work_pushed_onto_the_base_counts_as_merged_and_closes_what_its_messages_name(town: Town, clone: Path) -> None:
    town.repository.as_user("ann").open_issue("wish")
    commit(clone, "rpi/gh-1", "Fixes #1")
    done(git(clone, "push", "-q", "origin", "rpi/gh-1"))
    number = town.repository.as_user("bot").open_pull("rpi/gh-1", "Work").number
    done(git(clone, "push", "-q", "origin", "rpi/gh-1:main"))
    assert town.repository.issue(number).the_pull().merged_by == "bot"
    assert town.repository.issue(1).state == "closed"


def test_a_pull_request_may_come_from_a_fork(town: Town, tmp_path: Path) -> None:
    town.github.add_user("kim", "kim-token", permission="read")
    fork = town.github.add_fork("kim", "acme/widgets")
    done(git(tmp_path, "clone", "-q", fork.clone_url, "fork", token="kim-token"))
    sha = commit(tmp_path / "fork", "rpi/gh-1")
    done(git(tmp_path / "fork", "push", "-q", "origin", "rpi/gh-1", token="kim-token"))
    number = town.repository.as_user("kim").open_pull("kim:rpi/gh-1", "Work").number
    assert town.repository.issue(number).the_pull().head_sha == sha
    town.repository.as_user("ann").merge(number, "squash")
    assert town.repository.read("main", "work.txt") == "x"


def test_an_unknown_repository_is_404_to_those_who_show_a_token(town: Town, tmp_path: Path) -> None:
    missing = git(tmp_path, "clone", f"{town.github.url}/acme/gadgets.git")
    assert missing.returncode != 0
    assert town.github.requests[-1].status == 404
