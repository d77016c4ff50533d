"""GLM through the claude CLI: where its key comes from, what its worker is given, and that the key shows nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Outcome, Work
from coordinator.ports import AuthUnresolved, Command, Credentials, Finished, RunSpec, Settings
from tests.support.op import ACCOUNT, KEY, Answer, Host

TOKEN = "0123abcd.Sec-ret"
BARE = {"PATH": "/bin", "HOME": "/home/w"}
DEFAULT = "op://dev/Agent-Secrets-Production/ZAI_API_KEY"
RECORDINGS = Path(__file__).parents[1] / "recordings" / "claude"


USUAL = Settings()


def resolved(host: Host, settings: Settings = USUAL) -> Credentials:
    return provider("cc-glm").credentials(host, settings)


def refused(host: Host, settings: Settings = USUAL) -> AuthUnresolved:
    with pytest.raises(AuthUnresolved) as caught:
        resolved(host, settings)
    error = caught.value
    assert error.reason == "cc_glm_auth_missing"
    assert TOKEN not in error.words + error.cure
    return error


def reads(uri: str, key: str = KEY) -> Mapping[str, Answer]:
    """An op that opens this address alone."""
    return {f"read {uri}": (0, f"{key}\n", "")}


def command(environ: Mapping[str, str] | None = None, *, as_root: bool = False, stream: bool = False,
            known: Credentials | None = None, **settings: object) -> Command:  # fmt: skip
    given = {**BARE, "CC_GLM_AUTH_TOKEN": TOKEN, **(environ or {})}
    return provider("cc-glm").command(RunSpec(
        task_id="bd-1", attempt=1, prompt="PROMPT", prompt_file=Path("/jobs/bd-1.prompt"), worktree=Path("/w"),
        session_id="", settings=Settings(**settings), environ=given, as_root=as_root, stream=stream,  # type: ignore[arg-type]
        credentials=resolved(Host(given)) if known is None else known,
    ))  # fmt: skip


# --- where the key comes from ---------------------------------------------------------------------------


PLACES = {
    "CC_GLM_AUTH_TOKEN": "key-direct", "CC_GLM_TOKEN_FILE": "/token", "ZAI_API_KEY": "key-plain",
    "CC_GLM_OP_URI": "op://v/i/f",
}  # fmt: skip


@pytest.mark.req("B52", "B54", "B55", "B56", "B57", "B65", "A104")
@pytest.mark.parametrize(
    ("gone", "source", "mode", "key"),
    [
        (0, "CC_GLM_AUTH_TOKEN", "token", "key-direct"),
        (1, "CC_GLM_TOKEN_FILE", "token_file", "key-of-file"),
        (2, "ZAI_API_KEY", "key", "key-plain"),
        (3, "CC_GLM_OP_URI", "op", "key-of-uri"),
        (4, "default-op-uri", "op", "key-of-default"),
    ],
)
def test_the_first_of_the_five_places_that_is_set_decides(gone: int, source: str, mode: str, key: str) -> None:
    environ = {**PLACES, **dict.fromkeys(list(PLACES)[:gone], " ")}
    op = {**reads("op://v/i/f", "key-of-uri"), **reads(DEFAULT, "key-of-default")}
    host = Host(environ, {"/token": "key-of-file\n"}, op)
    known = resolved(host)
    assert (known.source, known.mode, known.alone) == (source, mode, False)
    assert known.env == {"ANTHROPIC_AUTH_TOKEN": key, "ANTHROPIC_API_KEY": key}
    assert len(host.asked) == (1 if mode == "op" else 0)


@pytest.mark.req("B54", "A104")
def test_a_key_that_is_an_address_is_opened_wherever_it_stands() -> None:
    for environ in ({"ZAI_API_KEY": "op://v/i/f"}, {"CC_GLM_TOKEN_FILE": "/token"}):
        known = resolved(Host(environ, {"/token": "op://v/i/f\n"}, reads("op://v/i/f")))
        assert (known.mode, known.place) == ("op", "op://v/i/f")
        assert set(known.env.values()) == {KEY}
        assert KEY not in repr(known)


@pytest.mark.req("B73", "B56")
def test_the_default_address_is_in_the_vault_that_the_environment_names() -> None:
    elsewhere = DEFAULT.replace("dev", "ops")
    assert resolved(Host(op=reads(DEFAULT))).place == DEFAULT
    assert resolved(Host({"CC_GLM_OP_VAULT": "ops"}, op=reads(elsewhere))).place == elsewhere


def test_the_settings_of_the_site_lead_to_the_token_that_op_signs_in_with() -> None:
    host = Host(files={"/etc/op-token": "ops_site"}, op=reads(DEFAULT))
    resolved(host, Settings(op_token_file="/etc/op-token"))
    assert host.asked[0][1]["OP_SERVICE_ACCOUNT_TOKEN"] == "ops_site"


def test_a_home_in_the_name_of_the_tokens_file_is_the_environments_own() -> None:
    known = resolved(Host({"CC_GLM_TOKEN_FILE": "~/.glm"}, {"/home/w/.glm": TOKEN}))
    assert known.place == "/home/w/.glm"
    assert known.env["ANTHROPIC_AUTH_TOKEN"] == TOKEN


@pytest.mark.req("B53", "B58", "B59", "A91", "B79")
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none", "Token file not found: /none"),
        ("/folder", "/folder (CC_GLM_TOKEN_FILE) is a folder"),
        ("/dev/zero", "is no regular file"),
        ("/secret", "cannot be read"),
        ("/empty", "is empty"),
        ("/two", "line break"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_named_and_not_passed_over(path: str, words: str) -> None:
    files = {"/secret": None, "/empty": " \n", "/two": "one\ntwo"}
    error = refused(Host({"CC_GLM_TOKEN_FILE": path, "ZAI_API_KEY": TOKEN}, files))
    assert error.code == 11
    assert words in error.words
    assert path in error.words
    assert error.cure


@pytest.mark.parametrize("token", ["one\ntwo", "one\rtwo", "one two", "a\x00b", "a\x1b[2J", "schlüssel"])
@pytest.mark.parametrize("name", ["CC_GLM_AUTH_TOKEN", "ZAI_API_KEY"])
def test_a_token_with_anything_but_visible_characters_is_refused_and_not_repeated(name: str, token: str) -> None:
    error = refused(Host({name: token}))
    assert error.code == 10
    assert name in error.words
    assert token not in error.words + error.cure


def test_what_stands_where_an_address_should_may_be_a_key_and_is_not_repeated() -> None:
    error = refused(Host({"CC_GLM_OP_URI": TOKEN}, op=reads(DEFAULT)))
    assert "CC_GLM_OP_URI is no address in 1Password" in error.words


@pytest.mark.req("A72", "A90", "B66", "B71", "B78")
def test_without_any_key_it_says_so_with_every_way_to_one_before_anything_starts() -> None:
    host = Host({"ANTHROPIC_API_KEY": "another maker's"})
    error = refused(host)
    assert error.code == 10
    assert "AUTH TOKEN RESOLUTION FAILED" in error.words
    assert "CC_GLM_AUTH_TOKEN, CC_GLM_TOKEN_FILE, ZAI_API_KEY and CC_GLM_OP_URI are unset" in error.words
    assert f"{DEFAULT}" in error.words
    for way in ("1Password service account", "export CC_GLM_AUTH_TOKEN=", "export CC_GLM_TOKEN_FILE=",
                "export CC_GLM_OP_URI=op://", "CC_GLM_DEBUG=1"):  # fmt: skip
        assert way in error.cure
    assert "\n" not in error.cure, "it stands on one line of a table"
    line = provider("cc-glm").ready(host, Settings())
    assert (line.ok, line.reason, line.code) == (False, "cc_glm_auth_missing", 10)


@pytest.mark.req("B76")
def test_strict_or_not_decides_whether_a_place_that_gives_no_key_is_passed_over() -> None:
    environ = {"CC_GLM_TOKEN_FILE": "/none", "CC_GLM_OP_URI": "op://v/i/f"}
    for strict in ({}, {"CC_GLM_STRICT_AUTH": "1"}, {"CC_GLM_STRICT_AUTH": "perhaps"}):
        host = Host({**environ, **strict}, op=reads("op://v/i/f"))
        assert refused(host).code == 11
        assert (host.asked, host.said) == ([], [])
    host = Host({**environ, "CC_GLM_STRICT_AUTH": "0"}, op=reads("op://v/i/f"))
    assert resolved(host).source == "CC_GLM_OP_URI"
    assert [line for line in host.said if "CC_GLM_TOKEN_FILE is passed over" in line]


@pytest.mark.req("B76")
def test_not_being_strict_makes_no_key_out_of_nothing_and_each_cause_is_told() -> None:
    host = Host({"CC_GLM_TOKEN_FILE": "/none", "CC_GLM_STRICT_AUTH": "0"})
    error = refused(host)
    assert error.code == 11
    assert "Token file not found" in error.words
    assert "op CLI not found" in error.words


# --- claude's own login ---------------------------------------------------------------------------------

ALLOWED = {"CC_GLM_ALLOW_FALLBACK": "1"}


@pytest.mark.req("B51", "B75")
def test_claudes_own_login_is_used_only_where_it_is_allowed_and_then_loudly() -> None:
    for off in ({}, {"CC_GLM_ALLOW_FALLBACK": "0"}, {"CC_GLM_ALLOW_FALLBACK": "perhaps"}):
        refused(Host({**off, "ANTHROPIC_API_KEY": "own"}))
    host = Host({**ALLOWED, "ANTHROPIC_API_KEY": "own"})
    known = resolved(host)
    assert (known.source, known.mode, known.alone, known.env) == ("claude's-own-login", "fallback", True, {})
    assert host.said[0].startswith("WARNING: cc-glm has no key of its own")
    assert "op CLI not found" in host.said[0]


def test_a_key_goes_before_claudes_own_login() -> None:
    known = resolved(Host({**ALLOWED, "ZAI_API_KEY": TOKEN}))
    assert (known.source, known.alone) == ("ZAI_API_KEY", False)


@pytest.mark.req("B75")
def test_claudes_own_login_is_sent_to_its_own_address_with_its_own_model() -> None:
    environ = {**ALLOWED, "ANTHROPIC_API_KEY": "own", "CC_GLM_AUTH_TOKEN": "", "CC_GLM_BASE_URL": "https://glm.invalid"}
    known = resolved(Host(environ))
    made = command(environ, known=known)
    assert made.env["ANTHROPIC_API_KEY"] == "own"
    assert not {"ANTHROPIC_BASE_URL", "ANTHROPIC_DEFAULT_OPUS_MODEL"} & set(made.env)
    assert not [name for name in made.env if name.startswith("CC_GLM_")]
    assert ("--model" in made.argv, made.auth_source, made.facts["auth_mode"]) == (False, known.source, "fallback")
    assert made.argv[made.argv.index("--setting-sources") + 1] == "user"
    asked = command({**environ, "CC_GLM_MODEL": "glm-4.9"}, known=known)
    assert asked.argv[asked.argv.index("--model") + 1] == "glm-4.9"


def test_a_job_is_ready_to_be_alone_with_claudes_own_login() -> None:
    assert provider("cc-glm").ready(Host(ALLOWED), Settings()).alone
    assert not provider("cc-glm").ready(Host({"ZAI_API_KEY": TOKEN}), Settings()).alone


def test_a_worker_is_never_made_without_a_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="without a key"):
        command(known=Credentials())


# --- debug ----------------------------------------------------------------------------------------------


@pytest.mark.req("B77", "B78")
def test_debug_lines_tell_each_step_and_no_secret_and_only_when_wanted() -> None:
    environ = {"OP_SERVICE_ACCOUNT_TOKEN": ACCOUNT, "CC_GLM_DEBUG": "1"}
    host = Host(environ, op=reads(DEFAULT))
    resolved(host)
    told = "\n".join(host.said)
    assert all(line.startswith("debug: cc-glm: ") for line in host.said)
    for step in ("ZAI_API_KEY is unset", f"op read '{DEFAULT}'", "OP_SERVICE_ACCOUNT_TOKEN", "op ended with 0",
                 "the key is from default-op-uri"):  # fmt: skip
        assert step in told
    assert KEY not in told
    assert ACCOUNT not in told
    for off in ({}, {"CC_GLM_DEBUG": "0"}):
        quiet = Host(off, op=reads(DEFAULT))
        resolved(quiet)
        assert quiet.said == []


def test_op_is_not_asked_where_the_agent_itself_is_missing() -> None:
    host = Host(op=reads(DEFAULT))
    host.which = lambda name: "/bin/op" if name == "op" else None  # type: ignore[method-assign]
    assert provider("cc-glm").ready(host, Settings()).reason == "cc_glm_binary_missing"
    assert host.asked == []


# --- what its worker is given ---------------------------------------------------------------------------


@pytest.mark.req("A105", "A106", "A107", "B48")
def test_the_worker_has_the_key_the_address_the_models_and_the_time() -> None:
    made = command()
    assert made.argv[:5] == ("claude", "-p", "--output-format", "text", "--model")
    assert (made.argv[5], made.model) == ("glm-5", "glm-5")
    env = made.env
    assert env["ANTHROPIC_AUTH_TOKEN"] == env["ANTHROPIC_API_KEY"] == TOKEN
    assert env["ANTHROPIC_BASE_URL"] == "https://api.z.ai/api/anthropic"
    assert {env[f"ANTHROPIC_DEFAULT_{size}_MODEL"] for size in ("OPUS", "SONNET", "HAIKU")} == {"glm-5"}
    assert env["API_TIMEOUT_MS"] == "3000000"


@pytest.mark.req("B22", "B50", "B74")
def test_model_address_and_time_follow_the_environment_and_a_model_that_is_asked_for_wins() -> None:
    environ = {"CC_GLM_MODEL": "glm-4", "CC_GLM_BASE_URL": "https://u:pass123@h.invalid/v1", "CC_GLM_TIMEOUT_MS": "9"}
    made = command(environ)
    assert made.argv[made.argv.index("--model") + 1] == made.env["ANTHROPIC_DEFAULT_OPUS_MODEL"] == "glm-4"
    assert made.env["ANTHROPIC_BASE_URL"] == "https://u:pass123@h.invalid/v1"
    assert made.facts == {"auth_mode": "token", "base_url": "https://***@h.invalid/v1", "timeout_ms": "9"}
    asked = command(environ, model="glm-6")
    assert (asked.model, asked.argv[asked.argv.index("--model") + 1]) == ("glm-6", "glm-6")


def test_the_key_and_the_prompt_are_in_no_argument_and_no_fact() -> None:
    made = command()
    assert made.stdin == "prompt"
    shown = repr((made.argv, made.facts, made.auth_source, made.model))
    assert TOKEN not in shown
    assert "PROMPT" not in shown
    assert made.auth_source == "CC_GLM_AUTH_TOKEN"


OTHERS = (
    "GITHUB_TOKEN", "GH_TOKEN", "SSH_AUTH_SOCK", "OPENAI_API_KEY", "GEMINI_API_KEY", "ZAI_API_KEY", "CC_GLM_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_SMALL_FAST_MODEL",
    "OP_SERVICE_ACCOUNT_TOKEN", "IS_SANDBOX",
)  # fmt: skip


def test_no_other_key_and_no_other_way_to_an_account_reaches_the_worker() -> None:
    environ = {**dict.fromkeys(OTHERS, "other"), "ANTHROPIC_API_KEY": "the maker's own"}
    env = command({**environ, "CC_GLM_AUTH_TOKEN": TOKEN}, environment=(*OTHERS, "ANTHROPIC_*")).env
    assert not set(OTHERS) & set(env)
    assert env["ANTHROPIC_API_KEY"] == TOKEN


def test_no_settings_file_whatever_has_a_word_in_the_key_or_the_address() -> None:
    argv = command().argv
    assert argv[argv.index("--setting-sources") + 1] == ""


def test_it_prints_text_by_habit_and_a_stream_where_one_is_asked_for() -> None:
    plain, streamed = command(), command(stream=True)
    assert plain.speaks == "text"
    assert plain.argv[plain.argv.index("--output-format") + 1] == "text"
    assert streamed.speaks == "claude"
    assert streamed.argv[streamed.argv.index("--output-format") + 1] == "stream-json"


def test_as_root_it_names_its_tools_and_skipping_permissions_is_refused() -> None:
    made = command(as_root=True)
    assert "Bash" in made.argv[made.argv.index("--allowedTools") + 1 :]
    with pytest.raises(ValueError, match="as root"):
        command(as_root=True, args=("--dangerously-skip-permissions",))


@pytest.mark.parametrize(
    ("name", "value"), [("CC_GLM_TIMEOUT_MS", "soon"), ("CC_GLM_TIMEOUT_MS", "0"), ("CC_GLM_BASE_URL", "api.z.ai")]
)
def test_a_setting_that_cannot_work_is_named_before_anything_starts(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name}='{value}'"):
        command({name: value})
    line = provider("cc-glm").ready(Host({name: value, "ZAI_API_KEY": "k"}), Settings())
    assert (line.ok, line.reason) == (False, "config_error")
    assert line.cure.startswith("unset it")


# --- how it ended ---------------------------------------------------------------------------------------


def ended(code: int, *lines: str) -> Outcome:
    work = Work(base_sha="a", head_sha="b", commits=1)
    return provider("cc-glm").judge(Finished(code, None, "process_exit", [one.encode() for one in lines], "", work))


def test_plain_words_are_judged_by_the_exit_code_and_silence_is_no_success() -> None:
    agent = provider("cc-glm")
    assert [one.kind for one in agent.events(b"I fixed the parser.\n")] == ["text"]
    good, bad = ended(0, "Done.\n"), ended(1, "Done.\n")
    assert (good.ending, good.judged_by) == (Ending.SUCCEEDED, "exit")
    assert (bad.ending, bad.reason, bad.judged_by) == (Ending.FAILED, "process_exit", "exit")


PLAIN = [
    ("Not logged in · Please run /login", "cc_glm_auth_missing"),
    ("Invalid API key · Fix external API key", "cc_glm_auth_blocked"),
    ("Failed to authenticate. API Error: 403 no", "cc_glm_auth_blocked"),
    ("API Error: 401 token expired or incorrect", "cc_glm_auth_blocked"),
    ("API Error: Request rejected (429) · slow down", "cc_glm_rate_limited"),
    ("API Error: Request rejected (429) · Usage limit reached for 5 hour.", "cc_glm_usage_limited"),
    ("API Error: Request rejected (429) · Insufficient balance. Please recharge.", "no_credit"),
    ("There's an issue with the selected model (glm-5). It may not exist.", "cc_glm_model_unavailable"),
    ("API Error: 400 Unknown Model, please check the model code.", "cc_glm_model_unavailable"),
    ("API Error: 529 Overloaded.", "overloaded"),
    ("API Error: Unable to connect to API (ConnectionRefused)", "network"),
]
"""What claude prints as its one line of text when it fails, and the class of it."""


@pytest.mark.req("P48")
@pytest.mark.parametrize(("line", "reason"), PLAIN)
def test_a_failure_in_plain_words_has_its_class_by_claudes_own_line(line: str, reason: str) -> None:
    outcome = ended(1, "I began with the parser.\n", f"{line}\n", "\n")
    assert (outcome.ending, outcome.reason, outcome.judged_by) == (Ending.FAILED, reason, "exit")
    assert outcome.detail.startswith(line[:40])


@pytest.mark.req("P48")
def test_what_claude_sends_to_let_go_of_a_terminal_is_no_last_line() -> None:
    """As a job with a terminal, which each of a batch has, ends on claude 2.1.197."""
    released = "\x1b[?1006l\x1b[?1003l\x1b(B\x0f\x1b[>4m\x1b[<u\x1b[?25h\x1b7\x1b[r\x1b8\x1b]0;\x07\x1b[?25h"
    assert ended(1, "API Error: Request rejected (429) · slow down\r\n", released).reason == "cc_glm_rate_limited"


@pytest.mark.parametrize(
    "words",
    ["AssertionError: 1429 != 1430", "The server answered API Error: 401, as the test wants.", "rate limit", "429",
     '{"type":"result","is_error":true,"result":"API Error: 401'],
)  # fmt: skip
def test_words_about_errors_are_no_error_of_the_provider(words: str) -> None:
    assert ended(1, f"{words}\n").reason == "process_exit"


def test_a_success_in_plain_words_stays_one_whatever_it_says() -> None:
    assert ended(0, "API Error: 401 is what the fixed parser answers now.\n").ending is Ending.SUCCEEDED


@pytest.mark.req("P48")
@pytest.mark.parametrize(
    ("recording", "reason"),
    [
        ("no-login", "cc_glm_auth_missing"),
        ("e401", "cc_glm_auth_blocked"),
        ("e403", "cc_glm_auth_blocked"),
        ("e429", "cc_glm_rate_limited"),
        ("e429long", "cc_glm_usage_limited"),
        ("e404", "cc_glm_model_unavailable"),
        ("e400credit", "no_credit"),
    ],
)
def test_a_failed_stream_has_its_class_with_the_providers_name(recording: str, reason: str) -> None:
    lines = (RECORDINGS / f"{recording}.jsonl").read_text().splitlines(keepends=True)
    outcome = ended(1, *lines)
    assert (outcome.ending, outcome.reason, outcome.judged_by) == (Ending.FAILED, reason, "result")
