"""headless as a process: a scripted `claude` on PATH says what it was given; nothing is started where it may not be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.adapters.providers import PROVIDERS
from tests.support.op import ACCOUNT, KEY, some_op
from tests.support.program import CHECKOUT

_PROGRAM = """
import sys, typer
from coordinator.cli.jobs import headless
from coordinator.cli.program import run_program
program = typer.Typer()
headless.add_to(program)
sys.exit(run_program(program, "cc-glm-headless", sys.argv[1:]))
"""
_CLAUDE = """#!/bin/sh
echo "argv: $*"
echo "pid: $$"
echo "prompt: $(cat)"
env | grep -E '^(ANTHROPIC|GITHUB|ZAI|CC_GLM|OP_)' | sort
echo "a word to the side" >&2
"""


class Place:
    """A folder with a home, and tools that are the whole PATH beside the system's own."""

    def __init__(self, root: Path) -> None:
        self.root, self.tools = root, root / "tools"
        self.tools.mkdir()

    def claude(self, script: str = _CLAUDE, mode: int = 0o755) -> Path:
        path = self.tools / "claude"
        path.write_text(script)
        path.chmod(mode)
        return path

    def environ(self, **more: str) -> dict[str, str]:
        return {"PATH": f"{self.tools}:/usr/bin:/bin", "HOME": str(self.root), "PYTHONPATH": str(CHECKOUT),
                "GITHUB_TOKEN": "ghp_never", **more}  # fmt: skip

    def argv(self, *argv: str) -> list[str]:
        return [sys.executable, "-c", _PROGRAM, *argv]

    def run(self, *argv: str, key: str = "tok3n-tok3n", **more: str) -> subprocess.CompletedProcess[str]:
        environ = self.environ(**({"CC_GLM_AUTH_TOKEN": key} if key else {}), **more)
        return subprocess.run(self.argv(*argv), cwd=self.root, env=environ, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=50, check=False)  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.req("B67", "B72")
def test_the_agent_gets_the_inline_prompt_and_its_success_is_ours(place: Place) -> None:
    place.claude()
    ran = place.run("--prompt", "mend `it`\n twice")
    assert ran.returncode == 0, ran.stderr
    assert "prompt: mend `it`\n twice\n" in ran.stdout
    assert "mend" not in ran.stdout.partition("prompt:")[0], "the prompt stands in an argument"
    assert "ANTHROPIC_AUTH_TOKEN=tok3n-tok3n" in ran.stdout
    assert "GITHUB_TOKEN" not in ran.stdout
    assert "a word to the side" in ran.stderr


@pytest.mark.req("B47")
def test_a_prompt_file_of_any_size_is_sent_whole_and_the_model_comes_from_the_environment(place: Place) -> None:
    place.claude('#!/bin/sh\necho "$*"\nwc -c\n')
    (place.root / "p.prompt").write_text("x" * 300_000)
    ran = place.run("--prompt-file", "p.prompt", CC_GLM_MODEL="glm-4.9")
    assert ran.returncode == 0, ran.stderr
    assert "--model glm-4.9" in ran.stdout
    assert ran.stdout.split()[-1] == "300000"
    assert "--model glm-7" in place.run("--prompt", "x", "--model", "glm-7", CC_GLM_MODEL="glm-4.9").stdout


def test_what_is_launched_is_told_on_stderr_without_the_key(place: Place) -> None:
    place.claude()
    (place.root / "token").write_text("s3cret-s3cret\n")
    ran = place.run("--prompt", "x", key="", CC_GLM_TOKEN_FILE="token", CC_GLM_REPORT_AUTH_SOURCE="1")
    launch, source = ran.stderr.splitlines()[:2]
    facts = dict(word.split("=", 1) for word in launch.split()[1:])
    assert launch.startswith("LAUNCH at=20")
    assert (facts["provider"], facts["model"], facts["auth_source"]) == ("cc-glm", "glm-5", "CC_GLM_TOKEN_FILE")
    assert f"pid: {facts['pid']}\n" in ran.stdout
    assert source == "AUTH_SOURCE CC_GLM_TOKEN_FILE (token)"
    assert "s3cret" not in ran.stderr
    assert "AUTH_SOURCE" not in place.run("--prompt", "x").stderr


@pytest.mark.parametrize("code", [3, 10, 64])
def test_the_agents_own_exit_code_comes_back(place: Place, code: int) -> None:
    place.claude(f"#!/bin/sh\nexit {code}\n")
    assert place.run("--prompt", "x").returncode == code


@pytest.mark.req("B68", "A69")
@pytest.mark.parametrize(
    ("name", "words"),
    [("none.prompt", "prompt file not found: none.prompt"), ("tools", "prompt file is a folder: tools")],
)
def test_a_bad_prompt_file_is_a_general_error_and_starts_nothing(place: Place, name: str, words: str) -> None:
    place.claude()
    ran = place.run("--prompt-file", name)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert words in ran.stderr


@pytest.mark.req("B69")
@pytest.mark.parametrize(
    "argv",
    [(), ("--prompt", " "), ("--prompt", "x", "--prompt-file", "y"), ("--promt", "x"), ("--prompt",), ("x",)],
)
def test_wrong_arguments_end_with_2_and_start_nothing(place: Place, argv: tuple[str, ...]) -> None:
    place.claude()
    ran = place.run(*argv)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: ")


@pytest.mark.req("A90", "A91", "B66", "B70", "B78", "B79", "B80")
@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({}, 10, "AUTH TOKEN RESOLUTION FAILED"),
        ({"ZAI_API_KEY": "op://dev/x/KEY"}, 10, "op CLI not found"),
        ({"CC_GLM_TOKEN_FILE": "none"}, 11, "Token file not found: none"),
    ],
)
def test_without_credentials_it_fails_at_once_and_starts_nothing(
    place: Place, environ: dict[str, str], code: int, words: str
) -> None:
    place.claude("#!/bin/sh\necho started\n")
    ran = place.run("--prompt", "x", key="", **environ)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert words in ran.stderr
    assert "LAUNCH" not in ran.stderr
    assert "export CC_GLM_AUTH_TOKEN=..." in ran.stderr


@pytest.mark.req("B56", "B77")
def test_a_key_of_1password_is_read_once_and_reaches_the_agent_alone(place: Place) -> None:
    place.claude()
    op = some_op(place.tools)
    ran = place.run("--prompt", "x", key="", CC_GLM_DEBUG="1", OP_SERVICE_ACCOUNT_TOKEN=ACCOUNT,
                    CC_GLM_REPORT_AUTH_SOURCE="1")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert op.asked == ["read op://dev/Agent-Secrets-Production/ZAI_API_KEY"]
    assert f"ANTHROPIC_AUTH_TOKEN={KEY}\n" in ran.stdout
    assert ACCOUNT not in ran.stdout + ran.stderr
    assert KEY not in ran.stderr
    assert op.env["OP_SERVICE_ACCOUNT_TOKEN"] == ACCOUNT
    assert "GITHUB_TOKEN" not in op.env
    assert "debug: cc-glm: op ended with 0\n" in ran.stderr
    assert "AUTH_SOURCE default-op-uri (op://dev/Agent-Secrets-Production/ZAI_API_KEY)\n" in ran.stderr


@pytest.mark.req("B75", "B76")
def test_claudes_own_login_is_used_only_when_allowed_and_is_announced(place: Place) -> None:
    place.claude()
    own = {"ANTHROPIC_API_KEY": "claudes-own-key"}
    refused = place.run("--prompt", "x", key="", CC_GLM_STRICT_AUTH="0", **own)
    assert (refused.returncode, refused.stdout) == (10, "")
    ran = place.run("--prompt", "x", key="", CC_GLM_ALLOW_FALLBACK="1", **own)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("WARNING: cc-glm has no key of its own") == 1
    assert "auth_source=claude's-own-login" in ran.stderr
    assert "ANTHROPIC_API_KEY=claudes-own-key\n" in ran.stdout
    assert "ANTHROPIC_BASE_URL" not in ran.stdout


@pytest.mark.req("A70")
def test_an_agent_that_is_missing_or_not_executable_is_named(place: Place) -> None:
    ran = place.run("--prompt", "x", PATH=str(place.tools))
    assert (ran.returncode, "claude is not installed or not on PATH" in ran.stderr) == (1, True)
    path = place.claude(mode=0o644)
    ran = place.run("--prompt", "x", PATH=str(place.tools))
    assert ran.returncode == 1
    assert f"{path} is not executable" in ran.stderr
    assert f"chmod +x {path}" in ran.stderr


def test_an_agent_that_the_system_cannot_execute_is_named(place: Place) -> None:
    place.claude("no program at all\n")
    ran = place.run("--prompt", "x")
    assert ran.returncode == 1
    assert "claude could not be started: Exec format error" in ran.stderr


def test_a_provider_that_nobody_knows_has_the_code_of_all_commands(place: Place) -> None:
    ran = place.run("--prompt", "x", "--provider", "cluade")
    assert ran.returncode == 20
    assert ", ".join(sorted(PROVIDERS)) in ran.stderr


@pytest.mark.req("B49")
def test_in_the_background_by_hand_the_pid_is_the_agents_own_and_it_outlives_a_hangup(place: Place) -> None:
    place.claude("#!/bin/sh\necho working\nsleep 0.5\necho done\n")
    line = 'nohup "$@" > bd-1.log 2>&1 & echo $! > bd-1.pid'
    subprocess.run(["sh", "-c", line, "sh", *place.argv("--prompt", "x")], cwd=place.root, check=True, timeout=50,
                   env=place.environ(CC_GLM_AUTH_TOKEN="tok3n"))  # fmt: skip
    pid, log = int((place.root / "bd-1.pid").read_text()), place.root / "bd-1.log"
    until = time.monotonic() + 30
    while not (log.exists() and "working" in log.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(pid, signal.SIGHUP)
    while "done" not in log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert f"pid={pid}" in log.read_text()
    assert "done" in log.read_text()
