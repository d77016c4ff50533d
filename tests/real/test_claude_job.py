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
from tests.support.model_server import COMMIT, Answer, ModelServer, Raw, Refusal, Turn, Wait
from tests.support.real_parts import CLAUDE, missing
from tests.support.yard import Yard, a_yard

pytestmark = [pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE)), pytest.mark.timeout(120)]

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
            (own / "prompt.md").write_text("{{ title }}")
        yard.environ |= {
            "ANTHROPIC_BASE_URL": server.url(scenario),
            "ANTHROPIC_AUTH_TOKEN": "dummy",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        yard.start()
        yield yard


def attempts(yard: Yard, number: int) -> tuple[Attempt, ...]:
    return yard.engine.world.store.attempts()[f"gh-{number}"]


def transcript(yard: Yard, number: int) -> list[dict[str, object]]:
    text = (yard.clone / "logs" / f"gh-{number}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def once_said(yard: Yard, number: int, words: str) -> Callable[[], bool]:
    """Whether these words stand in the transcript that people can read while the worker runs."""
    path = yard.clone / "logs" / f"gh-{number}.jsonl"
    return lambda: path.exists() and words in path.read_text("utf-8")


def first_then(first: str, then: Answer) -> Callable[[int, int], Answer]:
    """One command, and the same answer to everything after it."""
    return lambda results, _: Turn(bash=first) if results == 0 else then


# --- it goes well ---------------------------------------------------------------------------------------


@pytest.mark.req("F6", "F9", "E1", "E7")
def test_a_labelled_issue_becomes_a_pull_request_by_the_real_agent(tmp_path: Path, scripted: ModelServer) -> None:
    with claude_yard(tmp_path, scripted, "commit") as yard:
        number = yard.issue("Greet people")

        task = yard.until_state(number, "IN_REVIEW")

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

        task = yard.until_state(number, "IN_REVIEW")

        assert [attempt.reason for attempt in attempts(yard, number)] == ["killed", "process_exit"]
        assert yard.repository.messages(task.branch) == ["Add a greeting", "Go on"]
        assert yard.repository.read(task.branch, "seen.txt").strip() == "Add a greeting"
