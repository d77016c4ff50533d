"""GLM through the claude CLI: where its key comes from, what its worker is given, and that the key shows nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from coordinator.adapters.providers import provider
from coordinator.domain.outcome import Ending, Work
from coordinator.domain.reasons import REASONS
from coordinator.ports import AuthUnresolved, Command, Credentials, Finished, RunSpec, Settings

TOKEN = "0123abcd.Sec-ret"
BARE = {"PATH": "/bin", "HOME": "/home/w"}


class Host:
    """What a host has set and where files of which content lie; None = it cannot be read."""

    def __init__(self, environ: Mapping[str, str], files: Mapping[str, str | None] | None = None) -> None:
        self._environ, self.files = {**BARE, **environ}, files or {}

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def which(self, name: str) -> str | None:
        return f"/bin/{name}"

    def stands(self, path: Path) -> str:
        return {"/folder": "folder", "/dev/zero": "other"}.get(str(path), "file" if str(path) in self.files else "")

    def read(self, path: Path) -> str | None:
        return self.files.get(str(path))


def resolved(environ: Mapping[str, str], files: Mapping[str, str | None] | None = None) -> Credentials:
    return provider("cc-glm").credentials(Host(environ, files), Settings())  # type: ignore[arg-type]


def refused(environ: Mapping[str, str], files: Mapping[str, str | None] | None = None) -> AuthUnresolved:
    with pytest.raises(AuthUnresolved) as caught:
        resolved(environ, files)
    return caught.value


def command(environ: Mapping[str, str] | None = None, *, as_root: bool = False, stream: bool = False,
            known: Credentials | None = None, **settings: object) -> Command:  # fmt: skip
    given = {**BARE, "CC_GLM_AUTH_TOKEN": TOKEN, **(environ or {})}
    return provider("cc-glm").command(RunSpec(
        task_id="bd-1", attempt=1, prompt="PROMPT", prompt_file=Path("/jobs/bd-1.prompt"), worktree=Path("/w"),
        session_id="", settings=Settings(**settings), environ=given, as_root=as_root, stream=stream,  # type: ignore[arg-type]
        credentials=resolved(given) if known is None else known,
    ))  # fmt: skip


# --- where the key comes from ---------------------------------------------------------------------------


ALL = {"CC_GLM_AUTH_TOKEN": "a", "CC_GLM_TOKEN_FILE": "/token", "ZAI_API_KEY": "c"}


@pytest.mark.req("B52", "B57")
@pytest.mark.parametrize(
    ("unset", "source", "mode", "token"),
    [
        ((), "CC_GLM_AUTH_TOKEN", "token", "a"),
        (("CC_GLM_AUTH_TOKEN",), "CC_GLM_TOKEN_FILE", "token_file", "b"),
        (("CC_GLM_AUTH_TOKEN", "CC_GLM_TOKEN_FILE"), "ZAI_API_KEY", "key", "c"),
    ],
)
def test_the_first_key_that_is_set_goes(unset: tuple[str, ...], source: str, mode: str, token: str) -> None:
    environ = {**ALL, **dict.fromkeys(unset, " ")}
    known = resolved(environ, {"/token": "b\n"})
    assert (known.source, known.mode) == (source, mode)
    assert set(known.env.values()) == {token}


def test_a_home_in_the_name_of_the_tokens_file_is_the_environments_own() -> None:
    known = resolved({"CC_GLM_TOKEN_FILE": "~/.glm"}, {"/home/w/.glm": TOKEN})
    assert known.place == "/home/w/.glm"
    assert known.env["ANTHROPIC_AUTH_TOKEN"] == TOKEN


@pytest.mark.req("B53", "B58", "B59")
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
    error = refused({"CC_GLM_TOKEN_FILE": path, "ZAI_API_KEY": TOKEN}, files)
    assert error.code == 11
    assert words in error.words
    assert path in error.words
    assert error.cure


@pytest.mark.parametrize("token", ["one\ntwo", "one\rtwo", "one two", "a\x00b", "a\x1b[2J", "schlüssel"])
@pytest.mark.parametrize("name", ["CC_GLM_AUTH_TOKEN", "ZAI_API_KEY"])
def test_a_token_with_anything_but_visible_characters_is_refused_and_not_repeated(name: str, token: str) -> None:
    error = refused({name: token})
    assert error.code == 10
    assert name in error.words
    assert token not in error.words + error.cure


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({"ZAI_API_KEY": "op://dev/item/KEY"}, "ZAI_API_KEY"),
        ({"CC_GLM_OP_URI": "op://dev/item/KEY"}, "CC_GLM_OP_URI"),
        ({"CC_GLM_AUTH_TOKEN": "op://dev/item/KEY", "ZAI_API_KEY": "plain"}, "CC_GLM_AUTH_TOKEN"),
    ],
)
def test_an_address_in_1password_is_answered_with_the_command_that_opens_it(
    environ: Mapping[str, str], source: str
) -> None:
    error = refused(environ)
    assert (error.code, error.reason) == (10, "cc_glm_auth_missing")
    assert source in error.words
    assert error.cure == "export CC_GLM_AUTH_TOKEN=\"$(op read 'op://dev/item/KEY')\""


def test_an_address_that_could_leave_its_quotes_is_not_offered_to_be_pasted() -> None:
    error = refused({"CC_GLM_OP_URI": "op://x/y'; rm -rf ~; '"})
    assert error.cure == 'export CC_GLM_AUTH_TOKEN="$(op read op://...)"'


@pytest.mark.req("B66")
def test_without_any_key_it_says_so_before_anything_starts() -> None:
    error = refused({"ANTHROPIC_API_KEY": "another maker's"})
    assert error.code == 10
    assert "AUTH TOKEN RESOLUTION FAILED" in error.words
    assert error.cure == "export CC_GLM_AUTH_TOKEN=..."
    assert error.reason in REASONS
    line = provider("cc-glm").ready(Host({}), Settings())  # type: ignore[arg-type]
    assert (line.ok, line.reason, line.code) == (False, "cc_glm_auth_missing", 10)


def test_a_worker_is_never_made_without_a_key_of_its_own() -> None:
    with pytest.raises(ValueError, match="without a key"):
        command(known=Credentials())


# --- what its worker is given ---------------------------------------------------------------------------


def test_the_worker_has_the_key_the_address_the_models_and_the_time() -> None:
    env = command().env
    assert env["ANTHROPIC_AUTH_TOKEN"] == env["ANTHROPIC_API_KEY"] == TOKEN
    assert env["ANTHROPIC_BASE_URL"] == "https://api.z.ai/api/anthropic"
    assert {env[f"ANTHROPIC_DEFAULT_{size}_MODEL"] for size in ("OPUS", "SONNET", "HAIKU")} == {"glm-5"}
    assert env["API_TIMEOUT_MS"] == "3000000"


@pytest.mark.req("B50", "B74")
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
    line = provider("cc-glm").ready(Host({name: value, "ZAI_API_KEY": "k"}), Settings())  # type: ignore[arg-type]
    assert (line.ok, line.reason) == (False, "config_error")
    assert line.cure.startswith("unset it")


def test_plain_words_are_judged_by_the_exit_code_and_silence_is_no_success() -> None:
    agent = provider("cc-glm")
    assert [one.kind for one in agent.events(b"I fixed the parser.\n")] == ["text"]
    work = Work(base_sha="a", head_sha="b", commits=1)
    good = agent.judge(Finished(0, None, "process_exit", [b"Done.\n"], "", work))
    assert (good.ending, good.judged_by) == (Ending.SUCCEEDED, "exit")
    bad = agent.judge(Finished(1, None, "process_exit", [b"Done.\n"], "boom", work))
    assert (bad.ending, bad.judged_by) == (Ending.FAILED, "exit")
