"""The real claude CLI, a scripted model behind it: each end of a run is judged as what it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from coordinator.adapters.providers import provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.outcome import Ending, Outcome, Work
from coordinator.ports import Finished, RunSpec, Settings
from coordinator.runfiles import identity
from tests.support.model_server import ModelServer, serving

ROOT = Path(__file__).parents[2]
BIN = Path(os.environ.get("COORDINATOR_REAL") or ROOT / ".real") / "node_modules" / ".bin"
CLAUDE = next((p for p in (BIN / "claude", BIN.parent.parent / "bin" / "claude") if p.exists()), None)

pytestmark = pytest.mark.skipif(CLAUDE is None, reason="the claude CLI is not installed: make test-real")


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serving() as server:
        yield server
    assert server.strays == []


@dataclass
class World:
    """A repository, a home without anything in it, and a model."""

    root: Path
    server: ModelServer
    base: str = ""

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def environ(self, scenario: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "ANTHROPIC_BASE_URL": self.server.url(scenario),
            "ANTHROPIC_AUTH_TOKEN": "dummy",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "GITHUB_TOKEN": "ghp_must_never_arrive",
        }

    def start(self, scenario: str, *, session: str | None = None, **settings: object) -> subprocess.Popen[bytes]:
        given = Settings(binary=str(CLAUDE), **{"tools": ("Bash",), **settings})  # type: ignore[arg-type]
        command = provider("claude").command(
            RunSpec(
                task_id="gh-1",
                attempt=1,
                prompt="do it",
                prompt_file=self.root / "prompt",
                worktree=self.tree,
                session_id=str(uuid.uuid4()) if session is None else session,
                settings=given,
                environ=self.environ(scenario),
                as_root=os.geteuid() == 0,
            )
        )
        self.root.joinpath("prompt").write_text("do it")
        with (
            (self.root / "prompt").open("rb") as stdin,
            (self.root / "out").open("wb") as out,
            (self.root / "err").open("wb") as err,
        ):
            return subprocess.Popen(
                command.argv,
                env=dict(command.env),
                cwd=self.tree,
                stdin=stdin,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def judge(self, child: subprocess.Popen[bytes], wrapper_reason: str = "process_exit") -> Outcome:
        code = child.wait(timeout=100)
        commits = int(self.git("rev-list", "--count", f"{self.base}..HEAD"))
        work = Work(self.base, self.git("rev-parse", "HEAD"), commits)
        with (self.root / "out").open("rb") as lines:
            return provider("claude").judge(
                Finished(
                    code if code >= 0 else None,
                    -code if code < 0 else None,
                    wrapper_reason,
                    lines,
                    (self.root / "err").read_text(),
                    work,
                )
            )

    def run(self, scenario: str, **settings: object) -> Outcome:
        return self.judge(self.start(scenario, **settings))  # type: ignore[arg-type]

    def git(self, *args: str) -> str:
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@localhost",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@localhost",
        }
        return subprocess.run(
            ["git", *args], cwd=self.tree, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 20
        while text not in (self.root / "out").read_bytes():
            assert time.monotonic() < deadline, f"{text!r} was never printed"
            time.sleep(0.05)


@pytest.fixture
def world(tmp_path: Path, model: ModelServer) -> Iterator[World]:
    made = World(tmp_path, model)
    (tmp_path / "home").mkdir()
    made.tree.mkdir()
    made.git("init", "-q")
    made.git("commit", "-q", "--allow-empty", "-m", "base")
    made.base = made.git("rev-parse", "HEAD")
    yield made
    for process in psutil.process_iter(["cwd"]):
        # a tool whose agent was killed lives on in a session of its own
        if process.info["cwd"] == str(made.tree):
            process.kill()


@pytest.mark.req("F6")
def test_a_commit_and_a_good_result_are_success(world: World) -> None:
    outcome = world.run("commit")
    assert (outcome.ending, outcome.summary) == (Ending.SUCCEEDED, "All done.")
    assert outcome.usage.tokens_in
    assert outcome.session_id
    assert world.git("log", "-1", "--format=%an %s") == "Coordinator Add a greeting"


def test_an_answer_without_a_commit_is_no_change(world: World) -> None:
    assert world.run("text").ending is Ending.NO_CHANGE


def test_a_refused_tool_is_named_though_the_exit_code_is_0(world: World) -> None:
    outcome = world.run("commit", tools=("Read",))
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "claude_permission_denied")
    assert "Bash" in outcome.detail


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("401", "claude_auth_blocked"),
        ("403", "claude_auth_blocked"),
        ("credit", "no_credit"),
        ("404", "claude_model_unavailable"),
        ("429", "claude_rate_limited"),
        ("429-long", "claude_usage_limited"),
        ("500", "network"),
        ("529", "overloaded"),
        ("cut", "claude_protocol_error"),
    ],
)
def test_each_failure_of_the_api_has_its_reason(world: World, scenario: str, reason: str) -> None:
    outcome = world.run(scenario)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, reason), outcome.detail


def test_a_limit_that_passes_is_no_failure(world: World) -> None:
    assert world.run("429-once").ending is Ending.NO_CHANGE


def test_the_limit_of_turns_has_its_reason(world: World) -> None:
    outcome = world.run("loop", max_turns=3)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "max_turns")


def test_a_tool_that_kills_itself_is_not_a_person_who_stops_the_agent(world: World) -> None:
    assert world.run("tool-kills-itself").ending is Ending.NO_CHANGE


def test_an_option_that_the_cli_does_not_know_is_a_failed_launch(world: World) -> None:
    outcome = world.run("text", args=("--no-such-option",))
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "launch_failed")
    assert "--no-such-option" in outcome.detail


@pytest.mark.parametrize(
    ("number", "ending", "reason"),
    [
        (signal.SIGTERM, Ending.CANCELLED, "manual_stop"),
        (signal.SIGINT, Ending.CANCELLED, "manual_stop"),
        (signal.SIGKILL, Ending.FAILED, "killed"),
    ],
)
def test_a_signal_in_the_middle_of_a_tool_is_never_success(
    world: World, number: signal.Signals, ending: Ending, reason: str
) -> None:
    child = world.start("slow-tool")
    world.wait_for(b'"task_started"')
    child.send_signal(number)
    outcome = world.judge(child)
    assert (outcome.ending, outcome.reason) == (ending, reason), outcome.detail


def test_a_signal_while_it_waits_for_the_model_is_never_success(world: World) -> None:
    child = world.start("hang")
    world.wait_for(b'"init"')
    child.send_signal(signal.SIGTERM)
    assert world.judge(child).ending is Ending.CANCELLED


def test_a_stop_file_ends_a_looping_session_at_its_next_tool(world: World) -> None:
    child = world.start("loop")
    world.wait_for(b"turn 2")
    (world.tree / "STOP").touch()
    outcome = world.judge(child, "manual_stop")   # the wrapper's word: the interrupt may leave no result event
    assert (outcome.ending, outcome.reason) == (Ending.CANCELLED, "manual_stop")


def test_a_session_id_is_used_once_and_can_be_resumed(world: World) -> None:
    session = str(uuid.uuid4())
    world.judge(world.start("text", session=session))
    again = world.judge(world.start("text", session=session))
    assert again.reason == "launch_failed"
    assert "already in use" in again.detail
    resumed = world.judge(world.start("text", session="", args=("--resume", session)))
    assert (resumed.ending, resumed.session_id) == (Ending.NO_CHANGE, session)


def test_the_worker_can_neither_push_nor_see_a_github_token(world: World) -> None:
    bare = world.root / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", bare], check=True)
    world.git("remote", "add", "origin", "https://user:secret@localhost:9/acme/widgets.git")
    child = world.start("commit")
    env = identity.environ(child.pid)
    assert env
    assert b"ghp_must_never_arrive" not in env
    world.judge(child)
    settings = dict(pair.split("=", 1) for pair in env.decode().split("\0") if "=" in pair)
    pushed = subprocess.run(
        ["git", "push", "origin", "HEAD:main"],
        cwd=world.tree,
        env=settings,
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert pushed.returncode != 0
    assert "coordinator-pushes-not-the-worker" in pushed.stderr


def test_preflight_proves_an_answer_or_names_why_there_is_none(world: World) -> None:
    claude, settings = provider("claude"), Settings(binary=str(CLAUDE))
    lines = claude.preflight(SystemProbe(world.environ("text")), settings, live=True)
    assert [line.ok for line in lines] == [True, True, True]
    assert "answered in" in lines[-1].words
    refused = claude.preflight(SystemProbe(world.environ("401")), settings, live=True)[-1]
    assert (refused.ok, refused.reason) == (False, "claude_auth_blocked")
    assert refused.cure


def test_without_credentials_preflight_says_so(world: World) -> None:
    environ = world.environ("text")
    del environ["ANTHROPIC_AUTH_TOKEN"]
    line = provider("claude").preflight(SystemProbe(environ), Settings(binary=str(CLAUDE)), live=True)[-1]
    assert (line.ok, line.reason) == (False, "claude_auth_missing")
    assert shutil.which("claude", path=str(BIN))
