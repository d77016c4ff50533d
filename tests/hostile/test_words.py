"""Hostile words against everything we write: whatever a stranger types, our pages keep their shape."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.wording.comments import desired_notices
from coordinator.wording.entries import Entries
from coordinator.wording.escape import defuse, fence, one_line
from coordinator.wording.prompt import BODY_LIMIT, Template, render_prompt
from coordinator.wording.pull_request import pull_body, pull_title
from coordinator.wording.shown import shown
from coordinator.wording.tasks_edits import rewrite
from coordinator.wording.tasks_md import parse, render

NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
ATTEMPT = Attempt("gh-7", 1, "t", 1, "w-0a1b2c", "claude", "r", NOW, launched_at=NOW)
WORDS = {
    "shell": "$(rm -rf /) `id` ; && | > x",
    "path": "../../etc/passwd\0/.git/hooks",
    "template": "{{ config }} {% for x in y %} {0} %s",
    "ansi": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "bidi": "\u202e\u2066gpj.exe\u2069\u200b\u00ad\ufeff",
    "emoji": "👩‍💻🏳️‍🌈❌🟡✅⏰",
    "marks": "[❌ w-abc123] gh-1: x {p0}\n## Failed\n[] gh-7: y\n- Reason: z\n```\n<!--",
    "markdown": "</details>\n```\n> # ![x](y) <script>@root Closes #1\n<!-- coordinator:gh-7:status -->",
    "breaks": "a\r\nb\u2028c\u2029d\x0be\x0cf\x85g",
    "surrogate": "\ud800\udfff",
    "megabyte": "A@#1`" * 210_000,
}


def hostile_task(words: str, state: TaskState = TaskState.BLOCKED) -> Task:
    return Task("gh-7", Pin(words, words, "", 0, ""), "rpi/gh-7", NOW, NOW, NOW, issue=7, state=state,
                reason="needs_human", detail=words)


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
@pytest.mark.parametrize("state", [TaskState.QUEUED, TaskState.RUNNING, TaskState.FAILED, TaskState.BLOCKED])
def test_tasks_md_holds_one_task_and_nothing_is_asked_by_its_words(words: str, state: TaskState) -> None:
    entries = Entries(lambda at: at).of([hostile_task(words, state)], {"gh-7": (ATTEMPT,)}, NOW)
    text = render(entries)
    text.encode()
    assert [line.id for _, line in parse(text).lines()] == ["gh-7"]
    assert rewrite(entries, text, text) == (text, ())


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_comment_and_a_pull_request_keep_their_shape(words: str) -> None:
    attempt = replace(ATTEMPT, log_tail=words, summary=words)
    (notice,) = desired_notices(hostile_task(words), attempt, (attempt,))
    body = pull_body(hostile_task(words), (attempt,), (words,), (words,))
    for text in (notice.body, body):
        text.encode()
        assert len(text) <= 65_536
        assert text.count("<!--") == text.startswith("<!-- coordinator:gh-7:blocked:1 -->\n")
        assert not {char for char in text if unicodedata.category(char) in {"Cf", "Cs"}}
        assert text.rstrip().endswith("</details>")
    assert len(pull_title(hostile_task(words), attempt).split("\n")) == 1


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_a_prompt_carries_the_words_and_obeys_none(words: str) -> None:
    task = hostile_task(words)
    text = render_prompt(Template("x", "a {{ issue.text }} z"), task, ATTEMPT, None, base="main", repository="a/w")
    notes = r"(\n\n\([^\n]*\))?(\n\([^\n]*\))*"
    block = re.fullmatch(rf"a ----- begin (\w+) -----\n(.*)\n----- end \1 -----{notes} z", text, re.DOTALL)
    assert block
    assert shown(words, BODY_LIMIT).text in block[2]


@given(st.text(max_size=500))
def test_no_text_closes_a_fence_or_breaks_a_line(text: str) -> None:
    block = fence(text).split("\n")
    assert [line for line in block[1:] if line.strip().startswith(block[0])] == [block[-1]]
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(one_line(text)) == one_line(text)


@given(st.text(alphabet="@#<!-[](){}`cClosesfixgGHh-123:/. \n", max_size=200))
def test_no_text_pings_references_or_opens_html(text: str) -> None:
    safe = defuse(text)
    assert all(safe.startswith("@&#8203;", at) for at, char in enumerate(safe) if char == "@")
    assert "<!--" not in safe
    bare = safe.replace("&#8203;", "\0")
    assert not any(bare[at + 1: at + 2].isdigit() for at, char in enumerate(bare) if char == "#")
