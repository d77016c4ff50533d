"""The verdict that the wrapper writes into the outcome of an agent that speaks claude's stream: by its last result."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import coordinator
from coordinator.domain import reasons
from coordinator.ports import Handle
from coordinator.runfiles.verdict.causes import OF_A_PROVIDER
from coordinator.runfiles.verdict.lines import both_ends
from tests.support.workers import Bench, Found, bench, ended

RECORDINGS = Path(__file__).parents[1] / "recordings" / "claude"
MODEL = {"type": "system", "subtype": "init", "session_id": "s-1", "model": "m-1"}
WELL = {"type": "result", "subtype": "success", "is_error": False, "result": "ok"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def run(place: Bench, script: str, *, provider: str = "claude", speaks: str = "claude", **more: object) -> Found:
    executor = place.executor()
    handle = Handle(provider, "bd-1", f"token-{provider}-{place.mark}")
    spec = place.spec("sh", "-c", script, handle=handle, speaks=speaks, **more)
    executor.submit(spec)
    ended(executor, spec)
    return place.pairs(spec, "outcome")


def said(*bodies: dict[str, object]) -> str:
    return "\n".join(f"printf '%s\\n' {shlex.quote(json.dumps(body))}" for body in bodies) + "\n"


def of(recording: str, code: int) -> str:
    return f"cat {shlex.quote(str(RECORDINGS / recording))}.jsonl; exit {code}"


@pytest.mark.parametrize(("recording", "code", "state", "reason", "judged_by"), [
    ("stream", 0, "success", "process_exit", "result"),
    ("e401", 1, "failed", "claude_auth_blocked", "result"),
    ("no-login", 1, "failed", "claude_auth_missing", "result"),
    ("e400credit", 1, "failed", "no_credit", "result"),
    ("e429", 1, "failed", "claude_rate_limited", "result"),
    ("max-turns", 1, "failed", "max_turns", "result"),
    ("hook-stop", 0, "failed", "claude_permission_denied", "result"),
    ("sigterm-tool", 0, "killed", "manual_stop", "result"),
    ("session", 0, "failed", "claude_protocol_error", "exit"),
])
def test_a_recorded_session_is_judged_by_its_last_result_not_its_exit_code(
    place: Bench, recording: str, code: int, state: str, reason: str, judged_by: str
) -> None:
    outcome = run(place, of(recording, code))
    assert (outcome["state"], outcome["reason_code"], outcome["judged_by"]) == (state, reason, judged_by)
    assert (outcome["ended_by"], outcome["exit_code"]) == ("process_exit", str(code))


def test_a_denied_session_that_changed_something_is_a_success(place: Bench) -> None:
    assert run(place, "touch made; " + of("hook-stop", 0))["state"] == "success"


def test_an_api_error_that_calls_itself_a_success_is_a_failure(place: Bench) -> None:
    outcome = run(place, said({**WELL, "result": "API Error: 401 invalid x-api-key"}))
    assert (outcome["state"], outcome["reason_code"]) == ("failed", "claude_auth_blocked")


def test_a_result_that_is_an_error_outweighs_exit_zero_and_success_in_its_words(place: Bench) -> None:
    outcome = run(place, said({**WELL, "is_error": True, "result": "all done, success"}) + "exit 0")
    assert (outcome["state"], outcome["exit_code"], outcome["words"]) == ("failed", "0", "all done, success")


def test_codes_of_a_provider_carry_its_own_name(place: Bench) -> None:
    assert run(place, of("e429", 1), provider="cc-glm")["reason_code"] == "cc_glm_rate_limited"


def test_without_a_result_the_words_on_stderr_tell_why(place: Bench) -> None:
    outcome = run(place, "echo 'Error: cannot be used with root privileges' >&2; exit 1")
    assert (outcome["reason_code"], outcome["judged_by"]) == ("claude_permission_denied", "exit")
    assert "cannot be used with root" in outcome["words"]


def test_silence_of_an_agent_that_owes_a_result_is_a_failure(place: Bench) -> None:
    assert run(place, "exit 0")["reason_code"] == "claude_protocol_error"


def test_a_program_of_unknown_speech_is_judged_by_the_result_it_prints(place: Bench) -> None:
    outcome = run(place, said({**WELL, "is_error": True}) + "exit 0", provider="command", speaks="either")
    assert (outcome["state"], outcome["judged_by"]) == ("failed", "result")


def test_what_the_session_used_is_kept_whoever_ended_it(place: Bench) -> None:
    bill = {**WELL, "usage": {"input_tokens": 200, "output_tokens": 20}, "total_cost_usd": 0.0015}
    outcome = run(place, said(MODEL, bill), meta={"model": "asked-for"})
    assert (outcome["tokens_in"], outcome["tokens_out"], outcome["cost_usd"]) == ("200", "20", "0.0015")
    assert (outcome["selected_model"], outcome["session_id"]) == ("m-1", "s-1")


def test_the_wrapper_s_own_reason_outweighs_a_good_result(place: Bench) -> None:
    outcome = run(place, said(MODEL, WELL) + "touch STOP; sleep 60")
    assert (outcome["state"], outcome["reason_code"], outcome["judged_by"]) == ("killed", "manual_stop", "wrapper")
    assert outcome["selected_model"] == "m-1"


def test_quoted_words_hide_the_agent_s_own_keys(place: Bench) -> None:
    env = {"PATH": "/usr/bin:/bin", "MY_TOKEN": "correct horse battery"}
    outcome = run(place, 'echo "boom: $MY_TOKEN" >&2; exit 1', env=env)
    assert outcome["words"] == "boom: ***"


def test_a_log_of_any_length_is_judged_by_its_ends(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n" + b"x" * 999 + b"\n" + b"middle\n" * 5000 + b"last\n")
    lines, whole = both_ends(str(log), head=100, tail=100)
    found = list(lines)
    assert not whole
    assert (found[0], found[-1]) == (b"first", b"last\n")
    assert set(found[1:-1]) == {b"middle\n"}, "no line is cut"
    assert next(iter(both_ends(str(log))[0])) == b"first\n"


def test_a_log_that_became_something_else_still_leaves_an_outcome(place: Bench) -> None:
    outcome = run(place, f"rm {place.jobs}/claude/bd-1.log; mkdir {place.jobs}/claude/bd-1.log; exit 0")
    assert (outcome["state"], outcome["exit_code"]) == ("failed", "0")
    assert outcome["words"].startswith("its output could not be read")


def test_the_classes_of_a_provider_are_those_of_the_list_of_reasons() -> None:
    known = {code.removeprefix("claude_") for code in reasons.REASONS if code.startswith("claude_")}
    assert known == OF_A_PROVIDER


def test_nothing_of_the_verdict_is_in_memory_beside_a_running_agent() -> None:
    root = str(Path(coordinator.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); import coordinator.worker.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.split())
    assert "coordinator.worker.ending" in modules
    heavy = {"json", "re", "typing", "dataclasses", "subprocess", "termios", "coordinator.worker.judging",
             "coordinator.worker.terminal", "coordinator.runfiles.masking", "coordinator.runfiles.verdict"}
    assert not modules & heavy
