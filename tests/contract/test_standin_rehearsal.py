"""The rehearsal's own parts: the scripted agent, the stage it plays on, and the description that guards it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.rehearsal import agent, sample, stage, verdict
from tests.openapi.cut import served, shape
from tests.support.description import description
from tests.support.patience import end_of

AGENT = Path(agent.__file__)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git repository for the agent to work in."""
    where = tmp_path / "tree with a space"
    where.mkdir()
    git(where, "init", "-q", ".")
    git(where, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "first")
    return where


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def start(tree: Path, script: str, attempt: int = 1) -> subprocess.Popen[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    work = subprocess.Popen(
        [sys.executable, "-I", str(AGENT), "--attempt", str(attempt)],
        cwd=tree,
        env={**bare, "HOME": str(tree.parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert work.stdin is not None
    work.stdin.write(f"The task is issue #7.\n\n> script: {script}\n")
    work.stdin.close()
    work.stdin = None
    return work


def run(tree: Path, script: str, attempt: int = 1) -> tuple[int, list[dict[str, Any]]]:
    work = start(tree, script, attempt)
    output, _ = work.communicate(timeout=20)
    return work.returncode, [json.loads(line) for line in output.splitlines()]


def test_the_agent_commits_and_tells_it_in_claudes_shape(tree: Path) -> None:
    code, lines = run(tree, "succeed")
    assert (code, git(tree, "log", "-1", "--format=%s")) == (0, "Add a note for issue-7")
    assert [lines[0]["type"], lines[0]["subtype"], lines[-1]["type"]] == ["system", "init", "result"]
    assert (lines[-1]["is_error"], lines[-1]["permission_denials"]) == (False, [])
    assert lines[-1]["total_cost_usd"] > 0 < lines[-1]["usage"]["output_tokens"]
    called = [part["id"] for line in lines for part in parts(line) if part["type"] == "tool_use"]
    answered = [part["tool_use_id"] for line in lines for part in parts(line) if part["type"] == "tool_result"]
    assert called == answered != []


def parts(line: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = line.get("message", {}).get("content", [])
    return found


def test_the_agent_fails_once_and_then_succeeds(tree: Path) -> None:
    code, lines = run(tree, "fail-once", attempt=1)
    assert (code, lines[-1]["is_error"]) == (1, True)
    assert git(tree, "rev-list", "--count", "HEAD") == "1"
    assert run(tree, "fail-once", attempt=2)[0] == 0
    assert git(tree, "rev-list", "--count", "HEAD") == "2"


def test_the_agent_can_do_nothing_and_say_so(tree: Path) -> None:
    code, lines = run(tree, "nothing")
    assert (code, lines[-1]["result"]) == (0, "Nothing to change.")
    assert git(tree, "rev-list", "--count", "HEAD") == "1"


@pytest.mark.parametrize("script", ["stall", "loop-until-stop"])
def test_the_agent_goes_on_until_it_is_stopped(tree: Path, script: str) -> None:
    work = start(tree, script)
    assert work.stdout is not None
    assert json.loads(work.stdout.readline())["subtype"] == "init"
    time.sleep(0.5)
    assert work.poll() is None
    work.send_signal(signal.SIGTERM)
    assert work.wait(timeout=10) == -signal.SIGTERM
    assert "result" not in [json.loads(line)["type"] for line in work.stdout.read().splitlines() if line]
    work.stdout.close()


def test_an_unknown_script_is_refused_by_name(tree: Path) -> None:
    work = start(tree, "dance")
    work.communicate(timeout=20)
    assert work.returncode == 1


def test_the_stage_holds_six_issues_and_a_clone_without_any_token(tmp_path: Path) -> None:
    with stage.staged(tmp_path / "a b") as set_up:
        assert [issue.title for issue in set_up.repository.issues()] == [case.title for case in sample.CASES]
        assert (set_up.clone / "widgets" / "price.py").is_file()
        config = (set_up.clone / ".git" / "config").read_text()
        assert stage.BOT_TOKEN not in config
        assert "xtraheader" not in config.lower()
        assert not any(one.well for one in verdict.judge(set_up)), "nothing has happened yet"


def test_the_description_covers_exactly_what_the_stand_in_serves() -> None:
    covered = {(method, shape(path)) for path, body in description()["paths"].items() for method in body}
    assert covered == served()


def test_the_coordinator_of_a_rehearsal_has_the_stand_in_s_token_and_nobody_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_GITHUB_TOKEN_FD", "7")   # of the shell that it is played from
    monkeypatch.setenv("GITHUB_TOKEN", "a-persons-own")
    monkeypatch.setenv("PYTHONPATH", str(AGENT.parents[2]))
    with stage.staged(tmp_path / "play") as set_up, stage.coordinator(set_up) as daemon:
        end = end_of(time.monotonic(), 20)
        while not any(one.path.endswith("/issues") for one in set_up.github.requests):
            assert daemon.poll() is None, set_up.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)
        assert {one.status for one in set_up.github.requests if one.path.endswith("/issues")} == {200}
