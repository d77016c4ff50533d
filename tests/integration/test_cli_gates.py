"""preflight and beads-gate as commands: real git, a scripted `bd` and a scripted `claude` on PATH."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer

from coordinator.adapters.system import beads
from coordinator.cli.jobs import gates
from coordinator.cli.program import run_program
from tests.support.bd import Beads, some_beads


class Command:
    """The commands as a program, in an environment of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.monkeypatch, self.capfd = monkeypatch, capfd

    def __call__(self, environ: Mapping[str, str], *argv: str) -> tuple[int, str, str]:
        for name in ("CC_GLM_AUTH_TOKEN", "CC_GLM_TOKEN_FILE", "ZAI_API_KEY", "CC_GLM_OP_URI", "BEADS_REPO_PATH"):
            self.monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            self.monkeypatch.setenv(name, value)
        program = typer.Typer()
        gates.add_to(program)
        self.capfd.readouterr()
        code = run_program(program, "coordinator", argv)
        return code, *self.capfd.readouterr()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    return Command(monkeypatch, capfd)


@pytest.fixture
def place(tmp_path: Path) -> Beads:
    return some_beads(tmp_path)


def verdict(command: Command, place: Beads, *argv: str, **environ: str) -> tuple[int, dict[str, object]]:
    words = ("beads-gate", "--repo", str(place.repo), "--json", *argv)
    code, out, _ = command({**place.environ, **environ}, *words)
    return code, json.loads(out)


@pytest.mark.req("C3", "C16", "C22")
def test_beads_in_order_pass_and_every_key_is_there(command: Command, place: Beads) -> None:
    code, gate = verdict(command, place)
    assert code == 0
    assert gate == {
        "passed": True, "reason_code": "beads_ok", "db_status": "ok", "repo_id_local": "abc123", "repo_id_db": "abc123",
        "external_repo": str(place.home / "bd"), "external_remote": "git@github.com:stars-end/bd.git",
        "details": "all is well", "cure": "", "warnings": [],
    }  # fmt: skip
    assert place.asked == [f"{place.repo}: status", f"{place.repo}: info --json"]


@pytest.mark.req("C21", "C23", "C102")
def test_without_bd_the_gate_fails_with_24_and_says_what_to_install(command: Command, place: Beads) -> None:
    (place.bin / "bd").unlink()
    code, out, _ = command({**place.environ, "PATH": str(place.bin)}, "beads-gate", "--repo", str(place.repo))
    assert code == 24
    assert out.startswith("fail  beads_unavailable: bd is not installed")
    assert "Install" in out


@pytest.mark.req("C19", "C24")
def test_the_repository_of_all_beads_must_be_there_where_the_environment_says(
    command: Command, place: Beads, tmp_path: Path
) -> None:
    (place.home / "bd").rename(tmp_path / "elsewhere")
    code, gate = verdict(command, place)
    assert (code, gate["reason_code"]) == (24, "beads_external_repo_missing")
    assert gate["external_repo"] == str(place.home / "bd")
    code, gate = verdict(command, place, BEADS_REPO_PATH=str(tmp_path / "elsewhere"))
    assert (code, gate["external_repo"]) == (0, str(tmp_path / "elsewhere"))


@pytest.mark.req("C20", "C25")
def test_its_origin_must_contain_what_the_environment_says(command: Command, place: Beads) -> None:
    place.origin("https://user:hunter2hunter2@example.org/acme/beads.git")
    code, gate = verdict(command, place)
    assert (code, gate["reason_code"]) == (24, "beads_external_remote_mismatch")
    assert "hunter2" not in json.dumps(gate)
    assert verdict(command, place, BEADS_REPO_REMOTE_SUBSTR="acme/beads")[0] == 0


@pytest.mark.req("C26", "P42")
def test_a_database_that_cannot_be_reached_is_told_whole_and_shifts_nothing(command: Command, place: Beads) -> None:
    place.answers("status", "a | b\n| c", code=1, err="dial tcp | connection | refused \x1b[31mred")
    code, gate = verdict(command, place)
    assert (code, gate["reason_code"], gate["db_status"]) == (24, "beads_db_error", "error")
    assert gate["external_repo"] == str(place.home / "bd")
    assert "dial tcp | connection | refused" in str(gate["details"])
    _, out, _ = command(place.environ, "beads-gate", "--repo", str(place.repo))
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1


def test_a_bd_that_never_answers_is_given_up(
    command: Command, place: Beads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beads.BeadsHost.__init__, "__defaults__", (0.3,))
    place.answers("status", "", code="sleep")
    code, gate = verdict(command, place)
    assert (code, gate["reason_code"]) == (24, "beads_db_error")
    assert "no answer within 0.3 s" in str(gate["details"])


@pytest.mark.req("C17", "C27", "C29")
def test_a_probe_must_be_there_and_the_ids_of_checkout_and_database_must_agree(command: Command, place: Beads) -> None:
    assert verdict(command, place, "--probe-id", "bd-1")[0] == 0
    assert f"{place.repo}: show bd-1" in place.asked
    place.local_id("repo_id=other\n")
    code, gate = verdict(command, place, "--probe-id", "bd-1")
    assert (code, gate["reason_code"]) == (24, "beads_repo_mismatch")
    assert (gate["repo_id_local"], gate["repo_id_db"]) == ("other", "abc123")
    place.answers("show", "", code=1, err="no issue found matching bd-9")
    code, gate = verdict(command, place, "--probe-id", "bd-9")
    assert (code, gate["reason_code"]) == (24, "beads_probe_not_found")


@pytest.mark.req("C18", "C28")
def test_a_write_probe_comments_on_the_issue_and_a_refusal_closes_the_gate(command: Command, place: Beads) -> None:
    assert verdict(command, place, "--probe-id", "bd-1", "--write-probe")[0] == 0
    assert f"{place.repo}: comment bd-1 coordinator beads-gate: write probe" in place.asked
    place.answers("comment", "", code=1, err="attempt to write a readonly database")
    code, gate = verdict(command, place, "--probe-id", "bd-1", "--write-probe")
    assert (code, gate["reason_code"]) == (24, "beads_write_blocked")


@pytest.mark.req("C93")
def test_a_flush_that_fails_warns_on_stderr_and_blocks_when_it_is_strict(command: Command, place: Beads) -> None:
    place.answers("sync", "", code=1, err="disk full")
    code, out, err = command(place.environ, "beads-gate", "--repo", str(place.repo), "--flush", "--json")
    assert (code, json.loads(out)["passed"]) == (0, True)
    assert err == "warning: the flush failed: disk full\n"
    assert f"{place.repo}: sync --flush-only" in place.asked
    code, gate = verdict(command, place, "--flush", BEADS_FLUSH_STRICT="1")
    assert (code, gate["reason_code"]) == (24, "beads_write_blocked")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--repo", "nowhere"), "--repo nowhere is no folder"),
        (("--repo", ".", "--probe-id", "--help=x"), "--probe-id '--help=x' is no id"),
        (("--repo", ".", "--write-probe"), "--write-probe comments on an issue"),
        ((), "Missing option '--repo'"),
    ],
)
def test_a_question_that_makes_no_sense_is_wrong_usage(
    command: Command, place: Beads, argv: tuple[str, ...], words: str
) -> None:
    code, out, err = command(place.environ, "beads-gate", *argv)
    assert (code, out) == (64, "")
    assert words in err


# --- preflight ------------------------------------------------------------------------------------------


ANSWER = '{"type":"result","subtype":"success","is_error":false,"result":"ok"}'
SCRIPT = f"""\
if [ "$1" = --version ]; then echo '2.1.197 (Claude Code)'; exit; fi
echo asked >> "$HOME/asked"; pwd >> "$HOME/stood"; ls -A >> "$HOME/stood"
echo '{ANSWER}'"""


def claude(folder: Path, script: str = SCRIPT) -> dict[str, str]:
    """An environment whose PATH holds this claude alone."""
    path = folder / "tools" / "claude"
    path.parent.mkdir()
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{path.parent}:/usr/bin:/bin", "HOME": str(folder)}


@pytest.mark.req("C2")
def test_a_ready_provider_has_a_line_for_each_question(command: Command, tmp_path: Path) -> None:
    environ = {**claude(tmp_path), "ZAI_API_KEY": "s3cret"}
    code, out, _ = command(environ, "preflight", "--provider", "cc-glm")
    assert code == 0
    assert [line[:4] for line in out.splitlines()] == ["ok  ", "ok  ", "ok  ", "ok  "]
    assert "cc-glm 2.1.197" in out
    assert "credentials from ZAI_API_KEY" in out
    assert "s3cret" not in out


@pytest.mark.req("P47", "W10", "C12", "C13")
def test_an_answer_is_proven_in_a_fresh_folder_once_a_day_for_each_model_and_when_it_is_forced(
    command: Command, tmp_path: Path
) -> None:
    environ = {**claude(tmp_path), "ANTHROPIC_API_KEY": "k"}

    def asked(*options: str, **more: str) -> int:
        code, out, _ = command({**environ, **more}, "preflight", "--provider", "claude", *options)
        assert (code, "claude: answered" in out) == (0, True), out
        return (tmp_path / "asked").read_text().count("asked")

    assert [asked(), asked(), asked("--live")] == [1, 1, 2]
    assert [line for line in (tmp_path / "stood").read_text().splitlines() if not line.startswith("/")] == []
    assert asked(CLAUDE_CODE_OAUTH_TOKEN="other", ANTHROPIC_API_KEY="") == 3
    (tmp_path / ".local/state/coordinator/preflight.json").write_text("[torn")
    assert asked() == 4


@pytest.mark.parametrize(("provider", "name", "value"), [
    ("claude", "ANTHROPIC_MODEL", "another"), ("claude", "ANTHROPIC_BASE_URL", "http://elsewhere.test/s3cret"),
    ("cc-glm", "CC_GLM_MODEL", "another"),
])  # fmt: skip
def test_an_answer_proves_nothing_of_another_model_or_address_that_the_environment_names(
    command: Command, tmp_path: Path, provider: str, name: str, value: str
) -> None:
    environ = {**claude(tmp_path), "ANTHROPIC_API_KEY": "k", "ZAI_API_KEY": "k"}
    for more in ({}, {name: value}, {name: value}):
        assert command({**environ, **more}, "preflight", "--provider", provider)[0] == 0
    assert (tmp_path / "asked").read_text().count("asked") == 2
    assert "s3cret" not in (tmp_path / ".local/state/coordinator/preflight.json").read_text()


@pytest.mark.req("C99", "W10")
@pytest.mark.parametrize(("script", "words"), [
    ("echo 'Do you trust the files in this folder?'", "no result event"),
    ('echo \'{"type":"result","subtype":"success","is_error":true,"result":"API Error: 401 no"}\'', "401"),
    ("echo '{\"half\": '; exit 1", "no answer"),
])
def test_an_agent_that_answers_with_a_dialog_or_an_error_is_no_ready_one_and_is_asked_again(
    command: Command, tmp_path: Path, script: str, words: str
) -> None:
    version = 'if [ "$1" = --version ]; then echo 2.1.197; exit; fi\n'
    environ = {**claude(tmp_path, version + script), "ANTHROPIC_API_KEY": "k"}
    for _ in range(2):
        code, out, _ = command(environ, "preflight", "--provider", "claude")
        assert code == 21
        assert out.splitlines()[-1].startswith("fail  claude: no answer")
        assert words in out


@pytest.mark.parametrize(
    ("environ", "code", "words"),
    [
        ({}, 10, "AUTH TOKEN RESOLUTION FAILED"),
        ({"ZAI_API_KEY": "op://dev/x/KEY"}, 10, "op CLI not found, which would open op://dev/x/KEY"),
        ({"CC_GLM_TOKEN_FILE": "none"}, 11, "Token file not found: none"),
        ({"ZAI_API_KEY": "k", "CC_GLM_TIMEOUT_MS": "soon"}, 21, "CC_GLM_TIMEOUT_MS='soon'"),
    ],
)
def test_what_fails_is_a_line_with_its_cure_and_an_exit_code(
    command: Command, tmp_path: Path, environ: Mapping[str, str], code: int, words: str
) -> None:
    found, out, _ = command({**claude(tmp_path), **environ}, "preflight", "--provider", "cc-glm")
    assert found == code
    [bad] = [line for line in out.splitlines() if line.startswith("fail")]
    assert words in bad
    assert "→" in bad


def test_preflight_in_json_names_the_reason_and_the_code(command: Command, tmp_path: Path) -> None:
    environ = claude(tmp_path)
    (tmp_path / "tools" / "claude").chmod(0o644)
    code, out, _ = command(environ, "preflight", "--provider", "cc-glm", "--json")
    facts = json.loads(out)
    assert (code, facts["exit_code"]) == (21, 21)
    assert (facts["passed"], facts["reason_code"]) == (False, "cc_glm_binary_missing")
    assert facts["checks"][0]["cure"] == f"chmod +x {tmp_path}/tools/claude"


def test_a_provider_that_nobody_knows_is_answered_with_those_that_exist(command: Command) -> None:
    code, out, err = command({}, "preflight", "--provider", "cluade")
    assert (code, out) == (20, "")
    assert "'cluade'" in err
    assert "Known are cc-glm, claude, " in err
