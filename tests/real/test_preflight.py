"""What `doctor --live` asks of the real claude: one answer in a fresh directory, or the reason why there is none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from coordinator.adapters.providers import provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.ports import Readiness, Settings
from tests.support.model_server import ModelServer
from tests.support.real_parts import CLAUDE, missing

pytestmark = pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE))


def asked_live(home: Path, url: str) -> tuple[Readiness, ...]:
    home.mkdir(exist_ok=True)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "dummy",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return provider("claude").preflight(SystemProbe(environ), Settings(binary=str(CLAUDE)), live=True)


def test_an_answer_is_proven_in_a_fresh_directory(tmp_path: Path, scripted: ModelServer) -> None:
    lines = asked_live(tmp_path / "home", scripted.url("text"))
    assert all(line.ok for line in lines), lines
    assert "answered in" in lines[-1].words
    [question] = scripted.seen
    assert "Answer with the word ok" in str(question["messages"])
    assert str(Path.cwd()) not in str(question), "it was not asked in a directory of its own"


def test_refused_credentials_are_named_with_their_cure(tmp_path: Path, scripted: ModelServer) -> None:
    last = asked_live(tmp_path / "home", scripted.url("401"))[-1]
    assert (last.ok, last.reason, last.cure) == (False, "claude_auth_blocked", "Renew the key or log in again.")
    assert "refused the credentials" in last.words


def test_a_server_that_nobody_serves_is_a_matter_of_the_network(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: a connection is refused
        last = asked_live(tmp_path / "home", f"http://127.0.0.1:{taken.getsockname()[1]}")[-1]
    assert (last.ok, last.reason) == (False, "network")
    assert last.cure
