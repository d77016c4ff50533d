"""What every provider promises, whoever is added: pure, never raising on output, and clear about its readiness."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.adapters.providers import PROVIDERS, provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.outcome import Ending
from coordinator.domain.reasons import REASONS
from coordinator.ports import Finished, Provider, RunSpec, Settings
from coordinator.runfiles.tongues import OWING

RECORDED = [
    line
    for path in sorted((Path(__file__).parents[1] / "recordings").rglob("*.jsonl"))
    for line in path.read_bytes().splitlines(keepends=True)
]
MODEL = "maker/m"
SETTINGS = Settings(argv=("agent",), model=MODEL)
OK = json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "ok", "duration_ms": 1900})


@dataclass(frozen=True)
class Cli:
    """What a provider's program is called, says of its version, and prints when all went well."""

    program: str
    version: str = "2.1.197 (Claude Code)"
    answer: str = OK


CLIS = {
    "cc-glm": Cli("claude"),
    "claude": Cli("claude"),
    "codex": Cli("codex", "codex-cli 0.169.0", '{"type":"thread.started"}\n{"type":"turn.completed","usage":{}}'),
    "command": Cli("agent"),
    "gemini": Cli("gemini", "0.61.0", '{"type":"init"}\n{"type":"result","status":"success","stats":{}}'),
    "opencode": Cli("opencode", "1.18.33", '{"type":"step_finish","part":{"reason":"stop"}}'),
}


@pytest.fixture(params=sorted(PROVIDERS))
def agent(request: pytest.FixtureRequest) -> Provider:
    return provider(request.param)


class Host:
    """A host with the programs, files and answers that a test gives it."""

    def __init__(
        self,
        *,
        programs: Sequence[str] = tuple(cli.program for cli in CLIS.values()),
        version: str = "",
        answer: tuple[int, str, str] | None = None,
        environ: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        listed: str | None = MODEL,
    ) -> None:
        self.programs, self.version, self.answer, self.listed = programs, version, answer, listed
        self._environ = {"HOME": "/home/w"} if environ is None else environ
        self.files = files or {}
        self.asked: list[tuple[tuple[str, ...], str]] = []
        self.given: list[Mapping[str, str]] = []

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
    ) -> tuple[int, str, str]:
        assert timeout > 0
        self.asked.append((tuple(argv), stdin))
        self.given.append(self._environ if env is None else env)
        if "--version" in argv:
            return 0, self.version or _cli(argv[0]).version, ""
        assert cwd == self.scratch()
        assert env is not None
        return self.answer or (0, _cli(argv[0]).answer, "")

    def recent(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str]) -> str | None:
        self.asked.append((tuple(argv), ""))
        self.given.append(env)
        assert timeout > 0
        return self.listed

    def which(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.programs else None

    def stands(self, path: Path) -> str:
        return "file" if str(path) in self.files else ""

    def read(self, path: Path) -> str | None:
        return self.files.get(str(path))

    def environ(self) -> Mapping[str, str]:
        return self._environ

    def scratch(self) -> Path:
        return Path("/scratch")


def _cli(program: str) -> Cli:
    return next(cli for cli in CLIS.values() if cli.program == program)


KEY = {"ANTHROPIC_API_KEY": "k", "CC_GLM_AUTH_TOKEN": "k", "OPENAI_API_KEY": "k",
       "GEMINI_API_KEY": "k", "ZHIPU_API_KEY": "k", "OPENCODE_ALLOWED_MODELS": MODEL, "HOME": "/home/w",
       "PATH": "/usr/bin"}


def test_a_name_is_the_one_it_is_found_by(agent: Provider) -> None:
    assert PROVIDERS[agent.name] is type(agent)
    assert f"{agent.name.replace('-', '_')}_binary_missing" in REASONS


def test_a_command_is_complete_and_made_of_its_spec_alone(agent: Provider) -> None:
    environ = {**KEY, "GITHUB_TOKEN": "t", "PATH": "/bin"}
    known = agent.credentials(Host(environ=environ), SETTINGS)
    spec = RunSpec("gh-1", 1, "p", Path("/p"), Path("/w"), "s", SETTINGS, environ, credentials=known)
    first, second = agent.command(spec), agent.command(spec)
    assert first == second
    assert first.argv
    assert all(isinstance(word, str) for word in first.argv)
    assert "t" not in first.env.values()
    assert first.stdin in {"prompt", "null"}
    assert first.stop_signal in {"INT", "TERM"}
    assert first.speaks in {*OWING, "text", "either"}
    assert first.auth_source == known.source


@pytest.mark.req("W17")
@pytest.mark.parametrize("words", ["", "--dangerously-skip-permissions", "$(id) `id`; id\n--model x", "/clear\0@/etc"])
def test_no_word_of_a_prompt_changes_a_command_its_tools_or_its_environment(agent: Provider, words: str) -> None:
    known = agent.credentials(Host(environ=KEY), SETTINGS)
    plain = RunSpec("gh-1", 1, "Do it.", Path("/p"), Path("/w"), "s", SETTINGS, KEY, credentials=known)
    for streams in (False, True):
        assert agent.command(replace(plain, prompt=words, stream=streams)) == agent.command(
            replace(plain, stream=streams))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=st.binary(max_size=200) | st.sampled_from(RECORDED), cut=st.integers(0, 300))
def test_no_line_whatever_raises_and_what_is_said_can_be_written(agent: Provider, line: bytes, cut: int) -> None:
    for said in agent.events(line[cut:]):
        assert said.kind in {
            "init",
            "text",
            "tool",
            "tool_result",
            "retry",
            "note",
            "error",
            "limit",
            "usage",
            "result",
            "unknown",
        }
        json.dumps(said.raw)


@pytest.mark.parametrize("code", [None, 0, 1, 127, 143])
def test_silence_is_never_success(agent: Provider, code: int | None) -> None:
    outcome = agent.judge(Finished(code, None, "process_exit", [], "", None))
    assert outcome.ending is not Ending.SUCCEEDED
    assert outcome.reason in REASONS


def test_a_missing_program_is_named_with_its_cure_before_anything_starts(agent: Provider) -> None:
    host = Host(programs=(), environ=KEY)
    line = agent.ready(host, SETTINGS)
    assert (line.ok, line.reason) == (False, f"{agent.name.replace('-', '_')}_binary_missing")
    assert line.cure
    assert agent.preflight(host, SETTINGS, live=True) == (line,)
    assert host.asked == []


def test_a_ready_host_is_ready(agent: Provider) -> None:
    host = Host(environ=KEY)
    assert agent.ready(host, SETTINGS).ok
    assert all(line.ok for line in agent.preflight(host, SETTINGS, live=True))


@pytest.mark.req("A70")
def test_a_program_that_is_not_executable_is_named_by_its_path(agent: Provider) -> None:
    files = {f"/usr/bin/{cli.program}": "" for cli in CLIS.values()}
    line = agent.ready(Host(programs=(), environ=KEY, files=files), SETTINGS)
    name = CLIS[agent.name].program
    assert (line.ok, line.cure) == (False, f"chmod +x /usr/bin/{name}")
    assert f"/usr/bin/{name} is not executable" in line.words


@pytest.mark.parametrize("name", sorted(CLIS.keys() - {"command"}))
def test_what_is_said_of_credentials_names_their_source_and_hides_the_key(name: str) -> None:
    environ = {key: "s3cret-key" if value == "k" else value for key, value in KEY.items()}
    host = Host(environ=environ)
    known = provider(name).credentials(host, SETTINGS)
    assert known.source in environ
    assert known.source in " ".join(line.words for line in provider(name).preflight(host, SETTINGS, live=True))
    assert "s3cret-key" not in repr((known, provider(name).ready(host, SETTINGS)))


def claude_lines(host: Host, *, live: bool = True) -> list[tuple[bool, str]]:
    return [(line.ok, line.reason) for line in provider("claude").preflight(host, SETTINGS, live=live)]


def test_claude_answers_live_in_a_fresh_folder_only_when_asked() -> None:
    host = Host(environ=KEY)
    assert claude_lines(host, live=False) == [(True, ""), (True, "")]
    assert len(host.asked) == 1
    line = provider("claude").preflight(host, SETTINGS, live=True)[-1]
    assert line.words.startswith("claude: answered in 1.9 s")
    assert host.asked[-1][1] == "Answer with the word ok"
    assert "--session-id" not in host.asked[-1][0]


def test_no_question_to_an_agent_carries_the_token_of_github(agent: Provider) -> None:
    host = Host(environ={**KEY, "GITHUB_TOKEN": "t0ken", "GH_TOKEN": "t0ken"})
    agent.preflight(host, SETTINGS, live=True)
    assert "t0ken" not in str(host.given)


@pytest.mark.parametrize(("name", "variable"), [
    ("claude", "ANTHROPIC_API_KEY"), ("cc-glm", "ZAI_API_KEY"), ("codex", "OPENAI_API_KEY"),
    ("gemini", "GOOGLE_API_KEY"), ("opencode", "ZHIPU_API_KEY"),
])  # fmt: skip
def test_an_agent_that_repeats_its_key_does_not_bring_it_into_a_preflight(name: str, variable: str) -> None:
    refused = (1, "", "no such key: canary.0123456789")
    host = Host(environ={"HOME": "/h", variable: "canary.0123456789"}, answer=refused, listed=None)
    line = provider(name).preflight(host, Settings(), live=True)[-1]
    assert (line.ok, "no such key: ***" in line.words) == (False, True)
    assert "canary" not in repr(line)


@pytest.mark.parametrize("version", ["1.0.128 (Claude Code)", "3.0.0", "no version at all"])
def test_a_claude_of_another_age_is_refused_and_not_asked(version: str) -> None:
    host = Host(version=version, environ=KEY)
    assert claude_lines(host)[0] == (False, "launch_failed")
    assert len(host.asked) == 1


def test_claude_without_credentials_is_refused_unless_somebody_is_logged_in() -> None:
    assert claude_lines(Host())[-1] == (False, "claude_auth_missing")
    assert claude_lines(Host(files={"/home/w/.claude/.credentials.json": "{}"}))[-1] == (True, "")
    elsewhere = Host(environ={"HOME": "/h", "CLAUDE_CONFIG_DIR": "/c"}, files={"/c/.credentials.json": "{}"})
    assert claude_lines(elsewhere)[-1] == (True, "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            (1, json.dumps({"type": "result", "subtype": "success", "is_error": True, "api_error_status": 401}), ""),
            "claude_auth_blocked",
        ),
        ((124, "", ""), "max_runtime"),
        ((1, "", "Unable to connect"), "network"),
        ((0, "", ""), "claude_protocol_error"),
    ],
)
def test_an_answer_that_is_none_has_the_reason_of_the_same_judge(answer: tuple[int, str, str], reason: str) -> None:
    line = provider("claude").preflight(Host(answer=answer, environ=KEY), SETTINGS, live=True)[-1]
    assert (line.ok, line.reason) == (False, reason)
    assert line.cure


def test_the_probe_of_this_host_runs_finds_reads_and_tidies_up(tmp_path: Path) -> None:
    probe = SystemProbe({"PATH": "/usr/bin:/bin", "WORD": "here"})
    assert probe.which("sh")
    assert probe.which("no-such-program") is None
    assert probe.run(["sh", "-c", "cat; echo $WORD"], timeout=5, stdin="in ") == (0, "in here\n", "")
    assert probe.run(["no-such-program"], timeout=5)[0] == 127
    assert probe.run(["sleep", "9"], timeout=0.05)[0] == 124
    (tmp_path / "file").write_text("text")
    assert probe.read(tmp_path / "file") == "text"
    assert probe.read(tmp_path / "none") is None
    places = (tmp_path / "file", tmp_path, Path("/dev/null"), tmp_path / "none")
    assert [probe.stands(path) for path in places] == ["file", "folder", "other", ""]
    scratch = probe.scratch()
    assert list(scratch.iterdir()) == []
    assert probe.scratch() != scratch
    del probe
    assert not scratch.exists()
