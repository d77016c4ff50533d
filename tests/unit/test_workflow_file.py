"""Workflow files: what stands in one comes out of it, and whatever is wrong is named with what is expected."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.app import Place
from coordinator.app.workflows import workflow_finder
from coordinator.domain.workflow import BUILD, HANDOFF, Gate, Stage, Workflow
from coordinator.wording.workflow_file import WorkflowError, parse_workflow

SHIPPED = Path(__file__).resolve().parents[2] / "adws" / "workflows"
PLAN, REVIEW = f"{HANDOFF}/PLAN.md", f"{HANDOFF}/REVIEW.md"
A, B = '[[stages]]\nname = "a"\n', '[[stages]]\nname = "b"\n'
WHOLE = f"""\
description = "all of it"
[[stages]]
name = "planner"
template = "planner"
provider = "codex"
model = "m-1"
leaves = ["{PLAN}", "docs/**/*.md"]
gate = {{ approval = true, file = "{PLAN}" }}
retries = 0
[[stages]]
name = "builder"
gate = {{ command = "make test", timeout = "1h30m" }}
[[stages]]
name = "reviewer"
leaves = ["{REVIEW}"]
sends_back_to = "builder"
sends_back = 2
"""


def test_every_key_of_a_file_comes_out_of_it() -> None:
    assert parse_workflow("whole", WHOLE) == Workflow("whole", (
        Stage("planner", "planner", "codex", "m-1", (PLAN, "docs/**/*.md"), Gate(file=PLAN, approval=True), 0),
        Stage("builder", gate=Gate("make test", timedelta(minutes=90))),
        Stage("reviewer", leaves=(REVIEW,), sends_back_to="builder", sends_back=2),
    ))


def test_the_shipped_ones_can_be_used_and_the_default_is_the_one_stage_of_old() -> None:
    known = {path.stem: parse_workflow(path.stem, path.read_text("utf-8")) for path in SHIPPED.glob("*.toml")}
    assert known["build"] == BUILD
    assert [one.name for one in known["plan-build-review"].stages] == ["planner", "builder", "reviewer"]


BAD = (
    ("x = [", "w.toml is no TOML"),
    ("", "stages = nothing; expected is at least one table [[stages]]"),
    ("stages = 3", "stages = 3; expected is"),
    (f"extra = 1\n{A}", "unknown key 'extra'; known are stages, description"),
    ("description = 1\n" + A, "description = 1; expected is a text in quotes"),
    ("[[stages]]\n", "stage 1: name = nothing; expected is a name"),
    ('[[stages]]\nname = "a b"\n', "stage 1: name = 'a b'; expected is a name"),
    (A + A, "stage 2: name = 'a'; expected is a name that no stage before has"),
    (A + "model = 4", "stage 1: model = 4; expected is a text in quotes"),
    (A + 'template = "../x"', "template = '../x'; expected is a name"),
    (A + 'templates = "x"', "unknown key 'templates'; known are name, template,"),
    (A + "retries = -1", "retries = -1; expected is a number from 0 to 20"),
    (A + "retries = true", "retries = True; expected is a number"),
    (A + "retries = 1.5", "retries = 1.5; expected is a number"),
    (A + "leaves = []", 'leaves = nothing; expected is a list such as ["commits"]'),
    (A + 'leaves = "commits"', "leaves = 'commits'; expected is a list"),
    (A + 'leaves = ["/etc/passwd"]', "leaves = '/etc/passwd'; expected is a path or pattern inside"),
    (A + 'leaves = ["../x"]', "leaves = '../x'; expected is a path or pattern inside"),
    (A + 'leaves = [".git/config"]', "leaves = '.git/config'; expected is"),
    (A + 'leaves = ["a**b"]', "leaves = 'a**b'; expected is ** as a whole part"),
    (A + 'leaves = ["PLAN.md"]', "leaves = ['PLAN.md']; expected is \"commits\" in this or an earlier stage"),
    (A + "gate = 3", "gate = 3; expected is a table such as"),
    (A + "gate = { cmd = 'x' }", "stage 1, gate: unknown key 'cmd'; known are command, timeout, file, approval"),
    (A + "gate = { timeout = '5m' }", "gate.timeout = '5m'; expected is a command beside it"),
    (A + "gate = { command = 'x', timeout = '5' }", 'gate.timeout = \'5\'; expected is a duration such as "90s"'),
    (A + "gate = { command = 'x', timeout = '0s' }", "gate.timeout = '0s'; expected is a duration"),
    (A + "gate = { command = 'x', timeout = 5 }", "gate.timeout = 5; expected is a duration"),
    (A + "gate = { approval = 'yes' }", "gate.approval = 'yes'; expected is true or false"),
    (A + "gate = { approval = true }", "gate.approval = True; expected is none at the last stage"),
    (A + "gate = { file = '../x' }", "gate.file = '../x'; expected is a path"),
    (A + "sends_back = 2", "sends_back = 2; expected is sends_back_to beside it"),
    (A + 'sends_back_to = "a"', "sends_back_to = 'a'; expected is an earlier stage, none: no stage comes before"),
    (A + B + 'sends_back_to = "c"', "stage 2: sends_back_to = 'c'; expected is an earlier stage, \"a\""),
    (A + B + 'sends_back_to = "a"', "sends_back = nothing; expected is how often, 1 to 20"),
    (A + B + 'sends_back_to = "a"\nsends_back = 1', "leaves = ['commits']; expected is the file of the verdict"),
    (A + B + 'sends_back_to = "a"\nsends_back = 1\nleaves = ["*.md"]', "expected is the file of the verdict first"),
    ("".join(f'[[stages]]\nname = "s{at}"\n' for at in range(21)), "21 stages; at most 20"),
)


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_bad_file_is_refused_with_the_place_the_value_and_what_is_expected(text: str, words: str) -> None:
    with pytest.raises(WorkflowError) as told:
        parse_workflow("w", text)
    assert str(told.value).startswith("adws/workflows/w.toml")
    assert words in str(told.value)


@given(st.dictionaries(st.sampled_from(["name", "leaves", "gate", "retries", "sends_back", "sends_back_to", "x"]),
                       st.sampled_from(["1", "-1", "true", '""', '"a"', "[]", '["a"]', "{}", "1979-05-27", "nan"])))
def test_whatever_stands_in_a_file_is_used_or_refused_in_words(keys: dict[str, str]) -> None:
    text = "[[stages]]\n" + "\n".join(f"{key} = {value}" for key, value in keys.items())
    try:
        assert parse_workflow("w", text).stages
    except WorkflowError as error:
        assert "adws/workflows/w.toml" in str(error)   # noqa: PT017 - either end is right


# --- where they are found -----------------------------------------------------------------------------


def put(root: Path, name: str, text: str) -> Path:
    path = root / "adws" / "workflows" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_repositorys_own_file_goes_before_the_shipped_one_and_is_read_anew(tmp_path: Path) -> None:
    find = workflow_finder(Place(tmp_path))
    assert sorted(find().known) == ["build", "plan-build-review"]
    path = put(tmp_path, "build", A)
    assert [one.name for one in find().known["build"].stages] == ["a"]
    path.write_text("no TOML at all")
    os.utime(path, ns=(1, 1))
    assert find().get("build") is None
    assert "is no TOML" in find().broken["build"]
    path.unlink()
    assert find().get("") == BUILD


@pytest.mark.parametrize(("text", "words"), [
    (A + 'template = "nope"', "stage a: template = 'nope': there is no worker template 'nope'"),
    (A + 'provider = "cluade"', "stage a: provider = 'cluade'; known are "),
])
def test_a_template_or_provider_that_is_not_there_breaks_its_workflow_alone(tmp_path: Path, text: str,
                                                                           words: str) -> None:
    put(tmp_path, "odd", text)
    library = workflow_finder(Place(tmp_path))()
    assert words in library.broken["odd"]
    assert library.get("build") == BUILD


def test_bytes_that_are_no_text_break_their_workflow_alone(tmp_path: Path) -> None:
    put(tmp_path, "odd", "").write_bytes(b"\xff\xfe")
    assert "is no UTF-8" in workflow_finder(Place(tmp_path))().broken["odd"]


def test_a_stage_has_the_provider_that_its_template_names_unless_it_names_one(tmp_path: Path) -> None:
    folder = tmp_path / "worker_templates" / "mine"
    folder.mkdir(parents=True)
    (folder / "prompt.md").write_text("Do it.")
    (folder / "template.toml").write_text('provider = "codex"')
    put(tmp_path, "two", A + 'template = "mine"\n' + B + 'template = "mine"\nprovider = "gemini"\n')
    assert [one.provider for one in workflow_finder(Place(tmp_path))().known["two"].stages] == ["codex", "gemini"]
