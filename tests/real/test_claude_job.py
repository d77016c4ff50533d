"""The real claude through the whole coordinator, a scripted model behind it: from the label to the right outcome.

What each end means for the provider alone stands in test_claude.py; here it is followed to the task, the branch,
the pull request and the processes.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.cli.view import ViewOptions, view
from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.runfiles import atomic, identity
from tests.support.model_server import COMMIT, Answer, ModelServer, Refusal, Turn, Wait
from tests.support.real_parts import CLAUDE, missing
from tests.support.workers import command_line
from tests.support.yard import BOT_TOKEN, Yard, a_yard

pytestmark = [pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE)), pytest.mark.timeout(240)]

SECTION = """
[providers.claude]
binary = "{claude}"
environment = ["SCRIPTED_*"]
{more}"""
ADD_MORE = "echo more > more.txt && git add more.txt && git commit -q -m 'Add more'"
HALF = "echo half > half.txt"
STOP_WITHIN = 5.0


@contextmanager
def claude_yard(folder: Path, server: ModelServer, scenario: str, *, more: str = "", template: str = "",
                key: str = "ANTHROPIC_AUTH_TOKEN", environ: dict[str, str] | None = None,
                settings: dict[str, str] | None = None) -> Iterator[Yard]:
    """A yard whose workers are the real claude. `more` goes into its section, `template` replaces the default one."""
    section = SECTION.format(claude=CLAUDE, more=more)
    with a_yard(folder, more=section, settings={"stop_grace": "500ms", **(settings or {})}) as yard:
        yard.close()
        text = yard.read("coordinator.toml").replace('provider = "command"', 'provider = "claude"')
        (yard.clone / "coordinator.toml").write_text(text)
        if template:
            own = yard.clone / "worker_templates" / "default"
            own.mkdir(parents=True)
            (own / "template.toml").write_text(template)
            (own / "prompt.md").write_text("{{ issue.text }}")
        yard.environ |= {
            "ANTHROPIC_BASE_URL": server.url(scenario),
            key: "dummy",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            **(environ or {}),
        }
        yard.start()
        yield yard


def attempts(yard: Yard, number: int) -> tuple[Attempt, ...]:
    return yard.engine.world.store.attempts()[f"gh-{number}"]


def transcript(yard: Yard, number: int) -> list[dict[str, object]]:
    text = (yard.clone / "logs" / f"gh-{number}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def sleeping(yard: Yard, number: int) -> list[int]:
    """The pids of the `sleep` that the worker's tool runs."""
    history = yard.engine.world.store.attempts().get(f"gh-{number}", ())
    carriers = identity.with_token(history[-1].token) if history else ()
    return [proc.pid for proc in carriers if command_line(proc.pid).startswith(b"sleep\0")]


def first_then(first: str, then: Answer) -> Callable[[int, int], Answer]:
    """One command, and the same answer to everything after it."""
    return lambda results, _: Turn(bash=first) if results == 0 else then


# --- it goes well ---------------------------------------------------------------------------------------


@pytest.mark.req("F6", "F9", "E1", "E7")
def test_a_labelled_issue_becomes_a_pull_request_by_the_real_agent(tmp_path: Path, scripted: ModelServer) -> None:
    with claude_yard(tmp_path, scripted, "commit") as yard:
        number = yard.issue("Greet people")

        task = yard.until_state(number, "IN_REVIEW", seconds=40)

        [pull] = yard.repository.pulls()
        assert pull.title == "Greet people"
        assert "All done." in str(pull.body)
        assert yard.repository.messages(task.branch) == ["Add a greeting"]
        kinds = [block["type"] for line in transcript(yard, number) if line["type"] == "assistant"
                 for block in line["message"]["content"]]
        assert kinds == ["text", "tool_use", "text"]
        shown = io.StringIO()
        assert view(yard.clone / "logs" / f"gh-{number}.jsonl", ViewOptions(), shown, shown, zone=UTC) == 0
        page = shown.getvalue()
        assert "I will add a greeting." in page
        assert "Bash" in page
        assert "greeting.txt" in page
        [attempt] = attempts(yard, number)
        assert f"session {attempt.session_id}" in page
        assert attempt.usage.tokens_in


def test_a_second_attempt_finds_the_commits_of_the_first(tmp_path: Path, scripted: ModelServer) -> None:
    look = "git log --format=%s -1 > seen.txt && git add seen.txt && git commit -q -m 'Go on'"

    def crash_once(results: int, asked: int) -> Answer:
        if results:
            return Turn("All done.")
        return Turn(bash=f"{COMMIT} && kill -9 $PPID" if asked == 1 else look)

    scripted.scenarios["crash-once"] = crash_once
    with claude_yard(tmp_path, scripted, "crash-once") as yard:
        number = yard.issue()

        task = yard.until_state(number, "IN_REVIEW", seconds=40)

        assert [attempt.reason for attempt in attempts(yard, number)] == ["killed", "process_exit"]
        assert yard.repository.messages(task.branch) == ["Add a greeting", "Go on"]
        assert yard.repository.read(task.branch, "seen.txt").strip() == "Add a greeting"


def test_the_agent_works_with_what_it_may_have_and_without_the_coordinators_secrets(
    tmp_path: Path, scripted: ModelServer
) -> None:
    """Also as root: no word of a sandbox reaches it, the allowed tools are enough."""
    scripted.scenarios["sleep"] = first_then(COMMIT, Turn(bash="sleep 600"))
    given = {"SCRIPTED_WORD": "allowed", "OTHER_WORD": "unasked", "IS_SANDBOX": "1"}
    with claude_yard(tmp_path, scripted, "sleep", environ=given) as yard:
        number = yard.issue()
        yard.until(lambda: bool(sleeping(yard, number)))
        token = attempts(yard, number)[-1].token
        seen = [identity.environ(proc.pid) for proc in identity.with_token(token)]

        assert b"\0SCRIPTED_WORD=allowed\0" in b"".join(seen)
        for secret in (BOT_TOKEN, "OTHER_WORD", "IS_SANDBOX=", "GITHUB_TOKEN="):
            assert not any(secret.encode() in environ for environ in seen), secret
        yard.ann.remove_label(number, "rpi-auto")
        assert yard.until_state(number, "CANCELLED").reason == "label_removed"


# --- it goes badly --------------------------------------------------------------------------------------


def test_a_refused_tool_blocks_the_task_and_names_the_tool(tmp_path: Path, scripted: ModelServer) -> None:
    with claude_yard(tmp_path, scripted, "commit", template='tools = ["Read"]\n') as yard:
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert (task.reason, task.attempts) == ("claude_permission_denied", 1)
        assert "Bash" in task.detail
        yard.until(lambda: any("claude_permission_denied" in body for body in yard.comments(number)))
        assert yard.repository.pulls() == []


def test_refused_credentials_block_at_once(tmp_path: Path, scripted: ModelServer) -> None:
    with claude_yard(tmp_path, scripted, "401") as yard:
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert (task.reason, task.attempts, task.retries_used) == ("claude_auth_blocked", 1, 0)
        yard.until(lambda: any("Renew the key or log in again" in body for body in yard.comments(number)))
        assert any(line["type"] == "error" for line in transcript(yard, number))


def test_a_short_limit_that_passes_is_no_failure(tmp_path: Path, scripted: ModelServer) -> None:
    busy = Refusal(429, "rate_limit_error", "slow down", {"retry-after": "1"})
    scripted.scenarios["busy-once"] = lambda results, asked: (
        busy if asked == 1 else Turn(bash=COMMIT) if results == 0 else Turn("All done.")
    )
    with claude_yard(tmp_path, scripted, "busy-once") as yard:
        number = yard.issue()
        assert yard.until_state(number, "IN_REVIEW", seconds=40).attempts == 1


@pytest.mark.parametrize("scenario", ["429", "429-long"])
def test_a_limit_that_lasts_parks_the_provider_for_all_and_charges_no_retry(
    tmp_path: Path, scripted: ModelServer, scenario: str
) -> None:
    """With a key claude keeps the server's retry-after to itself: the provider rests for the usual five minutes."""
    with claude_yard(tmp_path, scripted, scenario) as yard:
        numbers = parked(yard)

        for one in numbers:
            until = yard.plan.waits[f"gh-{one}"].until
            assert until is not None
            assert timedelta(minutes=4) < until - datetime.now(UTC) < timedelta(minutes=6)


def test_a_limit_that_names_its_end_parks_the_provider_until_then(tmp_path: Path, scripted: ModelServer) -> None:
    """With a subscription claude passes on when the limit resets."""
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    scripted.scenarios["limit"] = lambda *_: Refusal(429, "rate_limit_error", "This would exceed your limit.", {
        "retry-after": "3600",
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(int(end.timestamp())),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
    })
    with claude_yard(tmp_path, scripted, "limit", key="CLAUDE_CODE_OAUTH_TOKEN") as yard:
        for one in parked(yard):
            assert yard.plan.waits[f"gh-{one}"].until == end


def parked(yard: Yard) -> tuple[int, int]:
    """Runs a first issue into the limit and lets a second one wait for its end too; their numbers."""
    first = yard.issue("First")
    yard.until(lambda: yard.state(first) == "QUEUED" and bool(attempts(yard, first)) and not yard.engine.busy)
    second = yard.issue("Second")
    for _ in range(3):
        yard.tick()
    assert [(yard.state(one), yard.task(one).attempts) for one in (first, second)] == [("QUEUED", 1), ("QUEUED", 0)]
    assert yard.task(first).retries_used == 0
    assert [yard.plan.waits[f"gh-{one}"].code for one in (first, second)] == ["provider_parked"] * 2
    assert len([line for line in yard.lines if "ESCALATE" in line and "claude is parked" in line]) == 1
    return first, second


def test_an_overloaded_provider_is_asked_again(tmp_path: Path, scripted: ModelServer) -> None:
    overloaded = Refusal(529, "overloaded_error", "Overloaded")
    commit = first_then(COMMIT, Turn("All done."))
    scripted.scenarios["overloaded-first"] = lambda results, asked: (
        overloaded if asked <= 2 else commit(results, asked)
    )
    with claude_yard(tmp_path, scripted, "overloaded-first") as yard:
        number = yard.issue()

        yard.until_state(number, "IN_REVIEW", seconds=40)

        assert [attempt.reason for attempt in attempts(yard, number)] == ["overloaded", "process_exit"]


def test_a_stream_that_is_cut_is_tried_once_more_and_then_given_to_a_person(
    tmp_path: Path, scripted: ModelServer
) -> None:
    with claude_yard(tmp_path, scripted, "cut") as yard:
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert (task.reason, task.attempts) == ("max_retries", 2)
        assert task.detail.startswith("claude_protocol_error")


def test_the_limit_of_turns_ends_the_task_in_words_and_keeps_its_work(tmp_path: Path, scripted: ModelServer) -> None:
    scripted.scenarios["commit-and-loop"] = first_then(COMMIT, Turn(bash="echo again"))
    with claude_yard(
        tmp_path, scripted, "commit-and-loop", more="max_turns = 3\n", settings={"retries": "0"}
    ) as yard:
        number = yard.issue()

        task = yard.until_state(number, "BLOCKED", seconds=40)

        assert attempts(yard, number)[-1].reason == "max_turns"
        assert "limit of turns" in attempts(yard, number)[-1].detail
        yard.until(lambda: yard.repository.branch(task.branch) is not None)
        assert yard.repository.messages(task.branch) == ["Add a greeting"]
        assert yard.repository.pulls() == []


@pytest.mark.req("N3")
def test_an_agent_killed_inside_a_tool_leaves_no_survivor_and_is_tried_again(
    tmp_path: Path, scripted: ModelServer
) -> None:
    def sleep_once(results: int, asked: int) -> Answer:
        return Turn(bash="sleep 600") if asked == 1 else first_then(COMMIT, Turn("All done."))(results, asked)

    scripted.scenarios["sleep-once"] = sleep_once
    with claude_yard(tmp_path, scripted, "sleep-once") as yard:
        number = yard.issue()
        yard.until(lambda: bool(sleeping(yard, number)))
        [tool] = sleeping(yard, number)
        beat = atomic.read_pairs(str(yard.clone / ".coordinator" / "jobs" / "claude" / f"gh-{number}.heartbeat"))

        assert identity.send(int(beat["agent_pid"]), int(beat["agent_start"]), 9)
        yard.until_state(number, "IN_REVIEW", seconds=40)

        assert [attempt.reason for attempt in attempts(yard, number)] == ["killed", "process_exit"]
        assert identity.look(tool) is None


# --- a person stops it ----------------------------------------------------------------------------------


STUBBORN = Turn(fetch="http://127.0.0.1:9/none")
STOPS: dict[str, tuple[Answer, int]] = {
    # how it goes on after its first command, and how often the model was asked when it does so
    "refused": (STUBBORN, 4),
    "ten-minutes": (Turn(bash="sleep 600"), 2),
    "waiting": (Wait(), 2),
}


@pytest.mark.req("E12", "E14")
@pytest.mark.parametrize("doing", sorted(STOPS))
@pytest.mark.alone
def test_stop_ends_the_agent_within_five_seconds_whatever_it_does(
    tmp_path: Path, scripted: ModelServer, doing: str
) -> None:
    then, asked = STOPS[doing]
    scripted.scenarios["stop"] = first_then(HALF, then)
    with claude_yard(tmp_path, scripted, "stop") as yard:
        number = yard.issue()
        yard.until(lambda: scripted.asked.get("stop", 0) >= asked)
        if doing == "refused":
            assert "requested permissions to use WebFetch" in str(scripted.seen[-1]["messages"])
        if doing == "ten-minutes":
            yard.until(lambda: bool(sleeping(yard, number)))
        began = time.monotonic()
        (yard.worktree(number) / "STOP").write_text("not today")

        task = yard.until_state(number, "CANCELLED")

        assert time.monotonic() - began < STOP_WITHIN
        assert (task.reason, task.detail, task.attempts) == ("manual_stop", "not today", 1)
        assert attempts(yard, number)[-1].ending is Ending.CANCELLED
        yard.quiet()
        yard.until(lambda: yard.repository.branch(task.branch) is not None)
        assert yard.repository.messages(task.branch) == ["WIP: Stopped by user"]
        assert {"half.txt"} == set(yard.repository.files(task.branch)) - set(yard.repository.files("main"))
        assert yard.repository.pulls() == []
        for _ in range(3):
            yard.tick()
        assert (yard.state(number), yard.task(number).attempts) == ("CANCELLED", 1)
