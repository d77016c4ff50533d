"""The real gemini as a job started by hand, a scripted model behind it: its end is judged by the wrapper alone, and a
stop leaves nothing behind, though the CLI leaves its tools to themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.real.test_jobs import Hand
from tests.support.agents import STANDS
from tests.support.model_server import ModelServer
from tests.support.program import a_repository, environ
from tests.support.real_parts import GEMINI, missing
from tests.support.workers import until

pytestmark = [pytest.mark.skipif(bool(missing(GEMINI)), reason=missing(GEMINI)), pytest.mark.timeout(120)]


def by_hand(root: Path, server: ModelServer, scenario: str) -> Hand:
    stand, url = STANDS["gemini"], server.url(scenario)
    (root / "bin").mkdir()
    (root / "bin" / "gemini").symlink_to(GEMINI)
    a_repository(root / "tree")
    (root / "prompt").write_text("Add a greeting.", "utf-8")
    made = environ(root, PATH=f"{root / 'bin'}:{os.environ['PATH']}", GEMINI_MODEL=stand.model, **stand.environ(url))
    for name, text in stand.files(url).items():
        (Path(made["HOME"]) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(made["HOME"]) / name).write_text(text)
    return Hand(root, made)


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):   # a git of its own that was gone before it was looked at
        return b""


@pytest.mark.req("C41", "C42")
@pytest.mark.parametrize(("scenario", "state", "reason"), [
    ("commit", "success", "process_exit"),
    ("401", "failed", "gemini_auth_blocked"),
    ("404", "failed", "gemini_model_unavailable"),
    ("429", "failed", "gemini_capacity_exhausted"),
])  # fmt: skip
def test_each_end_of_gemini_is_judged_by_its_own_words(
    tmp_path: Path, scripted: ModelServer, scenario: str, state: str, reason: str
) -> None:
    hand = by_hand(tmp_path, scripted, scenario)
    hand.start("gemini")
    ended = hand.outcome()

    assert (ended["state"], ended["reason_code"], ended["judged_by"]) == (state, reason, "result")
    assert ended["selected_model"] == "gemini-2.5-flash"
    if reason == "gemini_capacity_exhausted":
        report = json.loads(hand.job("report", "--beads", "bd-1", "--format", "json").stdout)
        assert report["next_action"] == "retry_backoff_or_switch_to_opencode_or_cc_glm"
    assert hand.living() == []


def test_stop_ends_gemini_and_the_tool_it_runs(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, scripted, "slow-tool")
    hand.start("gemini")
    until(lambda: any(b"sleep" in command_line(pid) for pid in hand.living()), "its tool", 40)

    ran = hand.job("stop", "--beads", "bd-1")

    assert ran.returncode == 0, ran.stderr
    assert (hand.outcome()["state"], hand.outcome()["reason_code"]) == ("killed", "manual_stop")
    assert hand.living() == []
