"""1Password with a real program `op` and real jobs: it is asked once for each start and never by who only reads; the
key it gives is nowhere but with the agent."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from coordinator.adapters.providers import onepassword
from coordinator.adapters.system.probe import BAD_KEEPS, SystemProbe
from coordinator.ports import Settings
from tests.support.byhand import CC_GLM_JOB, DX_RUNNER, Hand, hand
from tests.support.op import ACCOUNT, KEY, Op, some_op
from tests.support.program import CHECKOUT

__all__ = ["hand"]
URI = "op://dev/Agent-Secrets-Production/ZAI_API_KEY"
EXAMPLES = CHECKOUT / "docs" / "examples"


@pytest.fixture
def op(tmp_path: Path) -> Op:
    return some_op(tmp_path / "bin")


def environ(hand: Hand, op: Op) -> dict[str, str]:
    hand.claude()
    return {"PATH": op.path, "OP_SERVICE_ACCOUNT_TOKEN": ACCOUNT}


# --- the question ---------------------------------------------------------------------------------------


def test_the_same_question_is_asked_once_in_a_while_and_a_failure_sooner_again(op: Op) -> None:
    now = [100.0]
    probe = SystemProbe({"PATH": op.path}, now=lambda: now[0])

    def ask(uri: str = "op://a/b/c") -> tuple[int, str, str]:
        return probe.run(["op", "read", uri], timeout=20, keep=300)

    assert ask() == ask() == (0, f"{KEY}\n", "\n")
    ask("op://d/e/f")
    assert op.asked == ["read op://a/b/c", "read op://d/e/f"]
    now[0] += 299
    ask()
    assert len(op.asked) == 2
    now[0] += 1
    op.answers("read", "", code=1, err="locked")
    assert ask() == ask() == (1, "", "locked\n")
    assert len(op.asked) == 3
    now[0] += BAD_KEEPS
    ask()
    assert len(op.asked) == 4
    assert probe.run(["op", "user"], timeout=20)[0] == probe.run(["op", "user"], timeout=20)[0] == 0
    assert len(op.asked) == 6


def test_an_op_that_never_answers_is_ended_with_its_time(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onepassword, "READ_LIMIT", 0.3)
    op.answers("read", "", code="sleep")
    with pytest.raises(onepassword.Unusable, match="locked or slow"):
        onepassword.secret(SystemProbe({"PATH": op.path}), URI, Settings(), lambda _: None)
    assert len(op.asked) == 1


# --- jobs -----------------------------------------------------------------------------------------------


def test_one_start_asks_once_and_the_key_is_in_no_file_of_the_job(hand: Hand, op: Op) -> None:
    given = environ(hand, op)
    ran = hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), name=CC_GLM_JOB, **given)
    assert ran.returncode == 0, ran.stderr
    hand.outcome()
    assert op.asked == [f"read {URI}"]
    assert hand.pairs("meta")["auth_source"] == hand.pairs("contract")["auth_source"] == "default-op-uri"
    assert (hand.pairs("meta")["auth_mode"], hand.pairs("contract")["auth_mode"]) == ("op", "op")
    held = b"".join(path.read_bytes() for path in hand.jobs.rglob("*") if path.is_file())
    assert KEY.encode() not in held
    assert ACCOUNT.encode() not in held
    assert KEY not in ran.stdout + ran.stderr
    again = hand.run("restart", "--beads", "bd-1", name=CC_GLM_JOB, **given)
    assert again.returncode == 0, again.stderr
    assert len(op.asked) == 2, "a restart compares the contract and starts: one question"


def test_who_only_reads_asks_nothing(hand: Hand, op: Op) -> None:
    given = environ(hand, op)
    hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt("sleep")), name=CC_GLM_JOB, **given)
    asked = op.asked
    for line in (("status",), ("health",), ("check", "--beads", "bd-1"), ("tail", "--beads", "bd-1"),
                 ("diagnose", "--beads", "bd-1"), ("report", "--beads", "bd-1"), ("stop", "--beads", "bd-1")):
        hand.run(*line, name=CC_GLM_JOB, **given)
    assert op.asked == asked == [f"read {URI}"]


@pytest.mark.req("B62")
def test_the_token_file_of_the_site_is_a_key_of_the_configuration(hand: Hand, op: Op) -> None:
    (hand.root / "site-token").write_text("ops_of-the-site\n")
    text = (EXAMPLES / "config.toml").read_text().replace("/etc/coordinator/op-token", f"{hand.root}/site-token")
    user = hand.folder(".config/coordinator") / "config.toml"
    user.write_text(text)
    given = {**environ(hand, op), "OP_SERVICE_ACCOUNT_TOKEN": ""}
    ran = hand.run("preflight", "--provider", "cc-glm", log_dir=False, **given)
    assert "credentials from default-op-uri" in ran.stdout, ran.stdout + ran.stderr
    assert op.env["OP_SERVICE_ACCOUNT_TOKEN"] == "ops_of-the-site"


@pytest.mark.req("A4", "A71", "B78")
def test_preflight_tells_of_a_1password_that_nobody_signed_in_to(hand: Hand, op: Op) -> None:
    op.answers("read", "", code=1, err="[ERROR] You are not currently signed in.")
    given = {**environ(hand, op), "OP_SERVICE_ACCOUNT_TOKEN": ""}
    (op.bin / "claude").write_text("#!/bin/sh\necho '2.1.197 (Claude Code)'\n")
    ran = hand.run("preflight", "--provider", "cc-glm", log_dir=False, **given)
    assert ran.returncode == 10
    assert "AUTH TOKEN RESOLUTION FAILED" in ran.stdout
    assert 'eval "$(op signin)"' in ran.stdout


@pytest.mark.req("C80")
def test_glm_is_started_with_the_options_of_every_provider(hand: Hand, op: Op) -> None:
    given, tree = environ(hand, op), hand.folder("agents/bd-1")
    options = ("--worktree", str(tree), "--repo", "widgets", "--model", "glm-4.9", "--pty")
    ran = hand.run("start", "--provider", "cc-glm", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), *options,
                   name=DX_RUNNER, DX_RUNNER_EXTRA_ALLOWED_PREFIXES=str(hand.root), **given)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert hand.outcome()["state"] == "success"
    meta = hand.pairs("meta")
    assert [meta[key] for key in ("provider", "worktree", "repo", "model", "use_pty")] == [
        "cc-glm", str(tree), "widgets", "glm-4.9", "true"]
    assert "glm-4.9" in json.loads((tree / "seen.json").read_text())["argv"]


# --- claude's own login ---------------------------------------------------------------------------------

ALLOWED = {"CC_GLM_ALLOW_FALLBACK": "1"}


@pytest.mark.req("B51", "B75", "B81")
def test_claudes_own_login_is_for_one_job_at_a_time_and_never_for_a_batch(hand: Hand) -> None:
    given = {**hand.claude(), **ALLOWED}
    prompt = hand.prompt("sleep\n")

    def start(job: str, **more: str) -> subprocess.CompletedProcess[str]:
        return hand.run("start", "--beads", job, "--provider", "cc-glm", "--prompt-file", str(prompt),
                        cwd=hand.folder(job), **{**given, **more})  # fmt: skip

    listed = hand.root / "tonight.list"
    listed.write_text(f"bd-9:{prompt}:widgets\n")
    hand.folder("agents/bd-9/widgets")
    root = str(hand.root / "agents")
    batch = hand.run("batch", str(listed), "--provider", "cc-glm", "--worktree-root", root, **given)
    assert batch.returncode != 0
    assert "good for one job at a time, and a batch starts many" in batch.stderr
    assert "pid" not in hand.pairs("meta", "bd-9")

    first, second = start("bd-1"), start("bd-2")
    assert first.returncode == 0, first.stderr
    assert "WARNING: cc-glm has no key of its own" in first.stderr
    assert hand.pairs("meta")["auth_source"] == "claude's-own-login"
    assert (second.returncode, "and bd-1 runs" in second.stderr) == (10, True)
    assert hand.pairs("outcome", "bd-2")["reason_code"] == "cc_glm_auth_missing"
    assert start("bd-3", CC_GLM_AUTH_TOKEN="a-key-of-its-own").returncode == 0


# --- what a failed run in plain text is recorded as -------------------------------------------------------


@pytest.mark.req("P48")
@pytest.mark.parametrize(
    ("line", "code", "state", "reason"),
    [
        ("Not logged in · Please run /login", 1, "failed", "cc_glm_auth_missing"),
        ("Invalid API key · Fix external API key", 1, "failed", "cc_glm_auth_blocked"),
        ("API Error: Request rejected (429) · slow down", 1, "failed", "cc_glm_rate_limited"),
        ("API Error: Request rejected (429) · Usage limit reached", 1, "failed", "cc_glm_usage_limited"),
        ("There's an issue with the selected model (glm-5).", 1, "failed", "cc_glm_model_unavailable"),
        ("the parser answers API Error: 401 now", 1, "failed", "process_exit"),
        ('{"type":"result","subtype":"success","is_error":false,"result":"ok"}', 1, "failed", "process_exit"),
        ("API Error: 401 is what it answers now", 0, "success", "process_exit"),
    ],
)
def test_a_job_in_plain_text_is_recorded_with_the_class_of_its_failure(
    hand: Hand, line: str, code: int, state: str, reason: str
) -> None:
    program = hand.folder("bin") / "claude"
    program.write_text(f"#!/bin/sh\ncat > said\necho begun\ncat <<'END'\n{line}\nEND\nexit {code}\n")
    program.chmod(0o755)
    ran = hand.run("start", "--beads", "bd-1", "--prompt-file", str(hand.prompt()), name=CC_GLM_JOB,
                   PATH=f"{program.parent}:{os.environ['PATH']}", CC_GLM_AUTH_TOKEN="s3cret-s3cret")  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    outcome = hand.outcome()
    assert (outcome["state"], outcome["reason_code"], outcome["exit_code"]) == (state, reason, str(code))
    assert outcome["judged_by"] == "exit"


# --- the example that sets an account up ------------------------------------------------------------------


def credential(op: Op, home: Path, token: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", str(EXAMPLES / "create-op-credential.sh"), *argv], input=token, text=True, timeout=30,
                          env={"PATH": op.path, "HOME": str(home)}, capture_output=True, check=False)  # fmt: skip


@pytest.mark.req("B60", "B63")
def test_the_example_puts_a_token_where_it_is_looked_for_and_proves_it_by_op_read(op: Op, tmp_path: Path) -> None:
    ran = credential(op, tmp_path, "ops_new-token\n")
    assert ran.returncode == 0, ran.stderr
    host = Path("/proc/sys/kernel/hostname").read_text().strip()
    file = tmp_path / ".config/systemd/user" / f"op-{host}-token"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("ops_new-token\n", 0o600)
    assert op.asked == [f"read {URI}"]
    assert KEY not in ran.stdout + ran.stderr
    account = onepassword.sign_in(SystemProbe({"HOME": str(tmp_path)}), Settings(), lambda _: None)
    assert (account.source, account.token) == (str(file), "ops_new-token")


@pytest.mark.req("B60")
def test_the_example_leaves_nothing_behind_that_does_not_open_the_key(op: Op, tmp_path: Path) -> None:
    op.answers("read", "", code=1, err="[ERROR] 403 Forbidden")
    ran = credential(op, tmp_path, "ops_bad-token\n")
    assert ran.returncode == 10
    assert "op read" in ran.stderr
    assert not list((tmp_path / ".config").rglob("op-*"))
    assert credential(op, tmp_path, "\n").returncode == 11
