"""The real opencode as a job started by hand, a scripted model behind it: its model is one that it lists itself, its
end is judged by the wrapper alone, and a stop leaves nothing behind, though the CLI leaves its tools to themselves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real.test_jobs import Hand
from tests.support.agents import STANDS
from tests.support.model_server import ModelServer
from tests.support.program import a_repository, environ
from tests.support.real_parts import OPENCODE, missing
from tests.support.workers import until

pytestmark = [pytest.mark.skipif(bool(missing(OPENCODE)), reason=missing(OPENCODE)), pytest.mark.timeout(120)]
ZHIPU = "zhipuai-coding-plan/glm-5"


def by_hand(root: Path, server: ModelServer, scenario: str, *, configured: bool = True) -> Hand:
    stand, url = STANDS["opencode"], server.url(scenario)
    (root / "bin").mkdir()
    (root / "bin" / "opencode").symlink_to(OPENCODE)
    a_repository(root / "tree")
    (root / "prompt").write_text("Add a greeting.", "utf-8")
    made = environ(root, PATH=f"{root / 'bin'}:{os.environ['PATH']}", **stand.environ(url))
    for name, text in stand.files(url).items() if configured else ():
        (Path(made["HOME"]) / name).parent.mkdir(parents=True, exist_ok=True)
        (Path(made["HOME"]) / name).write_text(text)
    return Hand(root, made)


@pytest.mark.req("C37", "C60", "C61")
@pytest.mark.parametrize(("scenario", "state", "reason"), [
    ("commit", "success", "process_exit"), ("401", "failed", "opencode_auth_blocked"),
])
def test_each_end_of_opencode_is_judged_by_its_own_words(
    tmp_path: Path, scripted: ModelServer, scenario: str, state: str, reason: str
) -> None:
    hand = by_hand(tmp_path, scripted, scenario)
    hand.start("opencode")
    ended = hand.outcome()

    assert (ended["state"], ended["reason_code"], ended["judged_by"]) == (state, reason, "result")
    assert (ended["selected_model"], ended["fallback_reason"]) == (ZHIPU, "none")
    assert hand.living() == []


@pytest.mark.req("C34", "C103")
def test_a_model_that_opencode_itself_does_not_list_is_not_started(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, scripted, "text", configured=False)
    ran = hand.job("start", "--beads", "bd-1", "--provider", "opencode", "--prompt-file", "prompt")
    assert ran.returncode == 25, ran.stderr
    assert hand.outcome()["reason_code"] == "opencode_model_unavailable"


def test_stop_ends_opencode_and_the_tool_it_runs(tmp_path: Path, scripted: ModelServer) -> None:
    hand = by_hand(tmp_path, scripted, "slow-tool")
    hand.start("opencode")
    until(lambda: any(b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes() for pid in hand.living()), "its tool", 40)

    ran = hand.job("stop", "--beads", "bd-1")

    assert ran.returncode == 0, ran.stderr
    assert (hand.outcome()["state"], hand.outcome()["reason_code"]) == ("killed", "manual_stop")
    assert hand.living() == []
