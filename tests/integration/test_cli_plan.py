"""Plan files on the command line before anything is run: checked, shown, made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.adapters.system.files import SystemFiles
from coordinator.wording.plan_md.making import skeleton
from tests.support.program import a_repository, program, tree

PLAN = """\
# Plan: Sign in

## Overview
People sign in.

## Tasks

### T1: Store
- **depends_on**: []
- **repo**: web
- **location**: [src/a.py, src/b.py]
- **description**: Store it.
- **validation**: `make test`

### T2: Answer
- **depends_on**: [T1]
- **repo**: acme/api
- **location**: [src/]
- **description**: Answer it.
- **validation**: Look at the page.

### T10: Show
- **depends_on**: []
- **repo**: web
- **location**: [src/b.py, src/c.py]
- **description**: Show it.
- **validation**: `make test`
"""


@pytest.fixture
def web(tmp_path: Path) -> Path:
    """The checkout one stands in, with a plan file; the other repository of the plan lies beside it."""
    a_repository(tmp_path / "api", "https://github.com/acme/api.git")
    root = a_repository(tmp_path / "web", "https://github.com/acme/web.git")
    (root / "auth-plan.md").write_text(PLAN)
    return root


def found(root: Path, *argv: str) -> tuple[int, dict[str, list[dict[str, object]]]]:
    done = program(root, "plan", *argv, "--json")
    return done.returncode, json.loads(done.stdout)


def errors(root: Path, text: str | bytes) -> list[tuple[object, object]]:
    """Line and words of each error that `plan check` finds in a plan of this text; it must end with 27."""
    (root / "auth-plan.md").write_bytes(text.encode() if isinstance(text, str) else text)
    code, data = found(root, "check", "auth-plan.md")
    assert code == 27
    assert all(one["cure"] for one in data["findings"])
    return [(one["line"], one["words"]) for one in data["findings"] if one["level"] == "error"]


def test_a_plan_with_warnings_alone_is_good_and_check_changes_nothing(web: Path) -> None:
    before = tree(web)
    done = program(web, "plan", "check", "auth-plan.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "auth-plan.md: 2 warnings",
        "  line 20: warning: the validation of T2 is no command, so nobody runs it",
        "    → write the command alone in backticks, such as `pytest tests/test_keys.py`",
        "  line 25: warning: T1, T10 of wave 1 overlap in src/b.py: they are run one after the other",
        "    → let T10 depend on T1, or give each files of its own",
    ]
    assert tree(web) == before


def test_a_plan_with_errors_ends_with_27_and_tells_line_and_cure(web: Path) -> None:
    (web / "auth-plan.md").write_text(PLAN.replace("[T1]", "[T3]").replace("[src/a.py", "[/src/a.py"))
    done = program(web, "plan", "check", "auth-plan.md")
    lines = done.stdout.splitlines()
    assert (done.returncode, lines[0]) == (27, "auth-plan.md: 2 errors, 2 warnings")
    assert lines[1:3] == [
        "  line 11: error: the location '/src/a.py' of T1 is outside its repository",
        "    → write the path from the root of web, such as src/a.py; for another repository write a task of its own",
    ]
    place = lines.index("  line 16: error: T2 depends on T3, which is no task")
    assert lines[place + 1] == "    → take it out, or name one of T1, T2, T10"


def test_a_plan_may_be_a_link_to_the_file(web: Path, tmp_path: Path) -> None:
    (tmp_path / "mine-plan.md").symlink_to(web / "auth-plan.md")
    (tmp_path / "broken-plan.md").symlink_to("nowhere")
    (tmp_path / "loop-plan.md").symlink_to("loop-plan.md")
    code, data = found(tmp_path, "show", "mine-plan.md")
    assert (code, data["id"], data["file"]) == (0, "auth", str(web / "auth-plan.md"))
    for name in ("broken", "loop"):
        done = program(tmp_path, "plan", "check", f"{name}-plan.md")
        assert (done.returncode, f"{name}-plan.md" in done.stderr) == (1, True)


def test_repositories_are_found_beside_the_one_stood_in_and_beside_the_plan(web: Path, tmp_path: Path) -> None:
    assert found(web, "check", "auth-plan.md")[0] == 0
    assert found(tmp_path, "check", "web/auth-plan.md")[0] == 0
    assert errors(web, PLAN.replace("acme/api", "acme/nowhere")) == [
        (17, "there is no checkout of the repository 'acme/nowhere'")
    ]


@pytest.mark.parametrize(("text", "line", "words"), [
    ("", 1, "there is no section `## Tasks`"),
    (PLAN.replace("[]", "[T2]"), 9, "tasks wait for each other in a circle: T1 waits for T2 waits for T1"),
    (PLAN + "- **repo**: api\n", 28, "T10 has the field repo twice"),
    (PLAN.replace("### T10", "### T2"), 22, "there is a second task T2: T2 stands on line 15"),
    (PLAN.replace("- **repo**: web\n", ""), 8, "T1 has no field repo"),
    (PLAN.replace("T1", "задача"), 0, ""),
    (PLAN.replace("\n", "\r\n").replace("[src/]", "[..]"), 18, "the location '..' of T2 is outside its repository"),
    ("\ufeff" + PLAN.replace("- **", "-\t**").replace("[src/]", "[~/x]"), 18,
     "the location '~/x' of T2 is outside its repository"),
])  # fmt: skip
def test_bad_plans_are_told_what_is_wrong(web: Path, text: str, line: int, words: str) -> None:
    if words:
        assert (line, words) in errors(web, text)
    else:
        (web / "auth-plan.md").write_text(text)
        assert found(web, "check", "auth-plan.md")[0] == 0


@pytest.mark.parametrize(("content", "words"), [
    (b"\x00\x01\x02" * 50, "is no text"),
    (b"# Plan: \xff\xfe\n", "is no UTF-8 text"),
    (b"# Plan: x\n" * 900_000, "has more than 8 MB"),
    (None, "is a folder"),
])  # fmt: skip
def test_what_is_no_plan_file_is_said_in_a_line(web: Path, content: bytes | None, words: str) -> None:
    path = web / "other-plan.md"
    path.mkdir() if content is None else path.write_bytes(content)
    for command in ("check", "show"):
        done = program(web, "plan", command, "other-plan.md")
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: other-plan.md {words}")
    assert "there is no plan file gone-plan.md" in program(web, "plan", "check", "gone-plan.md").stderr


def test_a_thousand_tasks_are_checked_and_shown(web: Path) -> None:
    (web / "big-plan.md").write_text(skeleton("big", "Big", 1000, "web"))
    assert program(web, "plan", "check", "big-plan.md").returncode == 0
    assert len(found(web, "show", "big-plan.md")[1]["waves"]) == 1000


def test_show_draws_the_waves_the_longest_chain_and_who_is_in_whose_way(web: Path) -> None:
    done = program(web, "plan", "show", "auth-plan.md")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "plan auth · Sign in · 3 tasks · 2 waves · 2 repositories",
        "├─ wave 1",
        "│  ├─ T1  Store  web  src/a.py, src/b.py",
        "│  └─ T10  Show  web  src/b.py, src/c.py",
        "└─ wave 2",
        "   └─ T2  Answer  acme/api  src/  after T1",
        "critical path: T1 → T2 (2 of 3 tasks)",
        "overlap: T1, T10 of wave 1 in src/b.py: run one after the other",
    ]
    code, data = found(web, "show", "auth-plan.md")
    assert (code, data["waves"], data["critical_path"]) == (0, [["T1", "T10"], ["T2"]], ["T1", "T2"])
    assert data["overlaps"] == [{"wave": 1, "tasks": ["T1", "T10"], "locations": ["src/b.py"]}]


def test_show_of_a_plan_with_a_circle_shows_what_is_never_started(web: Path) -> None:
    (web / "auth-plan.md").write_text(PLAN.replace("[T1]", "[T1, T2]"))
    done = program(web, "plan", "show", "auth-plan.md")
    assert done.returncode == 27
    assert "! it has 1 error and cannot be run: coordinator plan check" in done.stdout
    assert "└─ never: in a circle, or waiting for one\n   └─ T2  Answer" in done.stdout


@pytest.mark.req("B7", "B8", "B9")
def test_a_new_plan_has_every_field_and_is_found_good(web: Path) -> None:
    done = program(web, "plan", "new", "billing", "--name", "Bill at last", "--tasks", "6")
    assert (done.returncode, done.stdout) == (
        0, "billing-plan.md: fill it in, then coordinator plan check billing-plan.md\n"
    )  # fmt: skip
    lines = (web / "billing-plan.md").read_text().splitlines()
    assert lines[:9] == [
        "# Plan: Bill at last", "", "## Overview", "What billing is to bring, for whom, and what it leaves alone.", "",
        "## Tasks", "", "### T1: Name of the first task", "- **depends_on**: []",
    ]  # fmt: skip
    assert [line.split("**")[1] for line in lines[8:16]] == ["depends_on", "repo", "location", "description",
                                                             "validation", "status", "log", "files edited"]  # fmt: skip
    assert "- **status**: Not Started" in lines
    checked = program(web, "plan", "check", "billing-plan.md")
    assert (checked.returncode, checked.stdout) == (0, "billing-plan.md: good, 6 tasks\n")


def test_a_new_plan_never_takes_the_place_of_another_file(web: Path) -> None:
    done = program(web, "plan", "new", "auth")
    assert (done.returncode, done.stdout) == (1, "")
    assert "auth-plan.md is there already" in done.stderr
    assert (web / "auth-plan.md").read_text() == PLAN
    assert program(web, "plan", "new", "auth-plan.md").returncode == 1


@pytest.mark.parametrize(("argv", "code", "words"), [
    (("a b",), 64, "no plan can be named 'a b'"),
    (("../..",), 64, "no plan can be named '../..'"),
    (("docs/x",), 1, "there is no folder docs"),
    (("x", "--tasks", "0"), 64, "--tasks"),
])  # fmt: skip
def test_a_plan_that_cannot_be_made_is_refused(web: Path, argv: tuple[str, ...], code: int, words: str) -> None:
    before = tree(web)
    done = program(web, "plan", "new", *argv)
    assert (done.returncode, words in done.stderr) == (code, True)
    assert tree(web) == before


def test_no_word_of_a_plan_reaches_the_terminal_as_a_command(web: Path) -> None:
    nasty = PLAN.replace("Store\n", "Store \x1b[2Jit \u202e\n").replace("[T1]", "[\x1b[31mT9]")
    (web / "auth-plan.md").write_text(nasty)
    for command in ("check", "show"):
        done = program(web, "plan", command, "auth-plan.md")
        assert done.returncode == 27
        assert not {"\x1b", "\u202e"} & set(done.stdout + done.stderr)


def test_a_file_that_people_write_is_read_with_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "auth-plan.md"
    path.write_bytes(b"a\r\nb\n\xef\xbb\xbfc\r")
    files = SystemFiles()
    text = files.read(path)
    assert text == "a\r\nb\n\ufeffc\r"
    assert files.put_if_unchanged(path, f"{text}d", text)
    assert path.read_bytes() == b"a\r\nb\n\xef\xbb\xbfc\rd"
