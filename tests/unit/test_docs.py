"""The documents say what is so: every table of theirs is compared with the code, every link and name is looked up."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from coordinator.cli.main import program
from coordinator.cli.trouble import BUG, GENERAL, NO_AUTH, NOT_READY, USAGE
from coordinator.config import entries, load
from coordinator.domain.reasons import PROVIDER_NAMES, REASONS, Reason
from coordinator.engine import effects
from coordinator.planning.waits import WAIT_CODES
from coordinator.runfiles import names
from coordinator.wording import metrics

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
OPERATIONS = DOCS / "operations.md"
ARCHITECTURE = DOCS / "architecture.md"
SECURITY = ROOT / "SECURITY.md"
PAGES = (
    ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "skills").rglob("SKILL.md")),
    *sorted(DOCS.rglob("*.md")),
)  # fmt: skip
OWN_PROVIDERS = ("claude", "cc_glm", "command")

_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_MACHINE = re.compile(r"(?<![\w.$~)])/(?:home|root|work|Users|mnt|srv)/\w|\b\d{1,3}(?:\.\d{1,3}){3}\b")
_HOST = re.compile(r"https?://([^/\s)`\"']+)")
HOSTS = {"semver.org", "github.com"}


def text(page: Path) -> str:
    return page.read_text("utf-8")


def section(page: Path, heading: str) -> str:
    """What stands below one heading, up to the next of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    pattern = rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)"
    found = re.search(pattern, text(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} has no heading {heading!r}"
    return found[1]


def rows(markdown: str) -> list[list[str]]:
    """The cells of every row of the tables, without titles and lines of dashes."""
    lines = [found[1].strip() for found in _ROW.finditer(markdown)]
    dashes = [at for at, line in enumerate(lines) if set(line) <= set("-|")]
    return [line.split(" | ") for at, line in enumerate(lines) if not {at, at + 1} & set(dashes)]


def firsts(markdown: str) -> list[str]:
    """What stands in backticks in the first column."""
    return [word for row in rows(markdown) for word in _CODE.findall(row[0])]


# --- configuration, labels, metrics, files -----------------------------------------------------------


def test_every_key_of_the_configuration_stands_with_its_default_and_a_meaning() -> None:
    config = load(None, {}, {"providers.claude.max": "0", "fallback.claude": "", "hosts.claude.address": "a"})
    real = [(re.sub(r"^(providers|fallback|hosts)\.claude", r"\1.NAME", one.key), one.value) for one in entries(config)]
    told = [(row[0].strip("`"), row[1].strip("`")) for row in rows(section(OPERATIONS, "## Configuration"))]
    assert told == [(key, '""' if key == "hosts.NAME.address" else value) for key, value in real]
    assert all(len(row) == 3 and row[2].strip() for row in rows(section(OPERATIONS, "## Configuration")))


def test_every_label_stands_with_its_default_name() -> None:
    real = {one.key: one.value.strip('"') for one in entries(load(None, {})) if one.key.startswith("labels.")}
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(section(OPERATIONS, "### Labels"))}
    assert told == {key: value for key, value in real.items() if key != "labels.mode"}


def test_every_key_of_metrics_json_is_explained() -> None:
    assert sorted(firsts(section(OPERATIONS, "### adws/metrics.json"))) == sorted(metrics.DEFAULTS)


def test_every_kind_of_run_file_is_explained() -> None:
    assert sorted(firsts(section(DOCS / "run-files.md", "## Kinds"))) == sorted(names.KINDS)


# --- commands -----------------------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, Any]]:
    """(words, command) of everything that help shows."""
    waiting: list[tuple[str, Any]] = [("coordinator", typer.main.get_command(program()))]
    while waiting:
        words, command = waiting.pop()
        inner = getattr(command, "commands", {})
        waiting += [(f"{words} {name}", one) for name, one in inner.items() if not one.hidden]
        if not inner:
            yield words, command


def options(command: Any) -> set[str]:
    """The long option names that help shows, but --help."""
    shown = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    return {max((word for word in one.opts if word.startswith("--")), key=len) for one in shown} - {"--help"}


def test_every_command_stands_with_exactly_its_options() -> None:
    told = firsts(section(OPERATIONS, "## Commands").partition("### ")[0])
    told += firsts(section(DOCS / "job-runner.md", "## Commands"))
    told += firsts(section(DOCS / "batches.md", "## Commands"))
    told += firsts(section(DOCS / "plans.md", "## Commands"))
    real = {words: options(command) for words, command in commands()}
    ends = re.compile(r" (?:\[|ISSUE|ID|FILE|TEXT|PLAN|TOPIC|--)")
    said = {ends.split(line)[0]: set(re.findall(r"--[a-z-]+", line)) for line in told}
    assert said == real


def test_every_exit_code_of_ours_stands_in_the_table() -> None:
    told = {int(row[0]) for row in rows(section(OPERATIONS, "### Exit codes"))}
    assert {0, GENERAL, NO_AUTH, NOT_READY, USAGE, BUG} <= told


def test_no_page_names_a_command_that_does_not_exist() -> None:
    real = {words for words, _ in commands()} | {f"coordinator {group}" for group in ("job", "batch", "plan", "hosts")}
    word = re.compile(r"(?:`|^|\s)coordinator ((?:config |job |batch |plan |hosts )?[a-z][a-z-]*)(?=[`\s])")
    for page in PAGES:
        for code in word.findall(_code_of(page)):
            assert f"coordinator {code}" in real, f"{page.name}: coordinator {code}"


def _code_of(page: Path) -> str:
    """Only what stands in backticks and fences, one piece a line."""
    fenced = re.findall(r"^```.*?\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *_CODE.findall(re.sub(r"^```.*?^```", "", text(page), flags=re.MULTILINE | re.DOTALL))])


# --- reasons and waits --------------------------------------------------------------------------------


def reason_rows() -> list[str]:
    """The table of reasons as the page must have it: the general ones and those of the providers there are."""
    foreign = tuple(f"{name}_" for name in PROVIDER_NAMES if name not in OWN_PROVIDERS)
    head = ["| code | means | mends | again | elsewhere | charged | what to do |", "|---|---|---|---|---|---|---|"]
    return head + [_reason_row(one) for code, one in REASONS.items() if not code.startswith(foreign)]


def _reason_row(one: Reason) -> str:
    flags = ["yes" if flag else "–" for flag in (one.again, one.elsewhere, one.charged)]
    return "| " + " | ".join([f"`{one.code}`", one.meaning, str(one.mender), *flags, one.cure]) + " |"


def test_every_reason_stands_as_the_code_has_it() -> None:
    told = [line for line in section(DOCS / "reasons.md", "## Reasons").splitlines() if line.startswith("|")]
    assert told == reason_rows()


def test_every_wait_is_explained() -> None:
    assert sorted(firsts(section(DOCS / "reasons.md", "## Waits"))) == sorted(WAIT_CODES)


def test_every_reason_to_hold_an_issue_is_explained() -> None:
    tree = ast.parse(text(ROOT / "coordinator" / "planning" / "rules" / "adopt.py"))
    calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "Held"]
    written = {arg.value for call in calls for arg in call.args[2:3] if isinstance(arg, ast.Constant)}
    doubts = ast.walk(ast.parse(text(ROOT / "coordinator" / "planning" / "trust.py")))
    calls = [one for one in doubts if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "Doubt"]
    written |= {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert written
    assert set(firsts(section(DOCS / "reasons.md", "## Held issues"))) == written


# --- architecture -------------------------------------------------------------------------------------


def test_every_effect_says_how_it_is_found_again() -> None:
    told = set(firsts(section(ARCHITECTURE, "## If we die between")))
    assert {one.__name__ for one in effects._MADE_BY} <= told


def promises() -> list[list[str]]:
    """The rows of every table that says what holds, and by which test."""
    of_security = re.findall(r"^## Promises.*$", text(SECURITY), re.MULTILINE)
    places = [(ARCHITECTURE, "## Guarantees"), (DOCS / "reliability.md", "## Held by"),
              *((SECURITY, heading) for heading in of_security)]
    return [row for page, heading in places for row in rows(section(page, heading))]


def test_every_guarantee_names_tests_that_exist() -> None:
    promised = promises()
    assert {row[0] for row in rows(section(SECURITY, "## Promises: credentials"))} < {row[0] for row in promised}
    for guarantee, *_, holders in promised:
        found = _CODE.findall(holders)
        assert found, guarantee
        for holder in found:
            file, _, test = holder.partition("::")
            source = ROOT / "tests" / file
            assert source.is_file(), f"{guarantee}: {file}"
            assert not test or f"def {test}(" in text(source), f"{guarantee}: {holder}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_of_ours_that_a_page_names_is_there(page: Path) -> None:
    for code in _CODE.findall(text(page)):
        if re.fullmatch(r"(coordinator|tests|docs|tools|\.ci)/[\w./-]+", code):
            assert (ROOT / code.rstrip("/")).exists(), f"{page.name}: {code}"


# --- all pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_leads_nowhere(page: Path) -> None:
    for target in _LINK.findall(text(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in _anchors(other), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_place_of_one_machine(page: Path) -> None:
    assert not _MACHINE.findall(text(page))
    assert {host.partition(":")[0] for host in _HOST.findall(text(page))} <= HOSTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_said_twice_on_a_page(page: Path) -> None:
    lines = [line for line in text(page).splitlines() if len(line) > 60]
    assert len(lines) == len(set(lines))


def test_the_page_on_security_is_one_page_and_says_what_is_not_promised() -> None:
    assert len(text(SECURITY).splitlines()) <= 100
    assert all(row[-1].startswith("`") for row in promises())
    for heading in ("## Whom we trust", "## Not promised", "## Reporting"):
        assert section(SECURITY, heading).strip()


def test_the_readme_is_one_screen_and_names_the_way_in() -> None:
    lines = text(ROOT / "README.md").splitlines()
    assert len(lines) <= 60
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in lines}


def test_decisions_are_numbered_without_a_gap_and_each_says_what_was_rejected() -> None:
    pages = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        headings = re.findall(r"^## (.+)$", text(page), re.MULTILINE)
        assert headings == ["Decision", "Why", "Rejected"], page.name
        assert page.name in text(DOCS / "decisions" / "README.md"), page.name


def test_no_source_names_a_document_that_is_not_there() -> None:
    sources = [*(ROOT / "coordinator").rglob("*.py"), *(ROOT / "adws").glob("*.py"), ROOT / "Makefile"]
    for source in sources:
        for name in re.findall(r"\bdocs/[\w./-]+", text(source)):
            assert (ROOT / name.rstrip("./")).exists(), f"{source.name}: {name}"
