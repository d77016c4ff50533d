"""The skills and the runbook: their front matter, every command they name, and each passage that was promised."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from coordinator.cli.main import program
from coordinator.config import load
from coordinator.planning.batch.cadence import BANDS, Mode

ROOT = Path(__file__).resolve().parents[2]
SKILLS = {page.parent.name: page for page in sorted((ROOT / "skills").glob("*/SKILL.md"))}
PLAN, BATCH, GLM = (ROOT / "skills" / name / "SKILL.md" for name in ("plan-dispatch", "batch-monitor", "cc-glm"))
RUNBOOK = ROOT / "docs" / "runbook.md"
PAGES = (*SKILLS.values(), *sorted((ROOT / "docs").glob("*.md")))


def text(page: Path) -> str:
    """What a reader reads: without marks of emphasis and code, on one line."""
    return re.sub(r"\s+", " ", re.sub(r"[*`]", "", page.read_text("utf-8")))


def front(page: Path) -> dict[str, Any]:
    found = re.match(r"---\n(.*?)\n---\n", page.read_text("utf-8"), re.DOTALL)
    assert found, f"{page} has no front matter"
    return dict(yaml.safe_load(found[1]))


def says(page: Path, *passages: str) -> None:
    whole = text(page)
    for passage in passages:
        assert passage in whole, f"{page.name} of {page.parent.name} does not say: {passage}"


# --- front matter -----------------------------------------------------------------------------------------


@pytest.mark.req("X16")
@pytest.mark.parametrize("name", ["plan-dispatch", "batch-monitor", "cc-glm", "coordinator"])
def test_a_skill_s_front_matter_names_its_folder_and_says_when_it_is_meant(name: str) -> None:
    head = front(SKILLS[name])
    assert head["name"] == name
    assert 60 < len(head["description"]) < 1024
    assert set(head) <= {"name", "description", "tags", "allowed-tools"}


@pytest.mark.req("B1")
def test_the_skill_of_glm_has_the_metadata_it_is_known_by() -> None:
    head = front(GLM)
    assert head["name"] == "cc-glm"
    for trigger in ("cc-glm", "delegation", "parallel agents", "batch execution"):
        assert trigger in head["description"]
    assert head["tags"] == ["workflow", "delegation", "automation", "claude-code", "glm", "parallel"]
    assert head["allowed-tools"] == ["Bash", "Task"]


@pytest.mark.req("X16")
@pytest.mark.parametrize("page", [PLAN, BATCH], ids=["plan-dispatch", "batch-monitor"])
def test_each_says_when_to_use_it_and_when_not(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert headings.index("When to use it") < headings.index("When not")


# --- commands ---------------------------------------------------------------------------------------------


def shell_lines(page: Path) -> Iterator[tuple[str, bool]]:
    """Every command line of ours in code, alone, and whether it is one to be pasted. First cells of tables are
    synopses, held to the code by test_docs.py."""
    whole = re.sub(r"^\| `[^`\n]*`", "|", page.read_text("utf-8"), flags=re.MULTILINE)
    fences = re.findall(r"^```sh\n(.*?)^```", whole, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", whole, flags=re.MULTILINE | re.DOTALL))
    for line, pasted in [*((one, True) for one in "\n".join(fences).splitlines()), *((one, False) for one in inline)]:
        for piece in re.split(r"; (?:do )?", line):
            if re.match(r"coordinator [a-z]", piece):
                yield re.split(r" [>|] ", piece)[0], pasted


@cache
def whole_program() -> Any:
    return typer.main.get_command(program())


def understood(words: list[str], *, whole: bool = True) -> str:
    """"" when the program takes these words, else what it says to them. Nothing is run. Not `whole`: a command that is
    only named may lack what it needs."""
    command: Any = whole_program()
    context = command.make_context("coordinator", [], resilient_parsing=True)
    while getattr(command, "commands", None) and words:
        name, *words = words
        inner = command.commands.get(name)
        if inner is None:
            return f"there is no command {name}"
        command = inner
        context = command.make_context(name, [], parent=context, resilient_parsing=True)
    if not whole and not words:
        return ""
    try:
        command.make_context(command.name, list(words), parent=context.parent)
    except SystemExit:
        return "it ends at once"
    except Exception as error:  # noqa: BLE001 - typer may carry a click of its own
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return ""


@pytest.mark.req("X16")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_command_line_is_one_that_the_program_takes(page: Path) -> None:
    for line, pasted in shell_lines(page):
        if "[" in line or "…" in line:   # a synopsis
            continue
        words = shlex.split(line.replace("$id", "bd-7"), comments=True)[1:]
        wrong = understood(words, whole=pasted)
        assert not wrong, f"{line}: {wrong}"


def test_a_command_that_is_not_there_would_be_seen() -> None:
    assert understood(["plan", "dance"])
    assert understood(["batch", "status", "--no-such-option"])
    assert understood(["plan", "run", "a.md", "--wave", "soon"])
    assert not understood(["plan", "run", "a.md", "--wave", "1"])


# --- thresholds, cadence, report ----------------------------------------------------------------------------


@pytest.mark.req("X16")
def test_the_thresholds_and_the_cadence_are_those_of_the_code() -> None:
    bands = load(None, {}).batch
    watch, systemic = round(bands.watch * 100), round(bands.systemic * 100)
    says(BATCH, f"up to {watch} % | healthy", f"over {watch} %, at least 2 | degraded",
         f"{systemic} % or more, at least {bands.min_ended} ended and {bands.min_same} of the cause | systemic")
    for mode in (Mode.WAITING, Mode.RUNNING, Mode.CLOSE):
        says(BATCH, "{} to {} s".format(*BANDS[mode]))


@pytest.mark.req("X16")
def test_the_report_has_its_eight_parts_in_order() -> None:
    part = BATCH.read_text("utf-8").partition("## Report, in this order")[2].partition("\n## ")[0]
    found = re.findall(r"^(\d)\. (\w+)", part, re.MULTILINE)
    assert found == list(zip("12345678", ("Scope", "Timeline", "Failure", "Decision", "If", "Completion", "Learnings",
                                          "Evidence"), strict=True))


# --- passages ---------------------------------------------------------------------------------------------


@pytest.mark.req("B2", "B3", "B4", "B29")
def test_how_work_is_delegated() -> None:
    says(GLM, "The primary way is the local headless runner", "The Task tool of your own session is optional",
         "and so is dispatch to another machine")
    says(PLAN, "batch by outcome, not by file. One agent for one coherent change set.",
         "One coherent unit of work that touches several files.",
         "A backlog of independent tasks over one or several repositories.",
         "Documentation and code that refer to each other and must change together.",
         '{"description": "T1: Add the key type", "prompt": "…", "run_in_background": true, '
         '"subagent_type": "general-purpose"}')


@pytest.mark.req("B103", "B104", "B105")
def test_what_is_not_done_when_work_is_delegated() -> None:
    part = PLAN.read_text("utf-8").partition("## Anti-patterns")[2].partition("\n## ")[0]
    plain = re.sub(r"\s+", " ", part.replace("*", ""))
    assert "One agent per file. Eleven files became eleven pull requests where three would have done" in plain
    assert "No plan for work across repositories." in plain
    assert "A push per agent. Agents commit and never push; there is one push for each batch and repository." in plain


@pytest.mark.req("B108", "B109", "B110", "B111")
def test_what_is_measured_after_two_weeks() -> None:
    says(RUNBOOK, "## After two weeks", "| pull requests per epic, median | 1 to 2 |",
         "| branches with a pull request per plan, median | 1 |", "| delegations that were blocked | below 10 % |",
         "| interventions by the founder | 0 |")


@pytest.mark.req("D2", "D3", "D93", "D94", "D95", "D96")
def test_the_posture_of_who_watches() -> None:
    says(BATCH, "You mostly wait. You detect systemic failure, and you intervene only when the learning value of the "
                "batch collapses; then you clean up, fix, resubmit, go on watching, and analyse at the end.",
         "Learning throughput over zero failures.",
         "Queue pain is not run-quality pain. Waiting for a slot, a limit or a queue alone never ends anything.",
         "Conservative, not trigger-happy; thorough once it is clear.",
         "Use the bounded wait, never a tight loop of your own.")
    says(RUNBOOK, "Small scope wants one agent. Where several are used, each has an owner, its inputs, its acceptance "
                  "checks, and there is a step at the end that puts their results together")


@pytest.mark.req("D5", "D6", "D7", "D8", "D10", "D11", "D12", "D13")
def test_how_an_agent_goes_on_by_itself() -> None:
    says(BATCH, "Proactive. Take the next step that is in scope without asking.",
         "Ask a person only for ambiguity, material risk, missing data or access, and destructive steps.",
         "When a tool fails, try another way: find and grep for rg, python3 for python, another script of "
         "the repository.",
         "Notes go to a plan/ folder, made when edits are allowed; where they are not, keep them in memory and say so.",
         "Repeat calls go on from earlier findings. Nothing identical is run again unless a check needs it.",
         "Finish with verification. Loop until nothing actionable is left and checks are green.",
         "Loop examples: issue-resolution (mend one, look for the next), cleanup (until nothing is flagged), docs (",
         "Record durable decisions during the work, not at the end (where there is a skill organise-docs, by that).")


@pytest.mark.req("D14", "D15", "D16", "D17", "D97", "D98", "D99", "D100")
def test_how_an_agent_leaves_its_work() -> None:
    says(BATCH, "Checkpoints: a small commit at each milestone and at least once per phase, when checks are green and "
                "the repository's policy permits.",
         "A checkpoint that is blocked is resolved or recorded before the scope grows.",
         "Never squash: merge commits only.", "Prefer simplification: the smallest fix that removes the cause.",
         "plan/ is scratch: it is never committed, and stale files in it are pruned.",
         "A question for a decision gives the background, each option with what speaks for and against it, and a "
         "recommendation with its reason. Where no decision is needed, say so and go on.",
         "The why of a fix is stored in such a place, and the report says where.",
         "Durable findings go to docs/, which is evergreen: decisions to docs/decisions.md, made if allowed, else to "
         "the smallest durable place there is, called out.")


@pytest.mark.req("D83", "D84")
def test_what_is_kept_and_what_is_not_offered() -> None:
    says(RUNBOOK, "What was learnt goes into the documents: capture durable insights there, not in a chat.")
    says(BATCH, "Next steps are proposed only if asked for.")
