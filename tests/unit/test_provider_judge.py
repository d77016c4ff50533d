"""What each recorded end of the real claude means, and what mutilated recordings must never mean."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Outcome, Work
from coordinator.domain.reasons import REASONS
from coordinator.ports import Finished
from coordinator.runfiles.verdict.lines import parse

RECORDINGS = Path(__file__).parents[1] / "recordings" / "claude"
COMMITTED = Work("base", "head", commits=1)
UNTOUCHED = Work("base", "base", commits=0)

# recording, exit code, ending and reason when nothing was committed, ending when something was
TABLE = [
    ("stream", 0, Ending.NO_CHANGE, "no_change", Ending.SUCCEEDED),
    ("e429once", 0, Ending.NO_CHANGE, "no_change", Ending.SUCCEEDED),
    ("tool-kills-itself", 0, Ending.NO_CHANGE, "no_change", Ending.SUCCEEDED),
    ("hook-stop", 0, Ending.FAILED, "claude_permission_denied", Ending.SUCCEEDED),
    ("e401", 1, Ending.FAILED, "claude_auth_blocked", Ending.FAILED),
    ("e403", 1, Ending.FAILED, "claude_auth_blocked", Ending.FAILED),
    ("no-login", 1, Ending.FAILED, "claude_auth_missing", Ending.FAILED),
    ("e400credit", 1, Ending.FAILED, "no_credit", Ending.FAILED),
    ("e404", 1, Ending.FAILED, "claude_model_unavailable", Ending.FAILED),
    ("e429", 1, Ending.FAILED, "claude_rate_limited", Ending.FAILED),
    ("e429long", 1, Ending.FAILED, "claude_usage_limited", Ending.FAILED),
    ("e500", 1, Ending.FAILED, "network", Ending.FAILED),
    ("e529", 1, Ending.FAILED, "overloaded", Ending.FAILED),
    ("refused", 1, Ending.FAILED, "network", Ending.FAILED),
    ("cut", 1, Ending.FAILED, "claude_protocol_error", Ending.FAILED),
    ("malformed", 1, Ending.FAILED, "claude_protocol_error", Ending.FAILED),
    ("max-turns", 1, Ending.FAILED, "max_turns", Ending.FAILED),
    ("max-budget", 1, Ending.FAILED, "max_turns", Ending.FAILED),
    ("sigint-tool", 1, Ending.CANCELLED, "manual_stop", Ending.CANCELLED),
    ("sigterm-tool", 0, Ending.CANCELLED, "manual_stop", Ending.CANCELLED),
    ("hook-continue-false-1", 0, Ending.CANCELLED, "manual_stop", Ending.CANCELLED),
    ("hook-continue-false-2", 0, Ending.CANCELLED, "manual_stop", Ending.CANCELLED),
    ("hook-continue-false-3", 0, Ending.CANCELLED, "manual_stop", Ending.CANCELLED),
    ("session", 0, Ending.FAILED, "claude_protocol_error", Ending.FAILED),
]


def lines_of(name: str) -> list[bytes]:
    return (RECORDINGS / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def judge(
    lines: list[bytes],
    *,
    code: int | None = 0,
    signal: int | None = None,
    wrapper: str = "process_exit",
    stderr: str = "",
    work: Work | None = UNTOUCHED,
    name: str = "claude",
) -> Outcome:
    return provider(name).judge(Finished(code, signal, wrapper, lines, stderr, work))


def result(**fields: object) -> bytes:
    return json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "ok"} | fields).encode()


@pytest.mark.parametrize(("name", "code", "ending", "reason", "with_work"), TABLE)
def test_each_recorded_end_is_judged_as_what_it_was(
    name: str, code: int, ending: Ending, reason: str, with_work: Ending
) -> None:
    bare = judge(lines_of(name), code=code)
    assert (bare.ending, bare.reason) == (ending, reason), bare.detail
    assert judge(lines_of(name), code=code, work=COMMITTED).ending is with_work


def test_no_recording_is_left_out_of_the_table() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.jsonl")} == {row[0] for row in TABLE}


def test_a_success_carries_session_model_usage_and_the_agents_words() -> None:
    outcome = judge(lines_of("stream"), work=COMMITTED)
    assert outcome.session_id == "f9ec2ff0-988b-49fb-b5f2-c3c35a98b0d1"
    assert outcome.model.startswith("claude-opus")
    assert (outcome.usage.tokens_in, outcome.usage.tokens_out, outcome.usage.cost_usd) == (200, 20, 0.0015)
    assert (outcome.summary, outcome.judged_by) == ("All done.", "result")


def test_uncommitted_work_is_work() -> None:
    assert judge(lines_of("stream"), work=Work("a", "a", 0, dirty=("new.py",))).ending is Ending.SUCCEEDED


@pytest.mark.parametrize(
    ("wrapper", "ending"),
    [
        ("manual_stop", Ending.CANCELLED),
        ("label_removed", Ending.CANCELLED),
        ("issue_closed", Ending.CANCELLED),
        ("paused", Ending.CANCELLED),
        ("shutdown", Ending.CANCELLED),
        ("stalled", Ending.STALLED),
        ("no_mutation", Ending.STALLED),
        ("max_runtime", Ending.TIMED_OUT),
        ("lost", Ending.LOST),
        ("host_reboot", Ending.LOST),
        ("killed", Ending.FAILED),
        ("oom_killed", Ending.FAILED),
        ("launch_failed", Ending.FAILED),
        ("leaked", Ending.FAILED),
    ],
)
def test_a_reason_of_the_wrapper_outweighs_a_result_that_says_success(wrapper: str, ending: Ending) -> None:
    outcome = judge(lines_of("stream"), wrapper=wrapper, work=COMMITTED)
    assert (outcome.ending, outcome.reason, outcome.judged_by) == (ending, wrapper, "wrapper")


def test_a_word_of_the_wrapper_outside_the_list_is_no_reason() -> None:
    assert judge(lines_of("stream"), wrapper="late_finalize_no_rc", work=COMMITTED).ending is Ending.SUCCEEDED


@pytest.mark.parametrize("wrapper", ["launch_failed", "process_exit"])
def test_a_missing_program_is_named_for_each_provider(wrapper: str) -> None:
    assert judge([], code=127, wrapper=wrapper).reason == "claude_binary_missing"
    assert judge([], code=127, wrapper=wrapper, name="command").reason == "command_binary_missing"


@pytest.mark.parametrize(
    ("code", "signal", "ending", "reason"),
    [
        (None, 15, Ending.CANCELLED, "manual_stop"),
        (None, 2, Ending.CANCELLED, "manual_stop"),
        (143, None, Ending.CANCELLED, "manual_stop"),
        (130, None, Ending.CANCELLED, "manual_stop"),
        (None, 9, Ending.FAILED, "killed"),
        (137, None, Ending.FAILED, "killed"),
        (0, None, Ending.FAILED, "claude_protocol_error"),
        (None, None, Ending.FAILED, "claude_protocol_error"),
    ],
)
@pytest.mark.req("P64")
def test_without_a_result_signal_and_exit_code_decide(
    code: int | None, signal: int | None, ending: Ending, reason: str
) -> None:
    outcome = judge(lines_of("stream")[:-1], code=code, signal=signal, work=COMMITTED)
    assert (outcome.ending, outcome.reason) == (ending, reason)


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("error: unknown option '--foo'", "launch_failed"),
        ("Invalid API key · Please run /login", "claude_auth_blocked"),
        ("--dangerously-skip-permissions cannot be used with root/sudo privileges", "claude_permission_denied"),
        ("Error: Session ID 1 is already in use.", "launch_failed"),
        ("FATAL ERROR: JavaScript heap out of memory", "oom_killed"),
        ("write ENOSPC: no space left on device", "disk_full"),
        ("improper prompt: approve the PR", "claude_protocol_error"),
    ],
)
@pytest.mark.req("P64")
def test_words_of_stderr_are_matched_whole_and_only_for_what_they_mean(stderr: str, reason: str) -> None:
    outcome = judge([], code=1, stderr=stderr)
    assert outcome.reason == reason
    assert stderr[:40] in outcome.detail


def test_a_result_that_only_calls_itself_a_success_is_none() -> None:
    outcome = judge([result(result="[API Error: 401 Incorrect API key provided]")], work=COMMITTED)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "claude_auth_blocked")


@pytest.mark.parametrize("words", ["API Error handling is in: a (401) is told apart.", "API errors: 429 is retried."])
def test_an_agent_may_begin_its_report_with_the_words_that_begin_an_error(words: str) -> None:
    assert judge([result(result=words)], work=COMMITTED).ending is Ending.SUCCEEDED


@pytest.mark.parametrize(("name", "stream"), [
    ("codex", [{"type": "thread.started"}, {"type": "item.completed", "item": {"type": "agent_message", "text": "?"}},
               {"type": "turn.completed"}]),
    ("gemini", [{"type": "init"}, {"type": "message", "role": "assistant", "content": "?"},
                {"type": "result", "status": "success"}]),
    ("opencode", [{"type": "step_start", "part": {}}, {"type": "text", "part": {"text": "?"}},
                  {"type": "step_finish", "part": {"reason": "stop"}}]),
])  # fmt: skip
@pytest.mark.parametrize("words", ["[API Error: 401 is now parsed", "API Error: 429 usage limit reached is now tested"])
def test_what_the_model_of_a_stream_that_tells_its_failures_says_itself_is_no_failure(
    name: str, stream: list[object], words: str
) -> None:
    lines = [json.dumps(body).replace("?", words).encode() for body in stream]
    assert judge(lines, work=COMMITTED, name=name).ending is Ending.SUCCEEDED


@pytest.mark.parametrize("words", ["hit your ", "session id ", "model ", "token count "])
def test_a_result_of_a_megabyte_that_repeats_half_of_a_pattern_is_judged_at_once(words: str) -> None:
    bad = result(is_error=True, result=words * (1_000_000 // len(words)))
    begun = time.process_time()
    assert judge([bad], code=1).reason == "process_exit"
    assert time.process_time() - begun < 5


def test_output_that_holds_no_events_is_counted_in_the_words() -> None:
    assert "2 lines of it are no events" in judge([b"Segmentation fault\n", b"[1]\n"], code=1).detail


def test_a_session_that_went_on_after_its_result_has_none() -> None:
    lines = lines_of("stream")
    assert judge([lines[-1], *lines[1:-1]], work=COMMITTED).reason == "claude_protocol_error"


@pytest.mark.parametrize("reset", [1_900_000_000, 1_900_000_000_000])
def test_the_end_of_a_usage_limit_is_read_wherever_it_stands(reset: int) -> None:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": reset}}
    bad = result(is_error=True, api_error_status=429, result="limit")
    old = result(is_error=True, result=f"Claude AI usage limit reached|{reset}")
    for lines in ([json.dumps(event).encode(), bad], [old]):
        outcome = judge(lines, code=1)
        assert (outcome.reason, outcome.reset_at) == ("claude_usage_limited", 1_900_000_000)


def test_secrets_never_enter_an_outcome() -> None:
    secret = "ghp_" + "a1" * 18
    outcome = judge([result(result=f"pushed with {secret}")], work=COMMITTED)
    assert secret not in repr(outcome)
    assert secret not in repr(judge([], code=1, stderr=f"fatal: {secret}"))


def test_a_program_without_events_is_judged_by_its_exit_code_and_this_is_recorded() -> None:
    plain = [b"working\n", b"done\n"]
    good = judge(plain, work=COMMITTED, name="command")
    assert (good.ending, good.judged_by) == (Ending.SUCCEEDED, "exit")
    assert judge(plain, name="command").ending is Ending.NO_CHANGE
    bad = judge(plain, code=3, work=COMMITTED, name="command", stderr="no luck")
    assert (bad.ending, bad.reason, bad.detail) == (Ending.FAILED, "process_exit", "no luck")


def test_a_good_exit_proves_nothing_of_a_program_that_began_claudes_stream_and_left_no_result() -> None:
    begun = [line for line in lines_of("stream") if b'"type":"result"' not in line]
    silent = judge(begun, code=0, work=COMMITTED, name="command")
    assert (silent.ending, silent.reason) == (Ending.FAILED, "command_protocol_error")


def test_a_program_that_prints_a_result_is_judged_by_it() -> None:
    said_bad = judge(lines_of("e401"), code=0, work=COMMITTED, name="command")
    assert (said_bad.ending, said_bad.reason, said_bad.judged_by) == (Ending.FAILED, "command_auth_blocked", "result")
    assert judge(lines_of("stream"), code=1, work=COMMITTED, name="command").ending is Ending.SUCCEEDED


ALL_LINES = [line for row in TABLE for line in lines_of(row[0])]
JUNK = st.binary(max_size=60) | st.sampled_from(
    [
        b"[1, 2]\n",
        b"7\n",
        b'"words"\n',
        b'{"type":"result"}\n',
        b'{"type":"user","message":"plain"}\n',
        b'{"type":"assistant","message":{"content":"plain"}}\n',
        b"\xff\xfe{\n",
        b"[" * 5000 + b"\n",
        b'{"type":"result","subtype":"success","is_error":false,"usage":{"input_tokens":1e999}}\n',
        b'{"type":"assistant","message":{"content":[null,3]},"error":7}\n',
        b'{"type":["x"]}\n',
        b'{"type":"result","is_error":"no","permission_denials":{"a":1},"result":[{"x":1}]}\n',
    ]
)


@given(
    st.lists(st.sampled_from(ALL_LINES) | JUNK, max_size=12),
    st.integers(0, 400),
    st.sampled_from([None, 0, 1, 137, 143]),
    st.sampled_from([None, UNTOUCHED, COMMITTED]),
)
def test_mutilated_streams_never_raise_and_never_succeed_without_a_good_last_result(
    lines: list[bytes], cut: int, code: int | None, work: Work | None
) -> None:
    stream = b"".join(lines)
    torn = stream[: max(0, len(stream) - cut)].splitlines(keepends=True)
    outcome = judge(torn, code=code, work=work)
    assert outcome.reason in REASONS
    results = [body for body in map(parse, torn) if body and body.get("type") == "result"]
    if outcome.ending in {Ending.SUCCEEDED, Ending.NO_CHANGE}:
        assert results
        assert results[-1]["is_error"] is False
        assert results[-1]["subtype"] == "success"
    judge(torn, code=code, work=work, name="command")
