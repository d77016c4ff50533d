"""gemini: its stream in the normal form, its command line, its credentials, and what its ends mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Outcome, Usage, Work
from coordinator.domain.reasons import REASONS
from coordinator.ports import AuthUnresolved, Command, Credentials, Finished, RunSpec, Settings
from tests.contract.test_providers import Host

GEMINI = provider("gemini")
RECORDINGS = Path(__file__).parents[1] / "recordings" / "gemini" / "0.61.0"
COMMITTED, UNTOUCHED = Work("base", "head", commits=1), Work("base", "base", commits=0)
INIT = '{"type":"init","session_id":"s-1","model":"gemini-3-flash-preview"}\n'
ASKED = '{"type":"message","role":"user","content":"do it"}\n'
BEGUN = INIT + ASKED
STAMP, MOMENT = "2026-11-21T17:00:00.000Z", 1795280400
ADVICE = "\nPlease wait and try again later. To increase your limits, request a quota increase through AI Studio"
NOTED = "Attempt 1 failed with status {0}. Retrying with backoff... _ApiError: {{}}\n    at somewhere\n"
TALKED = "Error when talking to Gemini API Full report available at: /tmp/x.json {0}: no\n    at somewhere\n"

# recording, exit code, reason when nothing was committed; "" is a run that ended well
TABLE = [
    ("text", 0, ""),
    ("commit", 0, ""),
    ("429-once", 0, ""),
    ("tool-kills-itself", 0, ""),
    ("401", 145, "gemini_auth_blocked"),
    ("403", 147, "gemini_auth_blocked"),
    ("suspended", 147, "gemini_auth_blocked"),
    ("bad-key", 144, "gemini_auth_blocked"),
    ("credit", 144, "no_credit"),
    ("404", 1, "gemini_model_unavailable"),
    ("no-model", 1, "gemini_model_unavailable"),
    ("too-long", 144, "gemini_context_exhausted"),
    ("429", 173, "gemini_capacity_exhausted"),
    ("short", 173, "gemini_capacity_exhausted"),
    ("capacity", 173, "gemini_capacity_exhausted"),
    ("busy", 247, "gemini_capacity_exhausted"),
    ("529", 17, "gemini_capacity_exhausted"),
    ("per-day", 173, "gemini_usage_limited"),
    ("hours", 173, "gemini_usage_limited"),
    ("500", 244, "network"),
    ("refused", 1, "network"),
    ("cut", 1, "gemini_protocol_error"),
    ("garbage", 1, "gemini_protocol_error"),
    ("empty", 0, "gemini_protocol_error"),
    ("safety", 0, "process_exit"),
    ("turns", 53, "max_turns"),
    ("no-yolo", 0, "gemini_permission_denied"),
    ("sigterm-tool", 0, "manual_stop"),
    ("sigterm-waiting", 0, "manual_stop"),
]
STDERR = {"404": TALKED.format("ModelNotFoundError")}
"""Of the recorded runs whose stream does not tell."""
WELL_WITH_WORK = ("no-yolo",)


def lines_of(name: str) -> list[bytes]:
    return (RECORDINGS / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


def judged(stream: str | list[bytes], code: int | None = 0, *, work: Work = UNTOUCHED, stderr: str = "",
           wrapper: str = "process_exit", signal: int | None = None) -> Outcome:  # fmt: skip
    lines = stream.encode().splitlines(keepends=True) if isinstance(stream, str) else stream
    return GEMINI.judge(Finished(code, signal, wrapper, lines, stderr, work))


def failed(message: str, kind: str = "unknown") -> str:
    error = {"type": kind, "message": message}
    return BEGUN + json.dumps({"type": "result", "timestamp": STAMP, "status": "error", "error": error}) + "\n"


def api(**error: object) -> str:
    return failed(f"[API Error: {json.dumps({'error': error})}]")


def command(environ: dict[str, str] | None = None, **settings: object) -> Command:
    chosen = {"PATH": "/b", "GEMINI_API_KEY": "g", **(environ or {})}
    return GEMINI.command(RunSpec(
        "gh-1", 1, "PROMPT", Path("/p"), Path("/w"), "s", Settings(**settings), chosen,  # type: ignore[arg-type]
        credentials=GEMINI.credentials(Host(environ=chosen), Settings()),
    ))  # fmt: skip


# --- how it ended -----------------------------------------------------------------------------------


@pytest.mark.req("C41", "C42")
@pytest.mark.parametrize(("name", "code", "reason"), TABLE)
def test_each_recorded_end_is_judged_as_what_it_was(name: str, code: int, reason: str) -> None:
    bare = judged(lines_of(name), code, stderr=STDERR.get(name, ""))
    worked = judged(lines_of(name), code, stderr=STDERR.get(name, ""), work=COMMITTED)
    if not reason:
        assert (bare.ending, worked.ending) == (Ending.NO_CHANGE, Ending.SUCCEEDED)
        return
    ending = Ending.CANCELLED if reason == "manual_stop" else Ending.FAILED
    assert (bare.ending, bare.reason) == (ending, reason), bare.detail
    assert worked.ending is (Ending.SUCCEEDED if name in WELL_WITH_WORK else ending)


def test_no_recording_is_left_out_of_the_table() -> None:
    assert {path.stem for path in RECORDINGS.glob("*.jsonl")} == {row[0] for row in TABLE}


def test_a_success_carries_its_session_its_model_its_words_and_every_token_counted_once() -> None:
    stats = {"total_tokens": 330, "input_tokens": 250, "cached": 200, "output_tokens": 20}
    said = [{"type": "message", "role": "assistant", "content": part, "delta": True} for part in ("All ", "done.")]
    ended = {"type": "result", "status": "success", "stats": stats}
    outcome = judged(BEGUN + "\n".join(map(json.dumps, (*said, ended))), work=COMMITTED)
    assert (outcome.ending, outcome.summary, outcome.session_id) == (Ending.SUCCEEDED, "All done.", "s-1")
    assert outcome.model == "gemini-3-flash-preview"
    assert outcome.usage == Usage(250, 80, None, 200), "what was thought is in the total alone"


def test_tokens_of_a_run_that_failed_count_as_well() -> None:
    assert judged(lines_of("turns"), 53).usage == Usage(200, 20, None, 0)


@pytest.mark.req("P38")
@pytest.mark.parametrize("words", [
    "AssertionError: 1429 != 1430", "expected 429, got 200", "RESOURCE_EXHAUSTED", "status 429", "quota per day",
    "[API Error: 429]", "Attempt 1 failed with status 429. Retrying",
])  # fmt: skip
def test_a_number_or_a_word_of_a_limit_in_what_a_tool_or_the_model_prints_is_none(words: str) -> None:
    printed = {"type": "tool_result", "tool_id": "t", "status": "error", "output": words,
               "error": {"type": "shell_execute_error", "message": words}}  # fmt: skip
    said = {"type": "message", "role": "assistant", "content": f"It says: {words}"}
    stream = BEGUN + json.dumps(printed) + "\n" + json.dumps(said) + "\n"
    assert judged(stream + '{"type":"result","status":"success","stats":{}}', work=COMMITTED).ending is Ending.SUCCEEDED
    for code, stderr in ((1, f"Error executing tool run_shell_command: {words}"), (1, f"{words} of 1429")):
        ended = judged(stream, code, stderr=stderr)
        assert ended.reason != "gemini_capacity_exhausted"
        assert ended.reason != "gemini_usage_limited"
    assert judged(failed(f"Error executing tool x: {words}"), 1).reason == "process_exit"


@pytest.mark.req("P38")
def test_a_quota_error_on_stderr_of_a_run_that_ended_well_is_success() -> None:
    outcome = judged(lines_of("commit"), 0, stderr=NOTED.format(429) + TALKED.format("TerminalQuotaError"),
                     work=COMMITTED)  # fmt: skip
    assert (outcome.ending, outcome.reason) == (Ending.SUCCEEDED, "process_exit")


@pytest.mark.parametrize(("stream", "reason"), [
    (api(code=400, message="API key expired. Please renew the API key.", status="INVALID_ARGUMENT"), "auth_blocked"),
    (api(code=400, message="Request contains an invalid argument.", status="INVALID_ARGUMENT"), "process_exit"),
    (api(code=429, message=json.dumps({"error": {"code": 429, "message": "Resource has been exhausted"}})),
     "capacity_exhausted"),
    (api(code=502, message="Bad Gateway"), "network"),
    (api(code=499, message="The operation was cancelled."), "capacity_exhausted"),
    (failed(f"[API Error: Quota exceeded for requests per day.]{ADVICE}"), "usage_limited"),
    (failed(f"[API Error: Quota exceeded, limit: 0, model: m]{ADVICE}"), "usage_limited"),
    (failed(f"[API Error: Quota exceeded, limit: 0.5, model: m]{ADVICE}"), "capacity_exhausted"),
    (failed(f"[API Error: limit: 10. Please retry in 301s.]{ADVICE}"), "usage_limited"),
    (failed(f"[API Error: limit: 10. Please retry in 299.5s.]{ADVICE}"), "capacity_exhausted"),
    (failed(f"[API Error: limit: 10. Please retry in 900ms.]{ADVICE}"), "capacity_exhausted"),
    (failed("[API Error: exception TypeError: fetch failed sending request]"), "network"),
    (failed("Please run it in a terminal to log in", "FatalAuthenticationError"), "auth_missing"),
    (failed("[API Error: Exiting due to an error processing the @ command.]", "FatalInputError"), "launch_failed"),
    (failed("Error executing tool write_file: disk", "no_space_left"), "disk_full"),
])  # fmt: skip
def test_a_failure_is_told_by_the_api_s_own_words_and_status(stream: str, reason: str) -> None:
    outcome = judged(stream, 1)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, reason if reason in REASONS else f"gemini_{reason}")


@pytest.mark.parametrize(("words", "seconds"), [
    ("Suggested retry after 7200s.", 7200), ("Your quota will reset after 2h15m30s.", 8130),
    ("Please retry in 301.5s.", 301.5), ("Your quota will reset after 1d.", 86_400),
])  # fmt: skip
def test_a_limit_that_lasts_is_over_when_its_words_say_counted_from_the_stream_s_own_time(
    words: str, seconds: float
) -> None:
    outcome = judged(failed(f"[API Error: You have exhausted your quota. {words}]{ADVICE}"), 173)
    assert (outcome.reason, outcome.reset_at) == ("gemini_usage_limited", MOMENT + seconds)


def test_a_limit_without_an_end_names_none() -> None:
    for words in ("You have exhausted your daily quota.", "Your quota will reset after 99999999999h."):
        outcome = judged(failed(f"[API Error: {words}]{ADVICE}"), 173)
        assert (outcome.reason, outcome.reset_at) == ("gemini_usage_limited", None)


@pytest.mark.parametrize(("code", "reason"), [
    (41, "gemini_auth_missing"), (42, "launch_failed"), (44, "launch_failed"), (52, "config_error"), (53, "max_turns"),
    (54, "disk_full"), (55, "config_error"), (145, "gemini_auth_blocked"), (147, "gemini_auth_blocked"),
    (148, "gemini_model_unavailable"), (173, "gemini_capacity_exhausted"), (247, "gemini_capacity_exhausted"),
    (244, "network"), (1, "gemini_protocol_error"), (0, "gemini_protocol_error"), (127, "gemini_binary_missing"),
])  # fmt: skip
def test_an_exit_code_tells_where_the_stream_does_not(code: int, reason: str) -> None:
    assert judged("", code).reason == reason
    assert judged(api(code=403, message="no"), code).reason == "gemini_auth_blocked", "the stream goes before it"


@pytest.mark.parametrize(("stderr", "reason"), [
    (TALKED.format("TerminalQuotaError"), "gemini_usage_limited"),
    (TALKED.format("RetryableQuotaError"), "gemini_capacity_exhausted"),
    (NOTED.format(429), "gemini_capacity_exhausted"),
    (NOTED.format(429) + NOTED.format(500), "network"),
    (f"a tool said: {NOTED.format(429)}", "gemini_protocol_error"),
    ("Unknown argument: such", "launch_failed"),
])  # fmt: skip
def test_stderr_tells_why_where_neither_stream_nor_exit_code_does(stderr: str, reason: str) -> None:
    assert judged(BEGUN, 1, stderr=stderr).reason == reason


@pytest.mark.parametrize("number", [9, 15])
def test_a_signal_goes_before_what_stderr_tells(number: int) -> None:
    outcome = judged(BEGUN, None, signal=number, stderr=NOTED.format(429))
    assert outcome.reason == ("killed" if number == 9 else "manual_stop")


@pytest.mark.req("C42")
@pytest.mark.parametrize("wrapper", ["max_runtime", "stalled", "no_mutation"])
def test_a_run_that_only_asked_in_silence_until_it_was_ended_is_explained_by_its_stderr(wrapper: str) -> None:
    outcome = judged(BEGUN, None, signal=15, wrapper=wrapper, stderr=NOTED.format(500) + NOTED.format(429))
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "gemini_capacity_exhausted")
    assert outcome.judged_by == "wrapper"
    assert judged(BEGUN, None, signal=15, wrapper=wrapper, stderr="429").reason == wrapper
    spoke = b"".join(lines_of("commit")[:4]).decode()
    assert judged(spoke, None, signal=15, wrapper=wrapper, stderr=NOTED.format(429)).reason == wrapper


@pytest.mark.parametrize("wrapper", ["manual_stop", "killed", "label_removed"])
def test_who_was_stopped_was_stopped_whatever_it_waited_for(wrapper: str) -> None:
    assert judged(BEGUN, None, signal=15, wrapper=wrapper, stderr=NOTED.format(429)).reason == wrapper


def test_a_tool_that_a_policy_forbids_is_named_and_one_that_never_was_is_not() -> None:
    def refusal(kind: str, tool: str) -> str:
        back = {"type": "tool_result", "tool_id": f"{tool}__{tool}_1_0", "status": "error", "error": {"type": kind}}
        return BEGUN + json.dumps(back) + '\n{"type":"result","status":"success","stats":{}}'

    denied = judged(refusal("policy_violation", "web_fetch"))
    assert (denied.reason, "web_fetch" in denied.detail) == ("gemini_permission_denied", True)
    assert judged(refusal("tool_not_registered", "write_file")).reason == "gemini_permission_denied"
    assert judged(refusal("tool_not_registered", "dreamt_of")).ending is Ending.NO_CHANGE
    assert judged(refusal("file_not_found", "replace")).ending is Ending.NO_CHANGE


# --- its stream -------------------------------------------------------------------------------------


def test_a_tool_is_called_once_and_returns_once_with_its_output_or_its_error() -> None:
    call, back = lines_of("commit")[3:5]
    [called] = GEMINI.events(call)
    assert (called.kind, called.tool) == ("tool", "run_shell_command")
    assert [(said.kind, said.is_error) for said in GEMINI.events(back)] == [("tool_result", False)]
    bad = {"type": "tool_result", "tool_id": "t", "status": "error", "error": {"message": "no such file"}}
    [said] = GEMINI.events(json.dumps(bad).encode())
    assert (said.kind, said.text, said.is_error) == ("tool_result", "no such file", True)


@pytest.mark.parametrize(("severity", "kind"), [("error", "error"), ("warning", "note")])
def test_an_error_is_one_by_its_severity(severity: str, kind: str) -> None:
    [said] = GEMINI.events(json.dumps({"type": "error", "severity": severity, "message": "Loop detected"}).encode())
    assert (said.kind, said.text) == (kind, "Loop detected")


def test_the_prompt_is_nobody_s_message() -> None:
    assert GEMINI.events(ASKED.encode()) == ()


@pytest.mark.parametrize("line", [{"type": "thought", "text": "hm"}, {"type": ["x"]}, {"no": "type"}])
def test_what_it_never_said_before_is_kept_as_it_is(line: dict[str, object]) -> None:
    [said] = GEMINI.events(json.dumps(line).encode())
    assert (said.kind, said.raw) == ("unknown", line)


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([
        '[API Error: {"error":7}]', '[API Error: {"error":{"code":"x","message":{}}}]', "9" * 400,
        f"[API Error: retry in {'9' * 400}h]{ADVICE}", STAMP, "error", "success", "429",
    ]),
    lambda more: st.lists(more, max_size=3) | st.dictionaries(st.sampled_from(["type", "message", "code"]), more),
    max_leaves=6,
)
FIELDS = ("timestamp", "role", "content", "status", "error", "stats", "severity", "message", "tool_id", "output",
          "parameters", "session_id")  # fmt: skip


@given(st.sampled_from(["init", "message", "tool_use", "tool_result", "error", "result"]),
       st.dictionaries(st.sampled_from(FIELDS), HOSTILE), st.sampled_from([None, 0, 1, 145, 173]))  # fmt: skip
def test_no_field_whatever_it_holds_raises_or_makes_a_success_of_a_failure(
    kind: str, fields: dict[str, object], code: int | None
) -> None:
    line = json.dumps({"type": kind, **fields}).encode()
    for said in GEMINI.events(line):
        json.dumps(said.raw, allow_nan=False)
    outcome = judged([INIT.encode(), line], code, work=COMMITTED)
    assert outcome.reason in REASONS
    good = kind == "result" and fields.get("status") == "success"
    assert good or outcome.ending is not Ending.SUCCEEDED


@given(st.data())
def test_a_stream_that_is_cut_anywhere_is_never_a_success(data: st.DataObject) -> None:
    whole = (RECORDINGS / "commit.jsonl").read_bytes()
    cut = data.draw(st.integers(0, len(whole) - 3))
    code = data.draw(st.sampled_from([None, 0, 1, 143]))
    assert judged(whole[:cut].splitlines(keepends=True), code, work=COMMITTED).ending is not Ending.SUCCEEDED


# --- its command line -------------------------------------------------------------------------------


def test_the_command_reads_the_prompt_from_its_stdin() -> None:
    made = command(args=("--include-directories", "/x"))
    assert made.argv == ("gemini", "-m", "gemini-3-flash-preview", "--output-format", "stream-json", "--yolo",
                         "--skip-trust", "--include-directories", "/x")  # fmt: skip
    assert (made.stdin, made.speaks, made.stop_signal) == ("prompt", "gemini", "TERM")
    assert made.auth_source == "GEMINI_API_KEY"
    assert "PROMPT" not in str(made.argv)


@pytest.mark.req("C90")
@pytest.mark.parametrize(("chosen", "environ", "model"), [
    ("", {}, "gemini-3-flash-preview"), ("", {"GEMINI_MODEL": " "}, "gemini-3-flash-preview"),
    ("", {"GEMINI_MODEL": "gemini-x"}, "gemini-x"), ("gemini-y", {"GEMINI_MODEL": "gemini-x"}, "gemini-y"),
])  # fmt: skip
def test_the_model_is_the_settings_own_else_of_the_environment_else_the_default(
    chosen: str, environ: dict[str, str], model: str
) -> None:
    made = command(environ, model=chosen)
    assert (made.model, made.argv[made.argv.index("-m") + 1]) == (model, model)


@pytest.mark.parametrize(("value", "asks"), [("true", True), ("True", True), ("", False), ("false", False)])
def test_it_may_do_everything_unless_the_environment_forbids_it(value: str, asks: bool) -> None:
    assert ("--yolo" not in command({"GEMINI_NO_YOLO": value}).argv) is asks


def test_it_is_one_process_with_its_own_keys_and_nobody_else_s() -> None:
    others = {"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a", "ZAI_API_KEY": "z", "GITHUB_TOKEN": "t"}
    env = command({**others, "GOOGLE_CLOUD_PROJECT": "p", "GEMINI_CLI_NO_RELAUNCH": ""}).env
    assert (env["GEMINI_API_KEY"], env["GOOGLE_CLOUD_PROJECT"]) == ("g", "p")
    assert env["GEMINI_CLI_NO_RELAUNCH"] == "true"
    assert not set(others) & set(env)


def test_where_its_requests_go_is_never_left_to_an_env_file_of_the_repository() -> None:
    env = command().env
    assert (env["GOOGLE_GEMINI_BASE_URL"], env["GOOGLE_VERTEX_BASE_URL"]) == ("", "")
    assert env["CODE_ASSIST_ENDPOINT"].startswith("https://")
    assert env["NODE_TLS_REJECT_UNAUTHORIZED"] == "1"
    assert command({"NODE_TLS_REJECT_UNAUTHORIZED": "0"}).env["NODE_TLS_REJECT_UNAUTHORIZED"] == "1"
    chosen = {"GOOGLE_GEMINI_BASE_URL": "http://a", "CODE_ASSIST_ENDPOINT": "http://b"}
    assert chosen.items() <= command(chosen).env.items()


def test_where_its_requests_go_is_a_fact_of_the_contract_and_hides_a_password() -> None:
    facts = command({"GOOGLE_GEMINI_BASE_URL": "https://user:hunter2secret@host/x"}).facts
    assert (facts["auth_mode"], "host/x" in facts["base_url"]) == ("environment", True)
    assert "hunter2secret" not in facts["base_url"]


# --- what it logs in with ---------------------------------------------------------------------------

OAUTH = '{"security": {"auth": {"selectedType": "oauth-personal"}} /* mine */}'
VERTEX = {"GOOGLE_GENAI_USE_VERTEXAI": "true"}


@pytest.mark.req("C91", "C92")
@pytest.mark.parametrize(("environ", "files", "source", "mode"), [
    ({"GEMINI_API_KEY": "g", "GOOGLE_API_KEY": "o"}, {}, "GEMINI_API_KEY", "environment"),
    ({"GEMINI_API_KEY": " ", "GOOGLE_API_KEY": "o"}, {}, "GOOGLE_API_KEY", "environment"),
    ({}, {"/h/.gemini/oauth_creds.json": "{}"}, "login", "login"),
    ({}, {"/h/.gemini/gemini-credentials.json": "{}"}, "login", "login"),
    ({"GEMINI_CLI_HOME": "/c"}, {"/c/.gemini/oauth_creds.json": "{}"}, "login", "login"),
    ({}, {"/h/.gemini/.env": "A=b\nexport GEMINI_API_KEY=x\n"}, ".env", "configuration"),
    ({"GEMINI_API_KEY": "g"}, {"/h/.gemini/oauth_creds.json": "{}"}, "GEMINI_API_KEY", "environment"),
    ({"GEMINI_API_KEY": "g"}, {"/h/.gemini/oauth_creds.json": "{}", "/h/.gemini/settings.json": OAUTH},
     "login", "login"),
    ({"GEMINI_API_KEY": "g"}, {"/h/.gemini/settings.json": OAUTH}, "GEMINI_API_KEY", "environment"),
    ({"GOOGLE_API_KEY": "o", "GEMINI_API_KEY": "g", **VERTEX}, {}, "GOOGLE_API_KEY", "vertex"),
    ({"GOOGLE_CLOUD_PROJECT": "p", **VERTEX}, {}, "GOOGLE_CLOUD_PROJECT", "vertex"),
])  # fmt: skip
def test_credentials_are_what_the_cli_would_take_and_name_their_source(
    environ: dict[str, str], files: dict[str, str], source: str, mode: str
) -> None:
    found = GEMINI.credentials(Host(environ={"HOME": "/h", **environ}, files=files), Settings())
    assert (found.source, found.mode) == (source, mode)


@pytest.mark.req("C92")
def test_a_key_that_the_cli_would_not_look_at_is_given_under_the_name_it_knows() -> None:
    made = command({"GEMINI_API_KEY": "", "GOOGLE_API_KEY": " o "})
    assert (made.env["GEMINI_API_KEY"], made.auth_source) == ("o", "GOOGLE_API_KEY")


@pytest.mark.req("C40")
@pytest.mark.parametrize("files", [
    {}, {"/h/.gemini/.env": "GEMINI_API_KEY=\nX=1"}, {"/h/.gemini/settings.json": OAUTH},
])  # fmt: skip
def test_without_credentials_nothing_is_started_and_the_cure_is_named(files: dict[str, str]) -> None:
    host = Host(environ={"HOME": "/h"}, files=files)
    with pytest.raises(AuthUnresolved) as raised:
        GEMINI.credentials(host, Settings())
    assert (raised.value.reason, raised.value.code) == ("gemini_auth_missing", 10)
    line = GEMINI.ready(host, Settings())
    assert (line.ok, line.reason, line.code) == (False, "gemini_auth_missing", 10)
    assert line.cure == "export GEMINI_API_KEY=..."


# --- preflight --------------------------------------------------------------------------------------


@pytest.mark.req("C39")
def test_a_missing_program_is_named_with_the_command_that_installs_it() -> None:
    [line] = GEMINI.preflight(Host(programs=(), environ={"GEMINI_API_KEY": "g"}), Settings(), live=True)
    assert (line.ok, line.reason) == (False, "gemini_binary_missing")
    assert line.cure == "npm install -g @google/gemini-cli"


@pytest.mark.parametrize(("version", "ok"), [("0.61.0", True), ("0.62.3", True), ("0.4.0", False), ("1.0.0", False)])
def test_a_version_outside_the_measured_range_is_refused_and_not_asked(version: str, ok: bool) -> None:
    host = Host(version=version, environ={"GEMINI_API_KEY": "g"})
    assert all(line.ok for line in GEMINI.preflight(host, Settings(), live=True)) is ok
    assert len(host.asked) == (2 if ok else 1)


@pytest.mark.req("C41", "C42")
@pytest.mark.parametrize(("name", "code", "reason"), [row for row in TABLE if row[0] in ("bad-key", "429", "no-model")])
def test_a_live_question_that_is_refused_has_the_class_of_a_run(name: str, code: int, reason: str) -> None:
    host = Host(answer=(code, b"".join(lines_of(name)).decode(), ""), environ={"GEMINI_API_KEY": "g"})
    line = GEMINI.preflight(host, Settings(), live=True)[-1]
    assert (line.ok, line.reason) == (False, reason)
    assert line.cure


def test_a_key_stands_in_no_words_and_no_command_line() -> None:
    known = GEMINI.credentials(Host(environ={"GEMINI_API_KEY": "s3cret"}), Settings())
    assert isinstance(known, Credentials)
    assert "s3cret" not in repr((known, command({"GEMINI_API_KEY": "s3cret"}).argv))
