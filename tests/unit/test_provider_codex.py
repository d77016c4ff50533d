"""codex: its stream in the normal form, its command line and what its ends mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Outcome, Usage, Work
from coordinator.ports import AuthUnresolved, Credentials, Finished, RunSpec, Settings
from tests.contract.test_providers import Host

CODEX = provider("codex")
COMMITTED, UNTOUCHED = Work("base", "head", commits=1), Work("base", "base", commits=0)
BEGUN = '{"type":"thread.started","thread_id":"t-1"}\n{"type":"turn.started"}\n'
DONE = '{"type":"turn.completed","usage":{"input_tokens":250,"cached_input_tokens":200,"output_tokens":10}}\n'
SAID = '{"type":"item.completed","item":{"id":"i1","type":"agent_message","text":"All done."}}\n'


def judged(stream: str, code: int = 0, *, work: Work = UNTOUCHED, stderr: str = "") -> Outcome:
    return CODEX.judge(Finished(code, None, "process_exit", stream.encode().splitlines(keepends=True), stderr, work))


def failed(words: str) -> str:
    return BEGUN + json.dumps({"type": "turn.failed", "error": {"message": words}}) + "\n"


def spec(environ: dict[str, str], **more: object) -> RunSpec:
    given = Settings(**more)  # type: ignore[arg-type]
    return RunSpec("gh-1", 1, "p", Path("/p"), Path("/w"), "s", given, environ, credentials=Credentials("X", "m"))


def kinds(line: dict[str, object]) -> list[str]:
    return [said.kind for said in CODEX.events(json.dumps(line).encode())]


def test_a_good_turn_is_success_with_its_words_its_session_and_every_token_counted_once() -> None:
    outcome = judged(BEGUN + SAID + DONE, work=COMMITTED)
    assert (outcome.ending, outcome.summary, outcome.session_id) == (Ending.SUCCEEDED, "All done.", "t-1")
    assert outcome.usage == Usage(250, 10, None, 200)
    assert judged(BEGUN + SAID + DONE).ending is Ending.NO_CHANGE


@pytest.mark.parametrize(("words", "reason"), [
    ("unexpected status 401 Unauthorized: Incorrect API key, url: http://x/v1/responses", "codex_auth_blocked"),
    ("unexpected status 403 Forbidden: no, url: http://x/v1/responses", "codex_auth_blocked"),
    ("unexpected status 404 Not Found: model: none, url: http://x", "codex_model_unavailable"),
    ("exceeded retry limit, last status: 429 Too Many Requests", "codex_rate_limited"),
    ("You’ve hit your usage limit. Try again later.", "codex_usage_limited"),
    ("You’ve hit your usage limit. Upgrade to Pro or try again at 7:13 PM.", "codex_usage_limited"),
    ("Quota exceeded. Check your plan and billing details.", "no_credit"),
    ("Codex ran out of room in the model's context window. Start a new conversation.", "codex_context_exhausted"),
    ("We’re currently experiencing high demand, which may cause temporary errors.", "overloaded"),
    ("stream disconnected before completion: stream closed before response.completed", "network"),
    ("AssertionError: 1429 != 1430", "process_exit"),
    ("something else", "process_exit"),
])  # fmt: skip
def test_each_failure_of_a_turn_has_its_class_whatever_was_committed(words: str, reason: str) -> None:
    for work in (UNTOUCHED, COMMITTED):
        outcome = judged(failed(words), 1, work=work)
        assert (outcome.ending, outcome.reason) == (Ending.FAILED, reason)
    assert outcome.detail == words


def test_what_means_no_harm_fails_no_run_and_what_it_waited_for_is_over_once_it_answers() -> None:
    odd = '{"type":"item.completed","item":{"type":"error","message":"Model metadata for `m` not found."}}\n'
    wait = '{"type":"error","message":"Reconnecting... 1/5 (unexpected status 429 Too Many)"}\n'
    assert judged(BEGUN + odd + wait + SAID + DONE, work=COMMITTED).ending is Ending.SUCCEEDED


@pytest.mark.parametrize("stream", ["", BEGUN, BEGUN + SAID, BEGUN + SAID + DONE[:40], "WARNING: all is well\n"])
def test_a_good_exit_without_the_end_of_a_turn_is_no_success(stream: str) -> None:
    assert judged(stream, work=COMMITTED).reason == "codex_protocol_error"


def test_what_a_tool_left_on_stderr_is_no_word_of_the_provider_once_the_model_has_answered() -> None:
    told = "ERROR codex_core::tools::router: usage limit reached"
    assert judged(BEGUN + SAID, 1, stderr=told).reason == "codex_protocol_error"
    assert judged(BEGUN + SAID, 1, stderr="No space left on device").reason == "disk_full"
    assert judged(BEGUN, 1, stderr="unexpected: usage limit reached").reason == "codex_usage_limited"


def test_waiting_for_the_network_explains_an_end_without_an_answer() -> None:
    waits = '{"type":"error","message":"Reconnecting... waiting for network (Connection failed: error)"}\n'
    wait = '{"type":"error","message":"Reconnecting... 1/5 (unexpected status 401 Unauthorized)"}\n'
    assert [said.kind for said in CODEX.events(waits.encode())] == ["retry"]
    assert judged(BEGUN + wait, 1).reason == "codex_auth_blocked"


def test_a_tool_is_called_once_and_returns_once_and_an_edit_is_both_at_once() -> None:
    run = {"id": "i2", "type": "command_execution", "command": "pytest -q", "status": "in_progress"}
    assert kinds({"type": "item.started", "item": run}) == ["tool"]
    over = {**run, "status": "failed", "aggregated_output": "1 failed", "exit_code": 1}
    back = CODEX.events(json.dumps({"type": "item.completed", "item": over}).encode())
    assert [(said.kind, said.is_error, said.text) for said in back] == [("tool_result", True, "1 failed")]
    edit = {"type": "file_change", "status": "completed", "changes": [{"path": "a.py", "kind": "add"}]}
    assert kinds({"type": "item.completed", "item": edit}) == ["tool", "tool_result"]
    assert kinds({"type": "item.started", "item": {"type": "agent_message"}}) == []


@pytest.mark.parametrize("line", [
    {"type": "item.completed", "item": {"type": "hologram"}}, {"type": "item.completed", "item": 7},
    {"type": "thread.melted"}, {"no": "type"},
])  # fmt: skip
def test_what_it_never_said_before_is_kept_as_it_is(line: dict[str, object]) -> None:
    [said] = CODEX.events(json.dumps(line).encode())
    assert (said.kind, said.raw) == ("unknown", line)


def test_the_command_reads_the_prompt_from_its_stdin_and_holds_no_key_of_anybody_else() -> None:
    environ = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "GEMINI_API_KEY": "g", "ZAI_API_KEY": "z", "PATH": "/b"}
    command = CODEX.command(spec(environ, model="gpt-x", args=("--search",)))
    assert command.argv[:3] == ("codex", "exec", "--json")
    assert command.argv[-2:] == ("--search", "-")
    assert command.argv[command.argv.index("--model") + 1] == "gpt-x"
    assert (command.stdin, command.speaks, command.auth_source) == ("prompt", "codex", "X")
    assert set(command.env.values()) & {"a", "g", "z"} == set()
    assert command.env["OPENAI_API_KEY"] == "o"
    named = CODEX.command(spec({**environ, "ANTHROPIC_API_KEY": "a"}, environment=("ANTHROPIC_*",)))
    assert named.env["ANTHROPIC_API_KEY"] == "a"


@pytest.mark.parametrize(("environ", "files", "source"), [
    ({"CODEX_API_KEY": "k", "OPENAI_API_KEY": "o"}, {}, "CODEX_API_KEY"),
    ({"OPENAI_API_KEY": "o"}, {}, "OPENAI_API_KEY"),
    ({"HOME": "/h"}, {"/h/.codex/auth.json": "{}"}, "login"),
    ({"HOME": "/h", "CODEX_HOME": "/c"}, {"/c/config.toml": 'model_provider = "mine"'}, "config.toml"),
])  # fmt: skip
def test_credentials_name_their_source(environ: dict[str, str], files: dict[str, str], source: str) -> None:
    assert CODEX.credentials(Host(environ=environ, files=files), Settings()).source == source


def test_without_credentials_nothing_is_started() -> None:
    with pytest.raises(AuthUnresolved) as raised:
        CODEX.credentials(Host(environ={"HOME": "/h"}), Settings())
    assert (raised.value.reason, raised.value.code, raised.value.cure) == ("codex_auth_missing", 10, "codex login")


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["3", "failed", "command_execution"]),
    lambda more: st.lists(more, max_size=3) | st.dictionaries(st.sampled_from(["type", "message", "kind"]), more),
    max_leaves=6,
)
USAGE = ("input_tokens", "cached_input_tokens", "output_tokens")
ITEM = ("id", "text", "items", "changes", "status", "error", "result", "aggregated_output", "command", "message")
KINDS = ("command_execution", "file_change", "agent_message", "reasoning", "todo_list", "error")


@given(st.dictionaries(st.sampled_from(USAGE), HOSTILE) | HOSTILE, HOSTILE)
def test_no_field_of_an_end_raises_whatever_it_holds(usage: object, error: object) -> None:
    for line in ({"type": "turn.completed", "usage": usage}, {"type": "turn.failed", "error": error}):
        outcome = judged(BEGUN + json.dumps(line), 1)
        assert outcome.ending is (Ending.NO_CHANGE if line["type"] == "turn.completed" else Ending.FAILED)


@given(st.sampled_from(["item.started", "item.updated", "item.completed"]), st.sampled_from(KINDS) | HOSTILE,
       st.dictionaries(st.sampled_from(ITEM), HOSTILE))  # fmt: skip
def test_no_field_of_an_item_raises_whatever_it_holds(kind: str, what: object, fields: dict[str, object]) -> None:
    line = json.dumps({"type": kind, "item": {**fields, "type": what}})
    CODEX.events(line.encode())
    assert judged(BEGUN + line + "\n" + DONE, work=COMMITTED).ending is Ending.SUCCEEDED
