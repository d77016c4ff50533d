"""The real agents as jobs started by hand, a scripted model behind them: the end is judged by the wrapper alone, and a
stop or a time limit leaves nothing behind, though some CLIs leave their tools to themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path

import psutil
import pytest

from tests.real.test_jobs import Hand
from tests.support.agents import STANDS
from tests.support.conformance import PROVIDERS
from tests.support.model_server import ModelServer
from tests.support.program import a_repository, environ
from tests.support.real_parts import missing
from tests.support.workers import command_line, until

pytestmark = pytest.mark.timeout(240)


def by_hand(root: Path, name: str, server: ModelServer, scenario: str, *, configured: bool = True) -> Hand:
    stand, url = STANDS[name], server.url(scenario)
    if missing(stand.binary):
        pytest.skip(missing(stand.binary))
    (root / "bin").mkdir()
    (root / "bin" / name).symlink_to(stand.binary)
    a_repository(root / "tree")
    (root / "prompt").write_text("Add a greeting.", "utf-8")
    model = {"GEMINI_MODEL": stand.model} if name == "gemini" else {}
    made = environ(root, PATH=f"{root / 'bin'}:{os.environ['PATH']}", **model, **stand.environ(url))
    for file, text in stand.files(url).items() if configured else ():
        (Path(made["HOME"]) / file).parent.mkdir(parents=True, exist_ok=True)
        (Path(made["HOME"]) / file).write_text(text)
    return Hand(root, made)


@pytest.mark.req("C37", "C41", "C42", "C60", "C61")
@pytest.mark.parametrize(("name", "scenario", "state", "reason"), [
    ("codex", "commit", "success", "process_exit"),
    ("codex", "401", "failed", "codex_auth_blocked"),
    ("gemini", "commit", "success", "process_exit"),
    ("gemini", "401", "failed", "gemini_auth_blocked"),
    ("gemini", "404", "failed", "gemini_model_unavailable"),
    ("gemini", "429", "failed", "gemini_capacity_exhausted"),
    ("opencode", "commit", "success", "process_exit"),
    ("opencode", "401", "failed", "opencode_auth_blocked"),
])  # fmt: skip
def test_each_end_is_judged_by_the_agent_s_own_words(
    tmp_path: Path, scripted: ModelServer, name: str, scenario: str, state: str, reason: str
) -> None:
    hand = by_hand(tmp_path, name, scripted, scenario)
    hand.start(name)
    ended = hand.outcome()

    assert (ended["state"], ended["reason_code"], ended["judged_by"]) == (state, reason, "result")
    selected = {"gemini": "gemini-2.5-flash", "opencode": "zhipuai-coding-plan/glm-5"}.get(name)
    assert selected is None or (ended["selected_model"], ended["fallback_reason"]) == (selected, "none")
    if reason == "gemini_capacity_exhausted":
        report = json.loads(hand.job("report", "--beads", "bd-1", "--format", "json").stdout)
        assert report["next_action"] == "retry_backoff_or_switch_to_opencode_or_cc_glm"
    until(lambda: not hand.living(), "the end of its wrapper")


@pytest.mark.req("C34", "C103")
@pytest.mark.alone
def test_a_model_that_opencode_itself_does_not_list_is_not_started(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, "opencode", scripted, "text", configured=False)
    ran = hand.job("start", "--beads", "bd-1", "--provider", "opencode", "--prompt-file", "prompt")
    assert ran.returncode == 25, ran.stderr
    assert hand.outcome()["reason_code"] == "opencode_model_unavailable"


@pytest.mark.parametrize("name", PROVIDERS)
def test_stop_ends_the_agent_and_the_tool_it_runs(tmp_path: Path, scripted: ModelServer, name: str) -> None:
    hand = by_hand(tmp_path, name, scripted, "slow-tool")
    hand.start(name)
    until(lambda: any(b"sleep" in command_line(pid) for pid in hand.living()), "its tool", 40)

    ran = hand.job("stop", "--beads", "bd-1")

    assert ran.returncode == 0, ran.stderr
    assert (hand.outcome()["state"], hand.outcome()["reason_code"]) == ("killed", "manual_stop")
    assert hand.living() == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_an_agent_that_is_killed_while_a_tool_runs_leaves_no_tool_behind(
    tmp_path: Path, scripted: ModelServer, name: str
) -> None:
    hand = by_hand(tmp_path, name, scripted, "slow-tool")
    hand.start(name)
    until(lambda: any(b"sleep" in command_line(pid) for pid in hand.living()), "its tool", 40)

    [agent] = psutil.Process(int((hand.root / "jobs" / "bd-1.pid").read_text())).children()
    agent.kill()

    assert (hand.outcome()["state"], hand.outcome()["reason_code"]) == ("failed", "killed")
    until(lambda: not hand.living(), "the end of its wrapper")
