"""The house holds: who imports whom, what has one home, and what no room may do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.architecture import floors

ROOT = Path(__file__).resolve().parents[2]
Rule = Callable[[Path], Iterator[str]]


def violations(rule: Rule, root: Path = ROOT) -> str:
    return "\n".join(rule(root))


def test_every_room_imports_only_the_floors_below_it() -> None:
    assert violations(floors.floors) == ""


def test_third_party_names_have_one_home() -> None:
    assert violations(floors.homes) == ""


def test_decisions_words_and_the_wrapper_do_without_what_they_must_not_know() -> None:
    assert violations(floors.purity) == ""


def test_time_is_an_input_everywhere_but_at_the_clock() -> None:
    assert violations(floors.clocks) == ""


@pytest.mark.req("P51")
def test_no_call_reaps_children_it_did_not_start() -> None:
    assert violations(floors.waits_for_any_child) == ""


def test_nothing_is_handed_to_a_shell() -> None:
    assert violations(floors.shells) == ""


def test_only_the_rooms_that_face_a_terminal_print() -> None:
    assert violations(floors.prints) == ""


def test_what_travels_to_hosts_parses_as_python_3_9() -> None:
    assert violations(floors.old_syntax) == ""


def test_what_travels_to_hosts_uses_nothing_newer_than_python_3_9() -> None:
    judged = subprocess.run(
        [
            sys.executable,
            "-c",
            "from vermin import main; main()",
            "--no-tips",
            "--no-parse-comments",
            "--violations",
            "--target=3.9-",
            "coordinator/__init__.py",
            "coordinator/far",
            "coordinator/runfiles",
            "coordinator/worker",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_no_module_is_longer_than_a_reader_can_hold() -> None:
    assert violations(floors.length) == ""


@pytest.mark.req("F2")
@pytest.mark.parametrize("name", ["github", "apscheduler", "git", "psutil", "sqlalchemy", "rich"])
def test_each_promised_library_is_used_in_its_home(name: str) -> None:
    users = {
        source.module
        for source in floors.sources(ROOT)
        for _, imported in source.imports()
        if imported.partition(".")[0] == name
    }
    assert users, f"nothing imports {name}"
    assert all(floors.within(user, floors.HOMES[name]) for user in users)


@pytest.mark.req("F14")
def test_the_program_is_python_and_data() -> None:
    files = [
        path for path in (ROOT / floors.OURS).rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    data = {".md", ".toml", ".mako", ".json", ".txt", ".typed"}
    assert [path.name for path in files if path.suffix not in {".py", *data}] == []
    assert len(floors.sources(ROOT)) > len(files) / 2


@pytest.mark.req("F3")
@pytest.mark.parametrize(
    "name", ["pyproject.toml", "coordinator", "worker_templates", "tools", "tests", "tasks.md", "adws"]
)
def test_the_top_level_has_what_the_guide_names(name: str) -> None:
    assert (ROOT / name).exists()


PLANTED: list[tuple[Rule, str, str, str]] = [
    (
        floors.floors,
        "domain/task.py",
        "import coordinator.ports",
        "domain/task.py:1 imports coordinator.ports",
    ),
    (floors.floors, "planning/plan.py", "from coordinator import ports", "floor planning may not"),
    (
        floors.floors,
        "planning/plan.py",
        "def f():\n    from ..ports import GitHub",
        "planning/plan.py:2 imports",
    ),
    (floors.floors, "engine/tick.py", "from coordinator.adapters.git import x", "floor engine may not"),
    (floors.floors, "engine/tick.py", "import_module('coordinator.adapters.git')", "floor engine may not"),
    (
        floors.floors,
        "adapters/git/a.py",
        "from coordinator.adapters.github import x",
        "floor adapters.git may not",
    ),
    (floors.floors, "cli/run.py", "from coordinator.planning import plan", "floor cli may not"),
    (floors.floors, "cli/run.py", "from coordinator.adapters import git", "floor cli may not"),
    (floors.floors, "app.py", "import coordinator.rehearsal", "floor app may not"),
    (floors.floors, "worker/main.py", "from coordinator.domain import task", "floor worker may not"),
    (
        floors.floors,
        "rehearsal/world.py",
        "from coordinator.runfiles import names",
        "floor rehearsal may not",
    ),
    (floors.floors, "attic/old.py", "", "room attic stands in no line"),
    (floors.homes, "engine/tick.py", "import psutil", "its home is adapters.system"),
    (floors.homes, "engine/tick.py", "from apscheduler.schedulers import x", "its home is engine.daemon"),
    (floors.homes, "adapters/git/a.py", "import subprocess", "its home is adapters.system or rehearsal"),
    (floors.homes, "domain/task.py", "if TYPE_CHECKING:\n    import attrs", "attrs, which has no home"),
    (floors.purity, "planning/plan.py", "import random", "planning does without"),
    (floors.purity, "wording/prompt.py", "open('x')", "opens a file"),
    (floors.purity, "worker/main.py", "import json", "worker does without"),
    (floors.purity, "runfiles/names.py", "import json", "runfiles does without"),
    (floors.purity, "runfiles/verdict/lines.py", "import pathlib", "runfiles does without"),
    (floors.clocks, "planning/plan.py", "datetime.now(UTC)", "time is an input"),
    (floors.clocks, "engine/tick.py", "import time", "the clock's home"),
    (
        floors.waits_for_any_child,
        "engine/daemon.py",
        "os.waitpid(-1, os.WNOHANG)",
        "engine/daemon.py:1 calls",
    ),
    (floors.waits_for_any_child, "worker/main.py", "os.waitid(os.P_ALL, 0, 0)", "steals"),
    (floors.waits_for_any_child, "worker/main.py", "os.wait()", "steals"),
    (floors.shells, "adapters/system/run.py", "Popen('x', shell=True)", "starts a shell"),
    (floors.shells, "adapters/system/run.py", "os.system('x')", "starts a shell"),
    (floors.prints, "engine/tick.py", "print('x')", "engine/tick.py:1 prints"),
    (floors.old_syntax, "worker/main.py", "match 1:\n    case _: pass", "worker/main.py:2 is no Python 3.9"),
    (floors.length, "app.py", "\n" * 501, "coordinator/app.py: 501 lines"),
]


@pytest.mark.parametrize(
    ("rule", "name", "text", "words"), PLANTED, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_planted_violation_is_found(tmp_path: Path, rule: Rule, name: str, text: str, words: str) -> None:
    for module in ("ports.py", "planning/plan.py", "adapters/git/__init__.py"):
        plant(tmp_path, module, "")
    assert violations(rule, tmp_path) == ""
    plant(tmp_path, name, text)
    assert words in violations(rule, tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cli/run.py", "from coordinator.planning import health\nfrom coordinator import __version__"),
        ("cli/rehearse.py", "from coordinator.rehearsal import world"),
        ("app.py", "def build():\n    from coordinator.adapters.git import worktrees"),
        ("adapters/git/a.py", "from . import b\nfrom coordinator.adapters.system import run"),
        ("worker/main.py", "import os\nfrom coordinator.runfiles import names\nos.waitpid(12, 0)"),
    ],
)
def test_what_the_floors_allow_passes(tmp_path: Path, name: str, text: str) -> None:
    for module in ("planning/health.py", "adapters/git/b.py"):
        plant(tmp_path, module, "")
    plant(tmp_path, name, text)
    rules = (floors.floors, floors.homes, floors.purity, floors.clocks, floors.waits_for_any_child)
    assert [violations(rule, tmp_path) for rule in rules] == [""] * len(rules)


def plant(root: Path, name: str, text: str) -> None:
    path = root / floors.OURS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
