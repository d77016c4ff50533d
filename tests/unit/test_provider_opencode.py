"""opencode: its stream in the normal form, its command line, its credentials, and what its ends mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Outcome, Usage, Work
from coordinator.ports import AuthUnresolved, Command, Credentials, Finished, RunSpec, Settings
from tests.contract.test_providers import Host

OPENCODE = provider("opencode")
RECORDINGS = Path(__file__).parents[1] / "recordings" / "opencode" / "1.18.33"
COMMITTED, UNTOUCHED = Work("base", "head", commits=1), Work("base", "base", commits=0)
ZHIPU, ZAI = "zhipuai-coding-plan/glm-5", "zai-coding-plan/glm-5"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()
NO_MODEL = 'timestamp=T level=ERROR message=failed error="ProviderModelNotFoundError: Model not found: a/b."\n'
REFUSED = 'timestamp=T level=ERROR message="stream error" error.error="AI_APICallError: {0}"\n'

# recording, exit code, reason when nothing was committed; "" is a run that ended well
TABLE = [
    ("text", 0, ""),
    ("commit", 0, ""),
    ("429-once", 0, ""),
    ("401", 1, "opencode_auth_blocked"),
    ("403", 1, "opencode_auth_blocked"),
    ("quota", 1, "opencode_auth_blocked"),
    ("404", 1, "opencode_model_unavailable"),
    ("credit", 1, "no_credit"),
    ("no-credit", 1, "no_credit"),
    ("429", 1, "opencode_rate_limited"),
    ("plan-limit", 1, "opencode_usage_limited"),
    ("too-long", 1, "opencode_context_exhausted"),
    ("500", 1, "network"),
    ("529", 1, "overloaded"),
    ("refused", 1, "network"),
    ("denied", 0, "opencode_permission_denied"),
    ("no-model", 1, "process_exit"),
    ("sigterm-tool", 143, "manual_stop"),
    ("cut", 0, "opencode_protocol_error"),
]


def judged(stream: bytes, code: int | None = 0, *, work: Work = UNTOUCHED, stderr: str = "",
           wrapper: str = "process_exit") -> Outcome:  # fmt: skip
    return OPENCODE.judge(Finished(code, None, wrapper, stream.splitlines(keepends=True), stderr, work))


def recorded(name: str) -> bytes:
    return (RECORDINGS / f"{name}.jsonl").read_bytes()


def line(kind: str, **part: object) -> bytes:
    return json.dumps({"type": kind, "timestamp": NOW * 1000, "sessionID": "s-1", "part": part}).encode() + b"\n"


def failed(status: int | None, message: str = "no", *, name: str = "APIError", code: str = "",
           headers: Mapping[str, str] | None = None) -> bytes:  # fmt: skip
    body = json.dumps({"error": {"code": code, "message": message}})
    data: dict[str, Any] = {"message": message, "statusCode": status, "responseHeaders": headers, "responseBody": body}
    error = {"name": name, "data": data}
    return json.dumps({"type": "error", "timestamp": NOW * 1000, "sessionID": "s-1", "error": error}).encode()


def finished(reason: str, ident: str = "m1", **tokens: object) -> bytes:
    return line("step_finish", reason=reason, messageID=ident, tokens=tokens)


def spec(environ: Mapping[str, str], **more: object) -> RunSpec:
    given = Settings(**more)  # type: ignore[arg-type]
    return RunSpec("gh-1", 1, "p", Path("/p"), Path("/w"), "s", given, environ, credentials=Credentials("X", "m"))


def started(environ: Mapping[str, str], **more: object) -> Command:
    return OPENCODE.command(spec(environ, **more))


# --- what its ends mean -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "code", "reason"), TABLE)
def test_each_recorded_end_has_its_class(name: str, code: int, reason: str) -> None:
    outcome = judged(recorded(name), code)
    assert outcome.reason == (reason or "no_change")
    assert outcome.ending is not Ending.SUCCEEDED
    assert "127.0.0.1" not in outcome.detail


def test_every_recording_is_in_the_table() -> None:
    assert sorted(path.stem for path in RECORDINGS.glob("*.jsonl")) == sorted(name for name, *_ in TABLE)


def test_a_stop_is_the_good_end_though_no_event_ends_the_run_and_its_tokens_are_the_sum_of_its_steps() -> None:
    outcome = judged(recorded("commit"), work=COMMITTED)
    assert (outcome.ending, outcome.summary) == (Ending.SUCCEEDED, "All done.")
    assert outcome.usage == Usage(200, 20, tokens_cached=outcome.usage.tokens_cached)
    assert outcome.session_id.startswith("ses_")


@pytest.mark.parametrize("name", ["text", "commit", "429-once"])
def test_an_end_that_is_torn_anywhere_is_a_failure_of_the_protocol(name: str) -> None:
    whole = recorded(name)
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(0, len(whole) - 1, 97):
        torn = judged(whole[:min(cut, len(whole) - 3)], 0, work=COMMITTED)
        assert (torn.ending, torn.reason) == (Ending.FAILED, "opencode_protocol_error")
    assert judged(whole[:last], 0, work=COMMITTED).ending is Ending.FAILED


def test_tokens_from_the_cache_and_thoughts_are_counted_and_none_twice() -> None:
    first = finished("tool-calls", "m1", input=100, output=10, reasoning=5, cache={"read": 40, "write": 2})
    second = finished("stop", "m2", input=1, output=1, reasoning=0, cache={"read": 0, "write": 0})
    usage = judged(first + first + second).usage
    assert (usage.tokens_in, usage.tokens_out) == (143, 16)


def test_a_step_after_the_end_takes_the_end_back() -> None:
    on = line("step_start") + line("text", text="more", messageID="m2")
    assert judged(finished("stop") + on).reason == "opencode_protocol_error"


@pytest.mark.parametrize(("reason", "wanted"), [
    ("length", "opencode_context_exhausted"),
    ("content-filter", "process_exit"),
    ("tool-calls", "opencode_protocol_error"),
    ("unknown", "opencode_protocol_error"),
])  # fmt: skip
def test_a_last_step_that_did_not_stop_is_no_success_whatever_was_committed(reason: str, wanted: str) -> None:
    outcome = judged(finished(reason), work=COMMITTED)
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, wanted)


@pytest.mark.req("C37", "C38", "P38")
@pytest.mark.parametrize(("error", "reason"), [
    (failed(401), "opencode_auth_blocked"),
    (failed(403), "opencode_auth_blocked"),
    (failed(429, "You exceeded your current quota"), "opencode_auth_blocked"),
    (failed(429, "no", code="insufficient_quota"), "opencode_auth_blocked"),
    (failed(429, "Authorization Token expired", code="1003"), "opencode_auth_blocked"),
    (failed(429), "opencode_rate_limited"),
    (failed(429, "no", headers={"retry-after": "299"}), "opencode_rate_limited"),
    (failed(429, "High concurrency", code="1302"), "opencode_rate_limited"),
    (failed(429, "no", headers={"retry-after": "301"}), "opencode_usage_limited"),
    (failed(429, "no", headers={"retry-after-ms": "3600000"}), "opencode_usage_limited"),
    (failed(429, "no", code="GoUsageLimitError"), "opencode_usage_limited"),
    (failed(429, "Weekly/Monthly Limit Exhausted", code="1310"), "opencode_usage_limited"),
    (failed(429, "in arrears", code="1113"), "no_credit"),
    (failed(402), "no_credit"),
    (failed(404), "opencode_model_unavailable"),
    (failed(400, "Model does not exist", code="1211"), "opencode_model_unavailable"),
    (failed(None, "none", name="ProviderModelNotFoundError"), "opencode_model_unavailable"),
    (failed(None, "no key", name="ProviderAuthError"), "opencode_auth_missing"),
    (failed(400, "too long", name="ContextOverflowError"), "opencode_context_exhausted"),
    (failed(400, "no", code="context_length_exceeded"), "opencode_context_exhausted"),
    (failed(503), "overloaded"),
    (failed(500), "network"),
    (failed(None, "Cannot connect to API: Unable to connect."), "network"),
    (failed(400, "AssertionError: 1429 != 1430"), "process_exit"),
    (failed(None, "something else"), "process_exit"),
])  # fmt: skip
def test_each_error_has_its_class_by_code_name_status_and_wait(error: bytes, reason: str) -> None:
    assert judged(error, 1, work=COMMITTED).reason == reason


@pytest.mark.req("P38")
def test_a_number_in_what_a_tool_or_the_agent_says_is_no_limit() -> None:
    state = {"status": "completed", "input": {}, "output": "HTTP 429 rate limit reached, usage limit"}
    said = line("tool_use", tool="bash", callID="c", state=state) + line("text", text="429 quota", messageID="m1")
    assert judged(said + finished("stop")).reason == "no_change"
    assert judged(said, 1).reason == "opencode_protocol_error"


@pytest.mark.parametrize(("words", "until"), [
    ("Your limit will reset at 2026-11-22 07:41:44", datetime(2026, 11, 21, 23, 41, 44, tzinfo=UTC)),
    ("您的限额将在 2026-11-22 07:41:44 重置", datetime(2026, 11, 21, 23, 41, 44, tzinfo=UTC)),
    ("Your limit will reset at 2026-11-21 17:00:00", datetime(2026, 11, 21, 17, 0, tzinfo=UTC)),
    ("Resets at 2026-11-22T05:00:00Z", datetime(2026, 11, 22, 5, 0, tzinfo=UTC)),
])  # fmt: skip
def test_a_plan_s_limit_ends_when_its_maker_says_by_his_own_clock(words: str, until: datetime) -> None:
    outcome = judged(failed(429, words, code="1308"), 1)
    assert (outcome.reason, outcome.reset_at) == ("opencode_usage_limited", until.timestamp())


def test_a_limit_without_a_moment_ends_after_the_wait_that_is_asked_for_or_nobody_knows_when() -> None:
    assert judged(failed(429, "no", headers={"retry-after": "3600"}), 1).reset_at == NOW + 3600
    assert judged(failed(429, "Usage limit reached", code="1308"), 1).reset_at is None
    assert judged(failed(429, "reset at 2026-99-99 07:41:44", code="1308"), 1).reset_at is None
    assert judged(failed(429, "no", headers={"retry-after": "nan"}), 1).reason == "opencode_rate_limited"


def test_a_model_that_it_did_not_find_stands_on_stderr_alone() -> None:
    assert judged(recorded("no-model"), 1, stderr=NO_MODEL).reason == "opencode_model_unavailable"
    assert judged(b"", 1, stderr=NO_MODEL).reason == "opencode_model_unavailable"
    assert judged(recorded("text"), 0, stderr=NO_MODEL).reason == "no_change"


@pytest.mark.parametrize("wrapper", ["stalled", "max_runtime"])
def test_a_wait_in_silence_that_somebody_else_ended_was_a_limit_unless_the_model_had_answered(wrapper: str) -> None:
    waiting = REFUSED.format("come back later")
    begun = line("step_start")
    assert judged(begun, None, stderr=waiting, wrapper=wrapper).reason == "opencode_usage_limited"
    assert judged(b"", None, stderr=REFUSED.format("Cannot connect to API"), wrapper=wrapper).reason == wrapper
    assert judged(begun, None, wrapper=wrapper).reason == wrapper
    answered = finished("tool-calls", input=1)
    assert judged(answered, None, stderr=waiting, wrapper=wrapper).reason == wrapper


def test_an_interrupted_session_ended_as_its_process_did() -> None:
    broken = failed(None, "aborted", name="MessageAbortedError")
    assert judged(broken, 130).reason == "manual_stop"
    assert judged(broken, 1).reason == "opencode_protocol_error"


# --- its stream in the normal form ----------------------------------------------------------------------


def test_a_tool_that_ended_is_a_call_and_its_result() -> None:
    state = {"status": "completed", "input": {"command": "ls"}, "output": "f\n"}
    call, back = OPENCODE.events(line("tool_use", tool="bash", callID="c1", state=state))
    assert (call.kind, call.tool) == ("tool", "bash")
    assert (back.kind, back.text, back.is_error) == ("tool_result", "f\n", False)
    call, back = OPENCODE.events(line("tool_use", tool="bash", callID="c1", state={"status": "error", "error": "no"}))
    assert (back.text, back.is_error) == ("no", True)


def test_an_answer_that_breaks_off_is_a_retry_and_the_rest_is_what_it_is() -> None:
    assert [one.kind for one in OPENCODE.events(finished("unknown"))] == ["usage", "retry"]
    assert [one.kind for one in OPENCODE.events(finished("stop"))] == ["usage", "result"]
    assert [one.kind for one in OPENCODE.events(line("step_start"))] == ["init"]
    assert [one.kind for one in OPENCODE.events(line("text", text="hi"))] == ["text"]
    assert [one.kind for one in OPENCODE.events(failed(401))] == ["result"]


@pytest.mark.parametrize("odd", [
    b'{"type":"error"}', b'{"type":"error","error":"no"}', b'{"type":"step_finish"}', b'{"type":"text","part":[]}',
    b'{"type":"tool_use","part":{"state":1}}', b'{"type":"new_thing","part":{}}',
])  # fmt: skip
def test_what_is_not_known_is_kept_as_it_is(odd: bytes) -> None:
    (said,) = OPENCODE.events(odd)
    assert dict(said.raw) == json.loads(odd)


# --- how it is started ----------------------------------------------------------------------------------


def test_the_command_line_asks_for_events_and_a_model_and_for_nobody_s_leave() -> None:
    argv = started({}, args=("--agent", "build")).argv
    assert argv[:4] == ("opencode", "run", "--format", "json")
    assert argv[argv.index("--model") + 1] == ZHIPU
    assert {"--auto", "--print-logs"} <= set(argv)
    assert argv[-2:] == ("--agent", "build")
    assert started({}, binary="/opt/oc", model=ZAI).argv[0] == "/opt/oc"
    assert started({}, model=ZAI).model == ZAI
    assert started({}).stdin == "prompt"


@pytest.mark.req("C87", "C88")
def test_the_environment_names_the_model() -> None:
    assert started({"OPENCODE_MODEL": ZAI}).model == ZAI
    assert started({"OPENCODE_CANONICAL_MODEL": "a/b"}).model == "a/b"


def test_its_own_keys_pass_the_others_do_not_and_neither_updates_nor_a_repository_s_settings_come_in() -> None:
    env = started({"ZHIPU_API_KEY": "z", "OPENCODE_CONFIG": "/c", "OPENAI_API_KEY": "o", "GITHUB_TOKEN": "g",
                   "OPENCODE_DISABLE_PROJECT_CONFIG": "0"}).env  # fmt: skip
    assert (env["ZHIPU_API_KEY"], env["OPENCODE_CONFIG"]) == ("z", "/c")
    assert not {"OPENAI_API_KEY", "GITHUB_TOKEN"} & set(env)
    assert (env["OPENCODE_DISABLE_AUTOUPDATE"], env["OPENCODE_DISABLE_PROJECT_CONFIG"]) == ("1", "1")
    named = started({"OPENAI_API_KEY": "o"}, environment=("OPENAI_API_KEY",)).env
    assert named["OPENAI_API_KEY"] == "o"


# --- credentials ------------------------------------------------------------------------------------------

CONFIGURED = '{"provider": {"own": {}}}'


@pytest.mark.parametrize(("environ", "files", "source"), [
    ({"ZHIPU_API_KEY": "k"}, {"/h/.local/share/opencode/auth.json": '{"a": {}}'}, "ZHIPU_API_KEY"),
    ({"OPENCODE_API_KEY": "k"}, {}, "OPENCODE_API_KEY"),
    ({"OPENCODE_AUTH_CONTENT": "{}"}, {}, "OPENCODE_AUTH_CONTENT"),
    ({}, {"/h/.local/share/opencode/auth.json": '{"zai-coding-plan": {}}'}, "login"),
    ({"XDG_DATA_HOME": "/d"}, {"/d/opencode/auth.json": '{"zai-coding-plan": {}}'}, "login"),
    ({"OPENCODE_CONFIG_CONTENT": CONFIGURED}, {}, "OPENCODE_CONFIG_CONTENT"),
    ({"OPENCODE_CONFIG": "/c.json"}, {"/c.json": CONFIGURED}, "c.json"),
    ({}, {"/h/.config/opencode/opencode.jsonc": CONFIGURED}, "opencode.jsonc"),
    ({"OPENCODE_CONFIG_DIR": "/e"}, {"/e/opencode.json": CONFIGURED}, "opencode.json"),
])  # fmt: skip
def test_credentials_are_a_key_a_login_or_a_provider_of_its_configuration(
    environ: dict[str, str], files: dict[str, str], source: str
) -> None:
    assert OPENCODE.credentials(Host(environ={"HOME": "/h", **environ}, files=files), Settings()).source == source


@pytest.mark.parametrize("files", [
    {}, {"/h/.local/share/opencode/auth.json": "{}"}, {"/h/.config/opencode/opencode.json": '{"theme": "x"}'},
])  # fmt: skip
def test_without_any_of_them_it_is_not_started(files: dict[str, str]) -> None:
    with pytest.raises(AuthUnresolved) as raised:
        OPENCODE.credentials(Host(environ={"HOME": "/h", "ZHIPU_API_KEY": " "}, files=files), Settings())
    assert (raised.value.reason, raised.value.code) == ("opencode_auth_missing", 10)
    assert raised.value.cure == "opencode auth login"


# --- its models before a start ----------------------------------------------------------------------------

ASKED = {"HOME": "/h", "PATH": "/bin", "ZHIPU_API_KEY": "k", "GITHUB_TOKEN": "g"}


@pytest.mark.req("C14", "C34", "C35", "C103")
@pytest.mark.parametrize(("listed", "model", "told"), [
    (f"{ZHIPU}\n{ZAI}\n", "", (True, "", f"opencode: model {ZHIPU}")),
    (f"{ZAI}\n", "", (True, "", f"opencode: model {ZAI} in place of {ZHIPU}")),
    (None, "", (True, "", f"opencode: model {ZHIPU}, unseen: `opencode models` gave no list")),
    ("a/b\n", "", (False, "opencode_model_unavailable", "")),
    (f"{ZHIPU}\na/b\n", "a/b", (False, "opencode_model_unsupported", "")),
])  # fmt: skip
def test_preflight_has_a_line_for_the_model_and_asks_nothing_of_one_it_cannot_have(
    listed: str | None, model: str, told: tuple[bool, str, str]
) -> None:
    host = Host(environ=ASKED, listed=listed)
    lines = OPENCODE.preflight(host, Settings(model=model), live=True)
    line = next(one for one in lines if "model" in one.words)
    assert (line.ok, line.reason, line.words if line.ok else "") == told
    assert any("run" in argv for argv, _ in host.asked) is line.ok
    assert line.code == (25 if line.reason.endswith("unavailable") else 21)


def test_the_list_is_asked_for_as_the_agent_would_be_started_and_for_twelve_seconds_at_most() -> None:
    class Timed(Host):
        def recent(self, argv: Any, *, timeout: float, env: Mapping[str, str]) -> str | None:
            assert timeout == 12
            return super().recent(argv, timeout=timeout, env=env)

    host = Timed(environ=ASKED, listed=f"{ZAI}\n")
    choice = OPENCODE.choose(host, Settings(binary="/opt/oc"))
    assert choice.model == ZAI
    assert host.asked == [(("/opt/oc", "models"), "")]
    (env,) = host.given
    assert (env["ZHIPU_API_KEY"], "GITHUB_TOKEN" in env) == ("k", False)


def test_the_live_question_goes_to_the_model_that_a_run_would_get() -> None:
    host = Host(environ=ASKED, listed=f"{ZAI}\n")
    assert all(one.ok for one in OPENCODE.preflight(host, Settings(), live=True))
    argv = host.asked[-1][0]
    assert argv[argv.index("--model") + 1] == ZAI
