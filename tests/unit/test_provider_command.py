"""How workers are started: what their argv and environment hold, and what never gets into them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.providers import UnknownProvider, provider
from coordinator.adapters.providers.claude import HOOKS
from coordinator.adapters.providers.environment import worker_env
from coordinator.ports import Command, RunSpec, Settings

RECORDING = Path(__file__).parents[1] / "recordings" / "claude" / "stream.jsonl"


def command(
    name: str = "claude",
    environ: Mapping[str, str] | None = None,
    *,
    as_root: bool = False,
    prompt: str = "do it",
    **settings: object,
) -> Command:
    return provider(name).command(
        RunSpec(
            task_id="gh-471",
            attempt=2,
            prompt=prompt,
            prompt_file=Path("/jobs/gh-471.prompt"),
            worktree=Path("/trees/gh-471"),
            session_id="11111111-2222-3333-4444-555555555555",
            settings=Settings(**settings),
            environ=environ or {},
            as_root=as_root,
        )
    )  # type: ignore[arg-type]


@pytest.mark.req("P55")
@pytest.mark.parametrize("name", ["claude", "command"])
def test_the_prompts_own_text_goes_by_stdin_and_never_by_argv(name: str) -> None:
    made = command(name, prompt="PROMPT `rm -rf`", argv=("agent",))
    assert made.stdin == "prompt"
    assert not any("PROMPT" in word or "gh-471.prompt" in word for word in made.argv)


def test_claude_is_asked_for_a_stream_with_the_tools_of_the_template_and_no_others() -> None:
    argv = command(model="opus", max_turns=7, tools=("Bash(git:*)", "Read"), args=("--add-dir", "/x")).argv
    assert argv[:5] == ("claude", "-p", "--output-format", "stream-json", "--verbose")
    assert argv[argv.index("--session-id") + 1] == "11111111-2222-3333-4444-555555555555"
    assert argv[argv.index("--model") + 1] == "opus"
    assert argv[argv.index("--max-turns") + 1] == "7"
    assert argv[argv.index("--setting-sources") + 1] == "user"
    assert argv[-5:] == ("--allowedTools", "Bash(git:*)", "Read", "--add-dir", "/x")
    assert not any("skip-permissions" in word for word in argv)


def test_the_hook_of_claude_interrupts_it_only_when_a_stop_file_stands(tmp_path: Path) -> None:
    argv = command().argv
    assert json.loads(argv[argv.index("--settings") + 1]) == HOOKS
    hook = HOOKS["hooks"]["PreToolUse"][0]["hooks"][0]["command"]
    parent = f"trap 'echo interrupted' INT; sh -c '{hook}'; echo $?"
    env = {"CLAUDE_PROJECT_DIR": str(tmp_path), "PATH": os.environ["PATH"]}

    def run() -> list[str]:
        return subprocess.run(["sh", "-c", parent], env=env, capture_output=True, text=True, check=True).stdout.split()

    assert run() == ["0"]
    (tmp_path / "STOP").touch()
    assert run() == ["interrupted", "2"]


def test_skipping_permissions_as_root_is_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match=r"as root.*tools = "):
        command(args=("--dangerously-skip-permissions",), as_root=True)
    assert "--dangerously-skip-permissions" in command(args=("--dangerously-skip-permissions",)).argv


SECRETS = {
    "GITHUB_TOKEN": "1",
    "GH_TOKEN": "2",
    "GITHUB_ENTERPRISE_TOKEN": "3",
    "SSH_AUTH_SOCK": "4",
    "IS_SANDBOX": "5",
    "OPENAI_API_KEY": "6",
    "GEMINI_API_KEY": "7",
    "ZAI_API_KEY": "8",
    "CC_GLM_AUTH_TOKEN": "9",
    "OP_SERVICE_ACCOUNT_TOKEN": "10",
    "GIT_ASKPASS": "11",
    "AWS_SECRET_ACCESS_KEY": "12",
}


def test_claude_gets_its_own_keys_and_nobody_elses() -> None:
    mine = {
        "ANTHROPIC_API_KEY": "k",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "PATH": "/bin",
        "HOME": "/h",
        "LC_ALL": "C",
        "https_proxy": "p",
        "NODE_EXTRA_CA_CERTS": "c",
        "MY_FLAG": "f",
    }
    env = command(environ={**mine, **SECRETS}, environment=("MY_FLAG", "GITHUB_TOKEN", "OPENAI_API_KEY")).env
    assert {name: env.get(name) for name in mine} == mine
    assert not set(SECRETS) & set(env)


@given(
    st.dictionaries(st.sampled_from([*SECRETS, "FOO", "PATH", "GIT_CONFIG_COUNT"]), st.text(min_size=1)),
    st.lists(st.sampled_from([*SECRETS, "*", "G*", "FOO"])),
)
def test_no_allow_list_whatever_lets_a_github_token_or_a_key_agent_through(
    environ: dict[str, str], allow: list[str]
) -> None:
    env = worker_env(environ, allow, {})
    assert not {"GITHUB_TOKEN", "GH_TOKEN", "SSH_AUTH_SOCK", "GIT_ASKPASS", "IS_SANDBOX"} & set(env)
    assert (env["GIT_CONFIG_KEY_0"], env["GIT_CONFIG_VALUE_0"]) == ("credential.helper", "")
    assert env["GIT_TERMINAL_PROMPT"] == "0"


@pytest.mark.parametrize("address", ["https://h.invalid/acme/widgets", "http://h.invalid/acme/widgets",
                                     "ssh://git@h.invalid/acme/widgets", "git@h.invalid:acme/widgets"])
def test_git_in_a_worker_fetches_from_where_it_did_and_cannot_push_there(tmp_path: Path, address: str) -> None:
    env = worker_env({"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, (), {})

    def git(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(tmp_path), *args], env=env, capture_output=True, text=True, check=False)

    git("init", "-q")
    git("remote", "add", "origin", address)
    git("commit", "-q", "--allow-empty", "-m", "work")
    assert git("remote", "get-url", "origin").stdout.strip() == address
    assert "coordinator-pushes-not-the-worker" in (said := git("push", "origin", "HEAD").stderr) or (
        "The coordinator pushes, not the worker" in said)


def test_a_worker_always_has_an_identity_and_the_callers_goes_first() -> None:
    assert command().env["GIT_AUTHOR_EMAIL"] == "coordinator@localhost"
    given = {"GIT_AUTHOR_NAME": "Ada", "GIT_COMMITTER_NAME": ""}
    env = command(environ=given).env
    assert (env["GIT_AUTHOR_NAME"], env["GIT_COMMITTER_NAME"]) == ("Ada", "Coordinator")


def test_the_source_of_the_credentials_is_named_and_the_key_is_not() -> None:
    made = command(environ={"ANTHROPIC_API_KEY": "sk-secret"})
    assert made.auth_source == "ANTHROPIC_API_KEY"
    assert command(environ={"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "t"}).auth_source == (
        "ANTHROPIC_AUTH_TOKEN"
    )
    assert command().auth_source == "login in ~/.claude"
    assert "sk-secret" not in repr(made.argv)


def test_placeholders_of_a_command_are_filled_once_and_without_a_shell() -> None:
    argv = (
        "{python}", "a.py", "--in={prompt_file}", "{output_file}", "{worktree}", "{model}", "{task}-{attempt}",
        '{"json": 1}',
    )  # fmt: skip
    made = command("command", argv=argv, model="{task}; rm -rf /")
    assert made.argv == (
        sys.executable,
        "a.py",
        "--in=/jobs/gh-471.prompt",
        "/dev/stdout",
        "/trees/gh-471",
        "{task}; rm -rf /",
        "gh-471-2",
        '{"json": 1}',
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("agent", "{promt_file}"), r"unknown placeholder \{promt_file\}.*Known: \{prompt_file\}"),
        ((), "argv is empty"),
    ],
)
def test_a_command_that_cannot_be_filled_names_the_wrong_word(argv: Sequence[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        command("command", argv=tuple(argv))


def test_an_unknown_provider_is_answered_with_those_that_exist() -> None:
    with pytest.raises(UnknownProvider, match=r"'cluade'; there are: cc-glm, claude, "):
        provider("cluade")


def test_the_events_of_a_recorded_run_have_their_normal_form() -> None:
    lines = RECORDING.read_bytes().splitlines()
    said = [one for line in lines for one in provider("claude").events(line)]
    assert [one.kind for one in said] == ["init", "text", "tool", "tool_result", "text", "result"]
    assert (said[2].tool, said[3].text) == ("Bash", "0a2ab17 x")


def test_several_blocks_of_one_line_carry_their_object_once() -> None:
    blocks = [{"type": "text", "text": "now"}, {"type": "tool_use", "name": "Read", "input": {}}]
    said = provider("claude").events(json.dumps({"type": "assistant", "message": {"content": blocks}}).encode())
    assert [(one.kind, bool(one.raw)) for one in said] == [("text", True), ("tool", False)]


@pytest.mark.parametrize(
    "line",
    [
        b"Warning: something\n",
        b"[1]\n",
        b'{"type":"assist',
        b"\xff\xfe\x00",
        b'{"type":"new_in_3.0"}',
        b"x" * 10_000_000,
    ],
)
def test_a_line_that_says_nothing_known_is_kept_as_unknown(line: bytes) -> None:
    (one,) = provider("claude").events(line)
    assert one.kind == "unknown"
    assert one.raw


def test_plain_lines_of_a_command_are_its_words_and_events_stay_events() -> None:
    agent = provider("command")
    assert [(one.kind, one.text) for one in agent.events(b"  building\n")] == [("text", "  building")]
    assert agent.events(b"\n") == ()
    assert [one.kind for one in agent.events(RECORDING.read_bytes().splitlines()[-1])] == ["result"]
    assert [one.kind for one in agent.events(b'{"progress": 3}')] == ["text"]
