"""Plan files as operators write them are read whole, and what is wrong in one is said with its line and its cure."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.wording.plan_md.making import skeleton
from coordinator.wording.plan_md.reading import Read, plan_id, read_plan, valid_topic

PLAN = """\
# Plan: Sign in with a key

## Overview
People sign in with a key.
Nothing else changes.

## Tasks

### T1: Store the keys
- **depends_on**: []
- **repo**: web
- **location**: [src/keys.py, src/models/key.py]
- **description**: Add the table.
- **validation**: `pytest tests/test_keys.py`
- **status**: Not Started
- **log**:
- **files edited**: []

### T2: Show them
- **depends_on**: [T1]
- **repo**: acme/web
- **location**: [src/page.py]
- **description**: Show the keys of the person.
- **validation**: `pytest tests/test_page.py`
- **status**: In Progress
- **log**: began
- **files edited**: [src/page.py]
- **beads**: bd-12.3
"""


def read(text: str, name: str = "auth-plan.md") -> Read:
    return read_plan(text, name)


def only(text: str) -> PlanTask:
    """The one task of a plan with these lines below its heading."""
    (task,) = read(f"# Plan: x\n## Overview\no\n## Tasks\n### T1: one\n{text}").plan.tasks
    return task


def errors(text: str) -> list[tuple[int, str, str]]:
    return [(found.line, found.words, found.cure) for found in read(text).errors]


def without(*lines: str) -> str:
    return "".join(line for line in PLAN.splitlines(keepends=True) if not line.startswith(lines))


@pytest.mark.req("B8", "B9", "B102")
def test_a_plan_as_the_guide_has_it_is_read_whole() -> None:
    found = read(PLAN)
    assert found.findings == ()
    assert found.plan == PlanFile(
        "auth",
        "Sign in with a key",
        (
            PlanTask("T1", "Store the keys", 9, (), "web", ("src/keys.py", "src/models/key.py"), "Add the table.",
                     "`pytest tests/test_keys.py`", "Not Started"),
            PlanTask("T2", "Show them", 19, ("T1",), "acme/web", ("src/page.py",), "Show the keys of the person.",
                     "`pytest tests/test_page.py`", "In Progress", "began", ("src/page.py",), "bd-12.3"),
        ),
        "People sign in with a key.\nNothing else changes.",
    )  # fmt: skip


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: "\ufeff" + text,
    lambda text: text.replace("- **", "* **"),
    lambda text: text.replace("- **", "**"),
    lambda text: text.replace("- **", "\t- **"),
    lambda text: text.replace("**:", ":**"),
    lambda text: text.replace("**", ""),
    lambda text: text.replace("**", "`"),
    lambda text: text.replace("**: ", "**:\t").replace("- **", "-\t**"),
    lambda text: text.replace("**files edited**", "**Files_Edited**").replace("**repo**", "**Repo**"),
    lambda text: text.replace("\n### T2", "\n---\n\n### T2"),
    lambda text: text.replace("## Tasks", "## Tasks:").replace("### T1: ", "### T1 : "),
    lambda text: text.replace("## Tasks", "<!-- \n### T0: gone\n-->\n## Tasks"),
    lambda text: text.replace("Not Started", "Not Started <!-- or Done -->"),
])  # fmt: skip
def test_other_hands_mean_the_same(change: object) -> None:
    found = read(change(PLAN))  # type: ignore[operator]
    plain = [(task.id, task.name, task.depends_on, task.repo, task.location, task.description, task.status, task.log,
              task.files_edited, task.beads) for task in read(PLAN).plan.tasks]  # fmt: skip
    assert [(task.id, task.name, task.depends_on, task.repo, task.location, task.description, task.status, task.log,
             task.files_edited, task.beads) for task in found.plan.tasks] == plain  # fmt: skip
    assert found.findings == ()


@pytest.mark.parametrize(("written", "paths"), [
    (" [a.py, b.py]", ("a.py", "b.py")),
    (" a.py, b.py", ("a.py", "b.py")),
    (" `a.py`, `b.py`", ("a.py", "b.py")),
    (' [`a, b.py`, "c d.py"]', ("a, b.py", "c d.py")),
    ("\n  - a.py\n  - b.py", ("a.py", "b.py")),
    ("\n\t* `a.py` (new)\n\t* b.py — the model", ("a.py", "b.py")),
    ("\n- a.py\n- b.py", ("a.py", "b.py")),
    ("\n  1. `a.py`\n  2. b.py (calls `a`, `c`)", ("a.py", "b.py")),
    ("\n  - [x] a.py\n  - [ ] b.py", ("a.py", "b.py")),
    (" [\n  a.py,\n  b.py\n  ]", ("a.py", "b.py")),
    (" app/[id]/page.tsx, [slug]/(group)/x.tsx", ("app/[id]/page.tsx", "[slug]/(group)/x.tsx")),
    (" ./src/a.py:12-40, src/a.py:7", ("src/a.py",)),
    (" ``we`ird``", ("we`ird",)),
    (" [тест/ü.py]", ("тест/ü.py",)),
    (" none", ()),
])  # fmt: skip
def test_a_list_of_files_is_read_however_it_is_written(written: str, paths: tuple[str, ...]) -> None:
    assert only(f"- **location**:{written}\n").location == paths


@pytest.mark.req("B10")
@pytest.mark.parametrize(("written", "ids", "warned"), [
    ("[]", (), False),
    ("[T1, T2]", ("T1", "T2"), False),
    ("[`T1`,T2,]", ("T1", "T2"), False),
    ("[bd-1.2]", ("bd-1.2",), False),
    ("T1, T2", ("T1", "T2"), True),
    ("T1 and T2", ("T1", "T2"), True),
    ("none", (), True),
])  # fmt: skip
def test_depends_on_is_a_list_in_brackets_and_another_form_is_pointed_out(
    written: str, ids: tuple[str, ...], warned: bool
) -> None:
    found = read(f"# Plan: x\n## Overview\no\n## Tasks\n### T9: one\n- **depends_on**: {written}\n")
    assert found.plan.tasks[0].depends_on == ids
    assert any("no brackets" in one.words for one in found.findings) is warned


def test_a_description_may_have_many_lines_and_code_in_which_nothing_is_a_task() -> None:
    text = (
        "- **description**: First.\n\n  - a list\n    - **status**: of the thing\n\n  ```md\n  ### T8: no task\n"
        "- **repo**: no field\n  ```\nplain below\n- **repo**: web\n- **acceptance**:\n  - it works\n"
        "- **Note**: careful\n"
    )
    task = only(text)
    assert task.repo == "web"
    assert task.status == ""
    assert task.description == (
        "First.\n\n  - a list\n    - **status**: of the thing\n\n  ```md\n  ### T8: no task\n"
        "- **repo**: no field\n  ```\nplain below\nacceptance:\n- it works\nNote: careful"
    )


def test_a_validation_in_a_fence_is_read_with_its_fence() -> None:
    assert only("- **validation**:\n  ```sh\n  make test\n  ```\n").validation == "```sh\nmake test\n```"


def test_ids_may_be_of_any_script_and_have_dots() -> None:
    text = PLAN.replace("T1", "bd-1.10").replace("T2", "задача-2")
    found = read(text)
    assert found.findings == ()
    assert [task.id for task in found.plan.tasks] == ["bd-1.10", "задача-2"]
    assert found.plan.tasks[1].depends_on == ("bd-1.10",)
    composed, parted = "Té1", "Te\u03011"
    assert read(PLAN.replace("### T1", f"### {composed}").replace("[T1]", f"[{parted}]")).findings == ()


@pytest.mark.req("B7")
@pytest.mark.parametrize(("name", "topic", "level"), [
    ("auth-plan.md", "auth", ""),
    ("docs/plans/sign-in-Plan.md", "sign-in", ""),
    ("auth.md", "auth", "warning"),
    ("plan.md", "plan", "warning"),
    ("plans/задача-plan.md", "задача", ""),
    ("my topic-plan.md", "my topic", "error"),
    ("-plan.md", "-plan", "error"),
    ("a..b-plan.md", "a..b", "error"),
])  # fmt: skip
def test_the_topic_is_in_the_files_name(name: str, topic: str, level: str) -> None:
    found = read(PLAN, name)
    assert found.plan.id == plan_id(name) == topic
    assert [one.level for one in found.findings] == ([level] if level else [])
    assert all("-plan.md" in one.cure for one in found.findings)
    assert valid_topic(topic) is (level != "error")


@pytest.mark.req("B8")
@pytest.mark.parametrize(("text", "line", "words", "cure"), [
    ("", 1, "the plan has no name", "# Plan: name"),
    ("", 1, "there is no section `## Tasks`", "### T1: name"),
    (PLAN.replace("# Plan: Sign", "# Sign"), 1, "the plan has no name", "# Plan: name"),
    (PLAN.replace("## Tasks", "## Things"), 28, "there is no section `## Tasks`", "add `## Tasks`"),
    (PLAN[: PLAN.index("### T1")], 7, "the section Tasks has no tasks", "### T1: name"),
    (PLAN.replace("### T2", "### t1"), 19, "there is a second task t1: T1 stands on line 9", "another id"),
    (PLAN.replace("[T1]", "[T3]"), 20, "T2 depends on T3, which is no task", "name one of T1, T2"),
    (PLAN.replace("[T1]", "[wave-one]"), 20, "T2 depends on wave-one, which is no task", "name one of T1, T2"),
    (PLAN.replace("[T1]", "[t1]"), 20, "T2 depends on t1, which is no task", "write T1"),
    (PLAN + "- **repo**: other\n", 29, "T2 has the field repo twice", "the first is on line 21"),
    (PLAN.replace("Add the table.", "\n  ~~~"), 14, "never ends", "close it"),
    (PLAN + "\0", 1, "no text", "Markdown"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_line_and_its_cure(text: str, line: int, words: str, cure: str) -> None:
    assert any(at == line and words in said and cure in mend for at, said, mend in errors(text)), errors(text)


@pytest.mark.req("B9")
@pytest.mark.parametrize("field", ["depends_on", "repo", "location", "description", "validation"])
def test_each_field_that_a_task_needs_is_missed(field: str) -> None:
    found = errors(without(f"- **{field}**"))
    assert [(line, words) for line, words, _ in found] == [(9, f"T1 has no field {field}"),
                                                           (18, f"T2 has no field {field}")]  # fmt: skip
    assert all(f"**{field}**" in cure for _, _, cure in found)


@pytest.mark.parametrize("field", ["repo", "location", "description", "validation"])
def test_a_field_without_a_value_is_empty(field: str) -> None:
    lines = [f"- **{field}**: none\n" if line.startswith(f"- **{field}**") else line for line in PLAN.splitlines(True)]
    assert [words for _, words, _ in errors("".join(lines))] == [f"the field {field} of T1 is empty",
                                                                  f"the field {field} of T2 is empty"]  # fmt: skip


def test_what_the_coordinator_writes_need_not_be_there() -> None:
    assert errors(without("- **status**", "- **log**", "- **files edited**")) == []


def test_a_field_whose_name_is_mistyped_is_named() -> None:
    (found, _) = errors(PLAN.replace("**location**", "**locatoin**"))
    assert found[1] == "T1 has no field location (line 12 has 'locatoin')"


def test_a_heading_that_names_no_task_is_pointed_out_and_left_alone() -> None:
    found = read(PLAN.replace("### T2", "### Wave 2\nlater\n\n### T2"))
    assert [(one.level, one.line) for one in found.findings] == [("warning", 19)]
    assert [task.id for task in found.plan.tasks] == ["T1", "T2"]


def test_a_thousand_tasks_are_read_in_a_breath() -> None:
    text = skeleton("big", "Big", 1000, "web")
    began = time.process_time()
    found = read(text, "big-plan.md")
    assert time.process_time() - began < 3
    assert found.findings == ()
    assert len(found.plan.tasks) == 1000


@pytest.mark.parametrize("nasty", ["`" * 100_000, "<!--" * 30_000, "[" * 100_000, "` `` " * 30_000, " " * 200_000,
                                   "#" * 100_000, "**" * 60_000, ("a" * 5000 + " ") * 20, ",(" * 50_000])  # fmt: skip
def test_no_text_takes_long(nasty: str) -> None:
    began = time.process_time()
    for text in (f"- **location**: {nasty}\n", f"- **description**: {nasty}\n{nasty}\n", f"### {nasty}\n", nasty):
        read(PLAN + text)
    assert time.process_time() - began < 5


@given(st.text(alphabet=st.sampled_from("#\n -*`T1:[]<!>~\r\tab**"), max_size=200))
def test_any_text_is_read_or_said_to_be_wrong(text: str) -> None:
    found = read(text)
    assert isinstance(found.plan, PlanFile)
    assert read(f"# Plan: x\n## Tasks\n### T1: y\n{text}").plan.id == "auth"
