"""Five programs that answer as the agents do, each in eight moods: every end has its class, a limit uses nothing up,
and none that did not prove an answer stands in for another."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.providers import preflight, provider
from coordinator.adapters.system.probe import SystemProbe
from coordinator.domain.outcome import Outcome, Work
from coordinator.domain.reasons import PARKING
from coordinator.domain.task import TaskState
from coordinator.planning.actions import Begin, Prove, Settle
from coordinator.planning.limits import caps
from coordinator.planning.plan import plan
from coordinator.planning.policy import Policy
from coordinator.planning.snapshot import Gate, Parked, Proof
from coordinator.ports import Finished, Settings
from tests.factories import NOW, a_running, a_snapshot, a_task, evidence

FIVE = ("claude", "cc-glm", "opencode", "gemini", "codex")
MOODS = ("ok", "logged out", "limit with reset", "limit without reset", "wrong model", "dialog", "hang", "garbage")
LIMITS = ("limit with reset", "limit without reset")
HOURS = 2 * 3600
VERSIONS = {"claude": "2.1.0", "cc-glm": "2.1.0", "opencode": "1.18.33", "gemini": "0.61.0", "codex": "0.169.0"}
KEYS = {"claude": "ANTHROPIC_API_KEY", "cc-glm": "CC_GLM_AUTH_TOKEN", "opencode": "ZHIPU_API_KEY",
        "gemini": "GEMINI_API_KEY", "codex": "CODEX_API_KEY"}
DIALOG = "Do you trust the files in this folder?\n  1. Yes, proceed\n  2. No, exit\n"
GARBAGE = '\x1b[2J{"type": "resu\n\ufffd\ufffd{]}\n[1, 2\n'

CLASSES = {
    "ok": "", "logged out": "auth_blocked", "limit with reset": "usage_limited",
    "limit without reset": "usage_limited", "wrong model": "model_unavailable", "dialog": "protocol_error",
    "hang": "max_runtime", "garbage": "protocol_error",
}
OWN = {("gemini", "limit without reset"): "capacity_exhausted", ("codex", "limit without reset"): "rate_limited"}
"""Where one of them has another word for it."""

PROGRAM = """\
#!/bin/sh
case "$*" in
*--version*) echo {version}; exit 0 ;;
models) echo zhipuai-coding-plan/glm-5; exit 0 ;;
esac
cat > /dev/null
cat {folder}/out
cat {folder}/err >&2
{then}
"""


def lines(*bodies: dict[str, Any]) -> str:
    return "".join(json.dumps(body) + "\n" for body in bodies)


def claude(mood: str) -> tuple[str, str, int]:
    begun = {"type": "system", "subtype": "init", "session_id": "s", "model": "m"}
    if mood == "ok":
        return lines(begun, {"type": "result", "subtype": "success", "is_error": False, "result": "ok"}), "", 0
    status, words = {
        "logged out": (401, "Failed to authenticate. API Error: 401 invalid x-api-key"),
        "limit with reset": (429, f"Claude AI usage limit reached|{int(time.time()) + HOURS}"),
        "limit without reset": (429, "API Error: Request rejected (429) · come back later"),
        "wrong model": (404, "There's an issue with the selected model (m). It may not exist."),
    }[mood]
    told = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": status, "result": words}
    return lines(begun, told), "", 1


def codex(mood: str) -> tuple[str, str, int]:
    begun = {"type": "thread.started", "thread_id": "t"}
    if mood == "ok":
        said = {"type": "item.completed", "item": {"id": "i", "type": "agent_message", "text": "ok"}}
        return lines(begun, said, {"type": "turn.completed", "usage": {"input_tokens": 9, "output_tokens": 1}}), "", 0
    words = {
        "logged out": "unexpected status 401 Unauthorized: Incorrect API key, url: http://x/v1/responses",
        "limit with reset": "You’ve hit your usage limit. Try again in 2 hours 0 minutes.",
        "limit without reset": "exceeded retry limit, last status: 429 Too Many Requests",
        "wrong model": "unexpected status 404 Not Found: model: none, url: http://x",
    }[mood]
    return lines(begun, {"type": "turn.failed", "error": {"message": words}}), "", 1


def gemini(mood: str) -> tuple[str, str, int]:
    begun = {"type": "init", "session_id": "s", "model": "m"}
    if mood == "ok":
        return lines(begun, {"type": "message", "role": "assistant", "content": "ok"},
                     {"type": "result", "status": "success", "stats": {}}), "", 0
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    words, code = {
        "logged out": ('[API Error: {"error":{"code":401,"message":"invalid key"}}]', 145),
        "limit with reset": ("[API Error: You exhausted your quota.\nSuggested retry after 7200s.]\nPlease wait", 173),
        "limit without reset": ("[API Error: slow down]\nPlease wait and try again later.", 173),
        "wrong model": ("[API Error: models/m is not found for API version v1beta]", 1),
    }[mood]
    told = {"type": "result", "timestamp": stamp, "status": "error", "error": {"type": "unknown", "message": words}}
    return lines(begun, told), "", code


def opencode(mood: str) -> tuple[str, str, int]:
    stamp = int(time.time() * 1000)
    begun = {"type": "step_start", "timestamp": stamp, "sessionID": "s", "part": {}}
    if mood == "ok":
        return lines(begun, {"type": "text", "part": {"text": "ok", "messageID": "m"}},
                     {"type": "step_finish", "part": {"reason": "stop", "messageID": "m", "tokens": {}}}), "", 0
    if mood == "wrong model":
        return "", "ProviderModelNotFoundError: glm-9\n", 1
    data: dict[str, Any] = {
        "logged out": {"message": "Unauthorized", "statusCode": 401},
        "limit with reset": {"message": "Usage limit reached", "statusCode": 429,
                             "responseHeaders": {"retry-after": str(HOURS)}},
        "limit without reset": {"message": "Usage limit reached", "statusCode": 429},
    }[mood]
    error = {"name": "APIError", "data": data}
    return lines(begun, {"type": "error", "timestamp": stamp, "sessionID": "s", "error": error}), "", 1


STREAMS = {"claude": claude, "cc-glm": claude, "codex": codex, "gemini": gemini, "opencode": opencode}


def program(folder: Path, name: str, mood: str) -> Path:
    """The program of this provider in this mood."""
    out, err, code = {"dialog": (DIALOG, "", 0), "hang": ("", "", 0), "garbage": (GARBAGE, "", 0)}.get(mood) \
        or STREAMS[name](mood)
    (folder / "out").write_text(out)
    (folder / "err").write_text(err)
    then = "exec sleep 60" if mood == "hang" else f"exit {code}"
    path = folder / name
    path.write_text(PROGRAM.format(version=VERSIONS[name], folder=folder, then=then))
    path.chmod(0o755)
    return path


def proof(folder: Path, name: str, mood: str) -> Proof:
    """What its preflight proves, the live question included."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(folder), KEYS[name]: "a-key-of-the-test"}
    settings = Settings(binary=str(program(folder, name, mood)))
    told = provider(name).preflight(SystemProbe(environ), settings, live=True)
    failed = next((line for line in told if not line.ok), None)
    return Proof(NOW, Gate(failed.reason, failed.words) if failed is not None else None)


def outcome(folder: Path, name: str, mood: str) -> Outcome:
    """What a session with it is judged as; one that hangs was ended by its wrapper."""
    work = Work("b" * 40, "h" * 40, commits=1) if mood == "ok" else Work("b" * 40, "b" * 40, commits=0)
    path = program(folder, name, mood)
    if mood == "hang":
        return provider(name).judge(Finished(None, 15, "stalled", [], "", work, streamed=True))
    ran = subprocess.run([path, "run"], input=b"do it", capture_output=True, check=False)
    told = ran.stdout.splitlines(keepends=True)
    return provider(name).judge(
        Finished(ran.returncode, None, "process_exit", told, ran.stderr.decode(), work, ended_at=time.time(),
                 streamed=True))


def expected(name: str, mood: str) -> str:
    suffix = OWN.get((name, mood)) or CLASSES[mood]
    general = suffix in ("", "max_runtime")
    return suffix if general else f"{name.replace('-', '_')}_{suffix}"


@pytest.mark.req("N6", "W10")
@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("name", FIVE)
def test_each_of_the_forty_has_its_class_and_only_one_that_answers_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, mood: str
) -> None:
    monkeypatch.setattr(preflight, "LIVE_TIMEOUT", 1.0)
    proved = proof(tmp_path, name, mood)

    assert (proved.no.code if proved.no is not None else "") == expected(name, mood)

    other = "codex" if name != "codex" else "gemini"
    policy = Policy(provider=other, providers=frozenset(FIVE), fallback={other: (name,)})
    parked = {other: Parked(NOW.replace(year=2027), "limit", f"{other}_usage_limited")}
    waiting = a_snapshot(a_task(provider=other), policy=policy, parked=parked)
    unasked = plan(waiting)
    assert [one for one in unasked.actions if isinstance(one, (Begin, Prove))] == [Prove(name)]
    begun = [one for one in plan(replace(waiting, proofs={name: proved})).actions if isinstance(one, Begin)]
    assert [one.provider for one in begun] == ([name] if mood == "ok" else [])


@pytest.mark.req("N6", "W4")
@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("name", FIVE)
def test_each_of_the_forty_is_settled_by_its_class_and_a_limit_uses_nothing_up(
    tmp_path: Path, name: str, mood: str
) -> None:
    found = outcome(tmp_path, name, mood)
    reason = {"ok": "process_exit", "hang": "stalled"}.get(mood) or expected(name, mood)
    assert found.reason == reason

    task, attempt = a_running()
    task, attempt = replace(task, provider=name), replace(attempt, provider=name)
    snapshot = a_snapshot(task, attempts={"gh-1": (attempt,)}, policy=Policy(provider=name, providers=frozenset(FIVE)),
                          evidence={"gh-1": evidence(found, commits=int(mood == "ok"))})
    [settle] = [one for one in plan(snapshot).actions if isinstance(one, Settle)]
    made = settle.settlement
    limit = mood in LIMITS
    assert (found.reason in PARKING, made.park_until is not None) == (limit, limit)
    assert (found.reset_at is not None) == (mood == "limit with reset")
    if mood == "limit with reset":
        assert made.park_until is not None
        assert found.reset_at == pytest.approx(time.time() + HOURS, abs=90)
    ends = {"ok": TaskState.PUBLISHING, **dict.fromkeys(LIMITS, TaskState.QUEUED),
            **dict.fromkeys(("dialog", "hang", "garbage"), TaskState.BACKOFF)}
    assert made.to is ends.get(mood, TaskState.BLOCKED)
    assert made.charged is (mood in ("dialog", "hang", "garbage"))
    ended = replace(attempt, ending=found.ending, reason=found.reason)
    assert caps.sessions(replace(snapshot, attempts={"gh-1": (ended,)}), task) == (0 if limit else 1)
