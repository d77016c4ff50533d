"""cc-glm on the real claude, a scripted model behind it: the key that was resolved is the one that is sent, whatever
else lies on the host."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from coordinator.adapters.providers import provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.outcome import Ending, Work
from coordinator.ports import Finished, RunSpec, Settings
from tests.support.model_server import ModelServer, Refusal
from tests.support.op import some_op
from tests.support.real_parts import CLAUDE, missing

pytestmark = pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE))
GIVEN = Settings(binary=str(CLAUDE))


class Place:
    """A repository and a home whose owner has a key and an address of their own in claude's settings."""

    def __init__(self, root: Path, model: ModelServer) -> None:
        self.tree, self.home, self.model = root / "tree", root / "home", model
        subprocess.run(["git", "init", "-q", str(self.tree)], check=True)
        (self.home / ".claude").mkdir(parents=True)
        own = {"ANTHROPIC_AUTH_TOKEN": "owner", "ANTHROPIC_API_KEY": "owner", "ANTHROPIC_BASE_URL": model.url("401")}
        (self.home / ".claude" / "settings.json").write_text(json.dumps({"env": own}))

    def environ(self, scenario: str) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "CC_GLM_AUTH_TOKEN": "glm-key",
                "CC_GLM_BASE_URL": self.model.url(scenario), "CLAUDE_CODE_MAX_RETRIES": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}  # fmt: skip

    def run(self, scenario: str, **changes: str) -> subprocess.CompletedProcess[bytes]:
        agent = provider("cc-glm")
        environ = {name: value for name, value in {**self.environ(scenario), **changes}.items() if value}
        made = agent.command(RunSpec(
            task_id="bd-1", attempt=1, prompt="do it", prompt_file=self.home / "prompt", worktree=self.tree,
            session_id="", settings=GIVEN, environ=environ, as_root=os.geteuid() == 0,
            credentials=agent.credentials(SystemProbe(environ), GIVEN),
        ))  # fmt: skip
        return subprocess.run(made.argv, env=dict(made.env), cwd=self.tree, input=b"do it", capture_output=True,
                              timeout=50, check=False)  # fmt: skip

    def log(self) -> str:
        asked = ["git", "-C", str(self.tree), "log", "--format=%s"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout


@pytest.fixture
def place(tmp_path: Path, scripted: ModelServer) -> Place:
    return Place(tmp_path, scripted)


@pytest.mark.req("B50")
def test_it_works_with_its_own_key_and_model_though_the_owner_set_others(place: Place) -> None:
    ran = place.run("commit")
    assert (ran.returncode, ran.stdout) == (0, b"All done.\n"), ran.stderr
    assert place.log() == "Add a greeting\n"
    assert {asked["model"] for asked in place.model.seen} == {"glm-5"}
    done = Finished(0, None, "process_exit", ran.stdout.splitlines(keepends=True), "", Work("a", "b", 1))
    outcome = provider("cc-glm").judge(done)
    assert (outcome.ending, outcome.judged_by) == (Ending.SUCCEEDED, "exit")


USED_UP = Refusal(429, "1308", "Usage limit reached for 5 hour.", {"retry-after": "1"})
UNKNOWN = Refusal(400, "1211", "Unknown Model, please check the model code.")


@pytest.mark.req("P48")
@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("401", "cc_glm_auth_blocked"),
        ("403", "cc_glm_auth_blocked"),
        ("429", "cc_glm_rate_limited"),
        ("used-up", "cc_glm_usage_limited"),
        ("404", "cc_glm_model_unavailable"),
        ("unknown-model", "cc_glm_model_unavailable"),
        ("credit", "no_credit"),
        ("529", "overloaded"),
    ],
)
def test_what_claude_prints_of_a_failure_in_plain_text_has_its_class(place: Place, scenario: str, reason: str) -> None:
    place.model.scenarios |= {"used-up": lambda *_: USED_UP, "unknown-model": lambda *_: UNKNOWN}
    ran = place.run(scenario)
    assert ran.returncode == 1
    outcome = provider("cc-glm").judge(Finished(1, None, "process_exit", ran.stdout.splitlines(), "", None))
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, reason), ran.stdout


@pytest.mark.req("B56")
def test_the_key_that_1password_gives_is_the_one_that_is_sent(place: Place, tmp_path: Path) -> None:
    op = some_op(tmp_path / "bin")
    ran = place.run("text", CC_GLM_AUTH_TOKEN="", PATH=f"{op.bin}:{os.environ['PATH']}")
    assert (ran.returncode, ran.stdout) == (0, b"ok\n"), ran.stderr
    assert op.asked == ["read op://dev/Agent-Secrets-Production/ZAI_API_KEY"]


@pytest.mark.req("B75", "P48")
def test_where_claudes_own_login_is_allowed_and_there_is_none_it_says_so(place: Place) -> None:
    (place.home / ".claude" / "settings.json").write_text("{}")
    ran = place.run("text", CC_GLM_AUTH_TOKEN="", CC_GLM_ALLOW_FALLBACK="1")
    outcome = provider("cc-glm").judge(Finished(1, None, "process_exit", ran.stdout.splitlines(), "", None))
    assert (ran.returncode, outcome.reason) == (1, "cc_glm_auth_missing"), ran.stdout
    assert place.model.seen == []


@pytest.mark.req("B75")
def test_claudes_own_login_goes_to_its_own_address(place: Place) -> None:
    own = {"ANTHROPIC_AUTH_TOKEN": "owner", "ANTHROPIC_BASE_URL": place.model.url("text")}
    (place.home / ".claude" / "settings.json").write_text(json.dumps({"env": own}))
    ran = place.run("401", CC_GLM_AUTH_TOKEN="", CC_GLM_ALLOW_FALLBACK="1")
    assert (ran.returncode, ran.stdout) == (0, b"ok\n"), ran.stderr


def test_a_stop_file_ends_it_before_its_next_tool(place: Place) -> None:
    (place.tree / "STOP").touch()
    place.run("commit")
    assert place.log() == ""


def test_it_proves_an_answer_when_asked_live(place: Place) -> None:
    lines = provider("cc-glm").preflight(SystemProbe(place.environ("text")), GIVEN, live=True)
    assert all(line.ok for line in lines), lines
    assert lines[-1].words.startswith("cc-glm: answered in")
