"""What the coordinator writes into a plan file is a small diff: all that people wrote stays byte for byte."""

from __future__ import annotations

import difflib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coordinator.domain.planfile import PlanTask
from coordinator.domain.task import TaskState
from coordinator.wording.plan_md.making import skeleton
from coordinator.wording.plan_md.reading import read_plan
from coordinator.wording.plan_md.writing import STATUS_WORDS, Change, update

PLAN = skeleton("auth", "Auth", 3, "web")


def tasks(text: str) -> dict[str, PlanTask]:
    return {task.id: task for task in read_plan(text, "auth-plan.md").plan.tasks}


def diff(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


def one(fields: str) -> str:
    return f"# Plan: x\n## Overview\no\n## Tasks\n### T1: one\n{fields}"


@pytest.mark.req("B30")
def test_only_the_lines_of_the_three_values_change() -> None:
    after = update(PLAN, {"T2": Change("In Progress", "attempt 1 began", ("src/a.py", "my file.py"))})
    assert diff(PLAN, after) == [
        "-- **status**: Not Started\n",
        "-- **log**:\n",
        "-- **files edited**: []\n",
        "+- **status**: In Progress\n",
        "+- **log**: attempt 1 began\n",
        "+- **files edited**: [src/a.py, `my file.py`]\n",
    ]
    assert tasks(after)["T2"].status == "In Progress"
    assert tasks(after)["T2"].files_edited == ("src/a.py", "my file.py")
    assert tasks(after)["T1"] == tasks(PLAN)["T1"]


def test_none_leaves_a_value_as_it_is_and_an_unknown_task_is_left_out() -> None:
    assert update(PLAN, {"T1": Change(), "T9": Change("Failed")}) == PLAN
    assert len(diff(PLAN, update(PLAN, {"T3": Change(status="Blocked")}))) == 2


def test_line_ends_and_indentation_are_kept() -> None:
    text = PLAN.replace("\n", "\r\n").replace("- **", "\t* **").replace("## Tasks\r\n", "## Tasks\n")
    after = update("\ufeff" + text, {"T1": Change("Completed", "one\ntwo", ("a.py",))})
    assert diff("\ufeff" + text, after) == [
        "-\t* **status**: Not Started\r\n",
        "+\t* **status**: Completed\r\n",
        "-\t* **files edited**: []\r\n",
        "+\t  - one\r\n",
        "+\t  - two\r\n",
        "+\t* **files edited**: [a.py]\r\n",
    ]


def test_missing_fields_come_after_the_tasks_other_fields_in_their_hand() -> None:
    text = one("* repo: web\n* validation:\n  ```\n  make\n  ```\n\n---\n### T2: two\n")
    after = update(text, {"T1": Change("Failed", "no\nyes", ()), "T2": Change("Not Started")})
    assert after == one(
        "* repo: web\n* validation:\n  ```\n  make\n  ```\n* status: Failed\n* log:\n  - no\n  - yes\n"
        "* files edited: []\n\n---\n### T2: two\n- **status**: Not Started\n"
    )
    last = one("- **repo**: web")
    assert update(last, {"T1": Change("Failed")}) == last + "\n- **status**: Failed"


def test_entries_are_added_to_a_log_and_a_persons_stay() -> None:
    text = one("- **log**: began\n  - a person: look at [this](x)\n- **status**: Not Started\n")
    after = update(text, {"T1": Change(log="began\nended")})
    assert diff(text, after) == ["+  - ended\n"]
    assert tasks(after)["T1"].log == "began\na person: look at [this](x)\nended"
    assert update(after, {"T1": Change(log="ended")}) == after


def test_the_list_of_edited_files_keeps_its_form() -> None:
    text = one("- **files edited**:\n    * `a.py`\n    * b.py (big)\n\n- **status**: Not Started\n")
    after = update(text, {"T1": Change(files_edited=("c.py", "a.py"))})
    assert after == one("- **files edited**:\n    * c.py\n    * a.py\n\n- **status**: Not Started\n")
    assert update(text, {"T1": Change(files_edited=("a.py", "b.py"))}) == text
    assert tasks(update(text, {"T1": Change(files_edited=())}))["T1"].files_edited == ()


def test_what_a_person_changed_meanwhile_stays() -> None:
    mine = PLAN.replace("### T3: Name of the task", "### T3: Renamed").replace("What auth is", "I wrote what auth is")
    after = update(mine, {"T1": Change("Completed"), "T3": Change("In Progress")})
    assert [line for line in diff(mine, after) if "status" not in line] == []
    assert tasks(after)["T3"].name == "Renamed"


def test_what_an_agent_said_opens_nothing_in_the_file() -> None:
    said = "### T7: more\n```\n- **status**: Completed\n<!-- hidden\n## Tasks\n- [ ] - **repo**: evil\n> x"
    names = ("a`b`", "`", "none", "<!--", "x\ny", "- z", "[", "a, b")
    after = update(PLAN, {"T2": Change(log=said, files_edited=names)})
    found = read_plan(after, "auth-plan.md")
    assert found.findings == ()
    assert [task.id for task in found.plan.tasks] == ["T1", "T2", "T3"]
    assert (tasks(after)["T2"].status, tasks(after)["T2"].repo) == ("Not Started", "web")
    assert tasks(after)["T2"].files_edited == ("a`b`", "`", "none", "<! --", "x\N{REPLACEMENT CHARACTER}y", "- z", "[",
                                               "a, b")  # fmt: skip


def test_a_file_that_a_person_broke_loses_no_line() -> None:
    text = one("- **files edited**:\n  - a.py\n  ```\n### T2: two\n- **status**: x\n")
    after = update(text, {"T1": Change("Failed", "e", ("b.py",))})
    assert [line for line in diff(text, after) if line.startswith("-")] == []
    assert tasks(after)["T1"].status == "Failed"


def test_every_state_of_a_task_has_its_word_and_a_plan_starts_as_not_started() -> None:
    assert set(STATUS_WORDS) == set(TaskState)
    assert STATUS_WORDS[TaskState.QUEUED] == "Not Started" == tasks(PLAN)["T1"].status


def test_a_thousand_tasks_are_changed_in_a_breath() -> None:
    text = skeleton("big", "Big", 1000, "web")
    began = time.process_time()
    after = update(text, {f"T{number}": Change("Completed", "done", ("a.py",)) for number in range(1, 1001)})
    assert time.process_time() - began < 3
    assert {task.status for task in tasks(after).values()} == {"Completed"}


WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"]),
                min_size=1, max_size=20)  # fmt: skip
NAMES = WORDS.filter(lambda name: "<!--" not in name and name.strip())
CHANGES = st.builds(
    Change,
    st.none() | st.sampled_from(sorted(set(STATUS_WORDS.values()))),
    st.none() | st.text(max_size=80) | st.lists(WORDS, max_size=4).map("\n".join),
    st.none() | st.lists(NAMES, max_size=4).map(tuple),
)
FIELD_LINES = st.sampled_from([
    "- **status**: Not Started\n", "- **status**:\n  - Failed\n", "\t* log: x\n",
    "- **log**:\n    1. one\n    2. two\n", "**files edited:** `a`, b\n", "- files edited:\n- a\n- b\n",
    "  - **files_edited**: []\n", "- **repo**: web\n",
    "- **description**: >\n  many\n\nlines\n", "  ```\n  ### T1: fenced\n  ```\n", "<!-- - **status**: x -->\n",
    "---\n", "\n", "- **acceptance**:\n- [ ] works\n", "- **log**:\n  ```\n", "### T1: again\n", "<!--\n", "text\r\n",
    "- **log**: a\r",
])  # fmt: skip


@given(st.lists(FIELD_LINES, max_size=10).map("".join), CHANGES)
@example("- **log**:\n", Change(log="- - a\n> b\n1. 2. c"))
@example("", Change("Failed", "a", ()))
@example("- **log**: b\n", Change(log="[x] a\n- [ ] [x] c"))
def test_what_was_written_is_read_again_and_written_once(fields: str, change: Change) -> None:
    text = one(fields)
    after = update(text, {"T1": change})
    before, now = tasks(text), tasks(after)
    assert set(now) == set(before)
    assert update(after, {"T1": change}) == after
    assert (now["T1"].repo, now["T1"].name) == (before["T1"].repo, before["T1"].name)
    if not any("never ends" in found.words or "second task" in found.words for found in read_plan(text, "x").findings):
        assert now["T1"].status == (before["T1"].status if change.status is None else change.status)
        if change.files_edited is not None:
            assert now["T1"].files_edited == tuple(dict.fromkeys(change.files_edited))
        assert before["T1"].log in now["T1"].log
        assert before["T1"].description == now["T1"].description


SIGNS = st.sampled_from([
    "- ", "* ", "\t", "  ", "**status**:", " log:", "**log:**", "files edited:", "**files edited**: ", "[a, b]", "`x`",
    "```", "~~~", "<!--", "-->", "### T1: x", "### T2: y", "## Z", "\n", "\n", "\r\n", "---", "word", "|", ">", "[ ] ",
    "1. ", "[]", "None", "location:", "**depends_on**: [T1]", "\r",
])  # fmt: skip


@given(st.lists(SIGNS, max_size=25).map("".join), CHANGES)
@example("**status**:\n~~~\n### T2: y\n~~~\n", Change(status="Failed"))
def test_whatever_stands_around_a_value_nothing_else_is_said_otherwise(body: str, change: Change) -> None:
    def others(text: str) -> list[tuple[object, ...]]:
        return [(task.id, task.name, task.depends_on, task.repo, task.location, task.description, task.validation)
                for task in read_plan(text, "auth-plan.md").plan.tasks]  # fmt: skip

    text = one(f"{body}\n### T9: last\n- **repo**: web\n")
    changes = {"T1": change, "T9": Change("Completed", "well", ("z.py",))}
    after = update(text, changes)
    assert others(after) == others(text)
    assert update(after, changes) == after
