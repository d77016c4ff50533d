"""The real claude as a job started by hand, a scripted model behind it: each end is judged by the wrapper alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.system.processes import carriers
from coordinator.runfiles import atomic
from tests.support.model_server import ModelServer
from tests.support.program import a_repository, environ
from tests.support.real_parts import CLAUDE, missing
from tests.support.workers import command_line, until

pytestmark = [pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE)), pytest.mark.timeout(240)]


@dataclass
class Hand:
    """A person with a prompt, a worktree and a job folder."""

    root: Path
    env: dict[str, str]

    def job(self, *argv: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "coordinator", "job", *argv, "--log-dir", str(self.root / "jobs")]
        return subprocess.run(whole, cwd=self.root, env=self.env, text=True, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=50, check=False)  # fmt: skip

    def start(self, provider: str, *more: str) -> None:
        ran = self.job("start", "--beads", "bd-1", "--provider", provider, "--prompt-file", "prompt", "--worktree",
                       str(self.root / "tree"), *more)  # fmt: skip
        assert ran.returncode == 0, ran.stderr

    def outcome(self) -> Mapping[str, str]:
        return until(lambda: atomic.read_pairs(str(self.root / "jobs" / "bd-1.outcome")), "an outcome", 60)

    def check(self) -> tuple[int, dict[str, Any]]:
        ran = self.job("check", "--beads", "bd-1", "--json")
        return ran.returncode, json.loads(ran.stdout)

    def living(self) -> list[int]:
        ours = f"@{self.root}/jobs"
        return [pid for pid, env in carriers("COORDINATOR_RUN") if env["COORDINATOR_RUN"].endswith(ours)]


def by_hand(root: Path, server: ModelServer, scenario: str) -> Hand:
    binaries = root / "bin"
    binaries.mkdir()
    (binaries / "claude").symlink_to(CLAUDE)
    a_repository(root / "tree")
    (root / "prompt").write_text("Add a greeting.", "utf-8")
    url = server.url(scenario)
    return Hand(root, environ(root, PATH=f"{binaries}:{os.environ['PATH']}", ANTHROPIC_BASE_URL=url,
                              CC_GLM_BASE_URL=url, ANTHROPIC_AUTH_TOKEN="dummy-token", CC_GLM_AUTH_TOKEN="dummy-token",
                              CLAUDE_CODE_MAX_RETRIES="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1"))  # fmt: skip


@pytest.mark.req("A137", "A138", "C47")
@pytest.mark.parametrize(("scenario", "state", "reason", "code"), [
    ("commit", "success", "process_exit", 0),
    ("text", "success", "process_exit", 0),
    ("401", "failed", "claude_auth_blocked", 3),
    ("credit", "failed", "no_credit", 3),
    ("404", "failed", "claude_model_unavailable", 3),
    ("529", "failed", "overloaded", 3),
    ("429-long", "failed", "claude_usage_limited", 3),
])
def test_each_end_of_claude_is_judged_by_its_last_result(
    tmp_path: Path, scripted: ModelServer, scenario: str, state: str, reason: str, code: int
) -> None:
    hand = by_hand(tmp_path, scripted, scenario)
    hand.start("claude")
    ended = hand.outcome()

    assert (ended["state"], ended["reason_code"], ended["judged_by"]) == (state, reason, "result")
    exit_code, checked = hand.check()
    assert (exit_code, checked["reason_code"]) == (code, reason)
    if scenario == "commit":
        assert int(ended["tokens_in"]) > 0
        assert (tmp_path / "tree" / "greeting.txt").exists()
    until(lambda: not hand.living(), "the end of its wrapper")


@pytest.mark.parametrize(("scenario", "state"), [("commit", "success"), ("401", "failed")])
def test_glm_through_claude_prints_text_and_its_exit_code_judges(
    tmp_path: Path, scripted: ModelServer, scenario: str, state: str
) -> None:
    hand = by_hand(tmp_path, scripted, scenario)
    hand.start("cc-glm", "--pty")
    ended = hand.outcome()

    assert (ended["state"], ended["judged_by"], ended["selected_model"]) == (state, "exit", "glm-5")
    told = hand.job("tail", "--beads", "bd-1", "--no-ansi").stdout
    assert ("All done." if state == "success" else "Invalid API key") in told
    assert "\\u00" not in told
    assert {request.get("model") for request in scripted.seen} == {"glm-5"}
    files = [path.read_text("utf-8", "replace") for path in (tmp_path / "jobs").glob("bd-1.*")]
    assert "dummy-token" not in "".join(files)


@pytest.mark.req("P4", "A113")
@pytest.mark.alone
def test_stop_ends_claude_and_the_tool_it_runs(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, scripted, "slow-tool")
    hand.start("claude")
    until(lambda: any(b"sleep" in command_line(pid) for pid in hand.living()), "its tool", 40)

    began = time.monotonic()
    ran = hand.job("stop", "--beads", "bd-1")

    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - began < 10
    assert (hand.outcome()["state"], hand.outcome()["reason_code"]) == ("killed", "manual_stop")
    until(lambda: not hand.living(), "the end of its wrapper")


@pytest.mark.req("B66", "B67", "B72")
def test_headless_runs_in_the_foreground(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, scripted, "text")
    argv = [sys.executable, "-m", "coordinator", "job", "headless", "--prompt", "say ok"]
    ran = subprocess.run(argv, cwd=tmp_path / "tree", env=hand.env, text=True, stdin=subprocess.DEVNULL,
                         capture_output=True, timeout=50, check=False)  # fmt: skip
    assert (ran.returncode, ran.stdout.strip()) == (0, "ok"), ran.stderr
    assert "LAUNCH" in ran.stderr
    assert "model=glm-5" in ran.stderr
    assert "dummy-token" not in ran.stderr + ran.stdout
