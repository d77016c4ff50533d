"""The prompt: what the shipped template tells a worker, and that the issue's words stay data."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Pin, Task
from coordinator.wording.prompt import Template, TemplateError, parse_template, render_prompt

FOLDER = Path(__file__).parents[2] / "worker_templates" / "default"
NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
TASK = Task(
    id="gh-471", pin=Pin("Parse dates", "They fail.", "", 0, ""), branch="rpi/gh-471", created_at=NOW,
    updated_at=NOW, state_since=NOW, issue=471,
)
ATTEMPT = Attempt(
    task_id="gh-471", number=2, token="t", fence=2, worker_id="w-0a1b2c", provider="claude", run_id="r",
    created_at=NOW,
)
DEFAULT = parse_template("default", (FOLDER / "template.toml").read_text(), (FOLDER / "prompt.md").read_text())


def rendered(task: Task = TASK, template: Template = DEFAULT, previous: Attempt | None = None) -> str:
    return render_prompt(template, task, ATTEMPT, previous, base="main", repository="acme/widgets")


@pytest.mark.req("E13")
def test_the_worker_is_told_when_to_look_for_stop_and_what_to_do_then() -> None:
    text = " ".join(rendered().split())
    assert "Look for it before each major step and after each tool use" in text
    assert "say so, commit what is useful with the message `WIP: Stopped by user`" in text
    assert "never the STOP file itself" in text


def test_the_worker_is_told_its_task_its_branch_and_not_to_push() -> None:
    text = rendered()
    assert "issue #471" in text
    assert "branch `rpi/gh-471`" in text
    assert "Do not push" in text
    assert "`BLOCKED.md`" in text
    assert "Before you" not in text


def test_a_later_attempt_hears_what_the_last_one_ended_with() -> None:
    previous = replace(ATTEMPT, number=1, reason="max_runtime", detail="after\n2h")
    assert "Before you, attempt 1 ended: the time limit was reached (after 2h)." in rendered(previous=previous)


def test_one_that_stands_in_hears_that_it_takes_over_another_agents_worktree() -> None:
    previous = replace(ATTEMPT, number=1, provider="opencode", reason="no_credit")
    text = rendered(previous=previous)
    assert "It was another agent's (opencode): you take over its worktree as it left it." in text
    assert "another agent" not in rendered(previous=replace(previous, provider="claude"))


@pytest.mark.req("P65")
@pytest.mark.parametrize("words", ["{{ 7 * 7 }}", "{% include 'x' %}", "{", "}}", "{#", "%s %(a)s {0}", "$HOME `id`"])
def test_a_brace_in_title_or_body_is_data(words: str) -> None:
    text = rendered(replace(TASK, pin=Pin(words, words, "", 0, "")))
    assert text.count(words) >= 2
    assert "49" not in text


@given(st.text(max_size=400))
def test_no_words_of_an_issue_end_the_block_they_stand_in(body: str) -> None:
    once = rendered(replace(TASK, pin=Pin("t", body, "", 0, "")))
    names = re.findall(r"^----- begin ([0-9a-f]{16}) -----$", once, re.MULTILINE)
    assert once.count(names[0]) == 2
    again = rendered(replace(TASK, pin=Pin("t", once, "", 0, "")))
    outer = re.findall(r"^----- begin ([0-9a-f]{16}) -----$", again, re.MULTILINE)[0]
    assert outer not in once


def test_a_template_may_use_a_brace_of_its_own() -> None:
    assert rendered(template=Template("x", "a { b } {{ issue.number }}")) == "a { b } 471"


@pytest.mark.parametrize(("prompt", "words"), [
    ("{{ isue.title }}", "worker_templates/x/prompt.md: 'isue' is undefined"),
    ("line\n{% if %}", "worker_templates/x/prompt.md, line 2"),
    ("{{ ''.__class__.__mro__ }}", "worker_templates/x/prompt.md: access to attribute"),
    ("{{ 1 / 0 }}", "worker_templates/x/prompt.md: division by zero"),
])
def test_a_template_that_cannot_be_rendered_says_where(prompt: str, words: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(words)):
        rendered(template=Template("x", prompt))


@pytest.mark.parametrize(("toml", "words"), [
    ("modle = 'x'", "template.toml: unknown key 'modle'"),
    ("model = 3", "model = 3; expected is a text"),
    ("max_turns = -1", "max_turns = -1; expected is a number"),
    ("max_turns = true", "max_turns = True"),
    ("timeout = 'soon'", "timeout = 'soon'; expected is a duration"),
    ("timeout = '0m'", "timeout = '0m'"),
    ("tools = 'Bash'", "tools = 'Bash'; expected is a list"),
    ("=", "worker_templates/x/template.toml is no TOML"),
])
def test_a_wrong_key_of_a_template_is_named(toml: str, words: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(words)):
        parse_template("x", toml, "do it")


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(TemplateError, match=r"worker_templates/x/prompt\.md is empty"):
        parse_template("x", "", " \n")


def test_every_key_of_a_template_is_read() -> None:
    toml = "provider='codex'\nmodel='m'\ntimeout='1h30m'\nmax_turns=9\ntools=['Bash']"
    assert parse_template("x", toml, "do") == Template("x", "do", "codex", "m", timedelta(minutes=90), 9, ("Bash",))


def test_the_address_of_the_issue_is_the_one_that_github_tells() -> None:
    template = replace(DEFAULT, prompt="<{{ issue.url }}>")
    address = "https://ghe.example/acme/widgets/issues/471"
    words = render_prompt(template, TASK, ATTEMPT, None, base="main", repository="acme/widgets", url=address)
    assert words == f"<{address}>"
    assert rendered(template=template) == "<>"
