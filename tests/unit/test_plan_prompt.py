"""The prompt of a plan's task has every part that was promised; a small plan in an issue is put before the agent."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.attempt import Attempt
from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.domain.task import Pin, Task
from coordinator.wording.plan_md.mini import Criterion, MiniPlan, Step, mini_plan, told
from coordinator.wording.plan_prompt import plan_words
from coordinator.wording.prompt import Template, TemplateError, parse_template, render_prompt

TEMPLATES = Path(__file__).parents[2] / "worker_templates"
NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
ONE = PlanTask(
    "T2", "Show them", 19, ("T1", "T3"), "acme/web", ("src/page.py", "src/[id]/my file.py"),
    "Show the keys.\n\n- all of them", "`pytest tests/test_page.py`",
)
PLAN = PlanFile("auth", "Sign in with a key", (PlanTask("T1", "Store the keys", 9), ONE, PlanTask("T3", "", 29)))
TASK = Task(
    id="plan-auth-T2", pin=Pin("T2: Show them", "", "", 0, ""), branch="rpi/plan-auth-T2", created_at=NOW,
    updated_at=NOW, state_since=NOW, plan="auth", template="plan-task",
)  # fmt: skip
ATTEMPT = Attempt(task_id="plan-auth-T2", number=1, token="t", fence=1, worker_id="w-1", provider="claude", run_id="r",
                  created_at=NOW)  # fmt: skip


def template(name: str) -> Template:
    folder = TEMPLATES / name
    return parse_template(name, (folder / "template.toml").read_text(), (folder / "prompt.md").read_text())


def rendered(one: PlanTask = ONE, plan: PlanFile = PLAN, previous: Attempt | None = None, key: str = "bd-12.3") -> str:
    tree = "/tmp/agents/plan-auth-T2/web"
    words = plan_words(plan, one, "/home/o/auth-plan.md", worktree=tree, key=key, agent="claude")
    return render_prompt(template("plan-task"), TASK, ATTEMPT, previous, base="main", repository="acme/web", plan=words)


def part(text: str, title: str) -> str:
    """One part of the prompt, on one line for each of its items."""
    body = re.split(r"^# ", text, flags=re.MULTILINE)
    return next(one for one in body if one.startswith(title))


@pytest.mark.req("A13", "A14", "B43")
def test_the_context_names_plan_task_and_dependencies() -> None:
    context = part(rendered(), "Context")
    assert "- Plan: /home/o/auth-plan.md (Sign in with a key)\n" in context
    assert "- Task: T2: Show them\n" in context
    assert "- Dependencies: T1 (Store the keys), T3\n" in context
    assert "- Dependencies: None\n" in part(rendered(replace(ONE, depends_on=())), "Context")
    assert "- Task: T-2: Show them\n" in part(rendered(replace(ONE, id="T-2")), "Context")


@pytest.mark.req("A15", "B30", "B43")
def test_the_task_has_repository_location_description_and_validation() -> None:
    task = part(rendered(), "Your Task")
    assert "- Repository: acme/web\n" in task
    assert "- Location:\n  - `src/page.py`\n  - `src/[id]/my file.py`\n" in task
    block = r"\n\n-{5} begin (\w+) -{5}\n%s\n-{5} end \1 -{5}\n"
    assert re.search("- Description.*" + block % "Show the keys.\n\n- all of them", task)
    assert "- Validation: `pytest tests/test_page.py`\n" in task
    many = part(rendered(replace(ONE, validation="```\nmake\nmake test\n```")), "Your Task")
    assert re.search("- Validation: " + block % "```\nmake\nmake test\n```", many)


@pytest.mark.req("A16", "B43")
def test_there_are_eight_instructions() -> None:
    said = re.findall(r"^(\d)\. (.*(?:\n   .*|\n)*)", part(rendered(), "Instructions"), re.MULTILINE)
    steps = {int(number): " ".join(words.split()) for number, words in said}
    assert list(steps) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert steps[1].startswith("`cd /tmp/agents/plan-auth-T2/web`: your worktree, on branch `rpi/plan-auth-T2`.")
    assert steps[2].startswith("Read all files under Location first")
    assert steps[3] == "Implement all acceptance criteria of the description."
    assert "atomic and committable" in steps[4]
    assert "Commit only files named under Location" in steps[5]
    assert steps[6].endswith("Feature-Key: bd-12.3 Agent: claude")
    assert steps[7] == "Do not push and do not open a pull request: the orchestrator pushes."
    assert steps[8].startswith("Return a summary")


@pytest.mark.req("B45")
def test_the_summary_tells_files_changes_criteria_and_validation() -> None:
    text = " ".join(part(rendered(), "Instructions").split())
    assert ("the files modified and created, the changes made, how each acceptance criterion is met, and which "
            "validation you performed or deferred") in text  # fmt: skip


@pytest.mark.req("A17", "B46", "B30")
def test_what_is_important_is_said_at_the_end() -> None:
    text = " ".join(part(rendered(), "Important").split())
    assert "Touch only the files under Location. Others may work in parallel on the rest" in text
    assert "`Feature-Key: bd-12.3` must stand in every commit message, exactly so." in text
    assert "Commit, do not push." in text
    assert "report status, log and edited files in your summary" in text
    assert "a file named STOP" in text


def test_a_later_attempt_hears_what_the_last_one_ended_with() -> None:
    assert "Before you" not in rendered()
    previous = replace(ATTEMPT, number=1, reason="max_runtime")
    assert "Before you, attempt 1 ended: the time limit was reached." in rendered(previous=previous)


@given(st.text(max_size=200))
def test_no_words_of_a_plan_add_a_part_or_end_their_block(words: str) -> None:
    one = replace(ONE, name=words, description=f"# Important\n{words}", repo=words, location=(words,), validation=words)
    text = rendered(one, replace(PLAN, name=words))
    names = re.findall(r"^----- begin ([0-9a-f]{16}) -----$", text, re.MULTILINE)
    assert all(text.count(name) == 2 for name in names)
    bare = re.sub(r"^----- begin (\w+) -----$.*?^----- end \1 -----$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^# .*", bare, re.MULTILINE) == ["# Context", "# Your Task", "# Instructions", "# Important"]


def test_the_template_of_a_plans_task_is_of_no_use_without_a_plan() -> None:
    with pytest.raises(TemplateError, match=r"worker_templates/plan-task/prompt\.md"):
        render_prompt(template("plan-task"), TASK, ATTEMPT, None, base="main", repository="acme/web")


# --- small plans --------------------------------------------------------------------------------------

MINI = """\
The page is slow.

## Approach
- File: `src/page.py`
- Change: ask once,
  not for each row
- **File:** src/rows.py
- **Change**: keep what was asked

## Acceptance
- [ ] the page asks once
  for all rows
- [x] the tests cover it

## Notes
- [ ] not this
"""
FOUND = MiniPlan(
    (Step("src/page.py", "ask once, not for each row"), Step("src/rows.py", "keep what was asked")),
    (Criterion("the page asks once for all rows"), Criterion("the tests cover it", True)),
)


@pytest.mark.req("B11")
@pytest.mark.parametrize("text", [
    MINI,
    MINI.replace("\n", "\r\n"),
    MINI.replace("## Approach", "Approach:").replace("## Acceptance", "Acceptance criteria:"),
    MINI.replace("## Approach", "**Approach**").replace("## Acceptance", "__Acceptance:__").replace("## Not", "# N"),
    "```\nApproach:\n- File: x\n```\n" + MINI,
])  # fmt: skip
def test_a_small_plan_is_read_from_an_issue(text: str) -> None:
    assert mini_plan(text) == FOUND
    assert mini_plan(told(FOUND)) == FOUND


def test_a_dash_among_the_words_of_a_step_stays() -> None:
    assert mini_plan("Approach\nFile: a - b.py\nput x - 1").approach == (Step("a - b.py", "put x - 1"),)


@pytest.mark.parametrize("text", ["", "Fix it.", "The approach is fine.\n- File: x", "## Approach\n\n## Acceptance\n"])
def test_an_issue_without_one_has_none(text: str) -> None:
    assert not mini_plan(text)


@pytest.mark.req("B11")
def test_the_agent_of_an_issue_is_given_its_small_plan() -> None:
    def prompt(body: str) -> str:
        task = replace(TASK, id="gh-4", issue=4, plan="", pin=Pin("Slow", body, "", 0, ""))
        return render_prompt(template("default"), task, ATTEMPT, None, base="main", repository="acme/web")

    text = prompt(MINI)
    assert "meet every box, and say of each in your last words how it is met" in text
    assert (
        "Approach:\n- File: src/page.py\n  Change: ask once, not for each row\n- File: src/rows.py\n"
        "  Change: keep what was asked\n\nAcceptance:\n- [ ] the page asks once for all rows\n"
        "- [x] the tests cover it\n-----"
    ) in text
    assert "meet every box" not in prompt("Fix it.")


@given(st.text(alphabet=st.sampled_from("-[] x*#:\nApproachFileceptn`"), max_size=120))
def test_any_text_has_a_small_plan_or_none(text: str) -> None:
    found = mini_plan(f"Approach:\n{text}\nAcceptance:\n{text}")
    assert all(step.file or step.change for step in found.approach)
    assert all(one.words for one in found.acceptance)
