"""Where a forked coordinator dies: names that are the same in every plot, and what each moment leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fate import KILLED, name_of

ROOT = Path(__file__).resolve().parents[2]
DIES = """\
import sys
from pathlib import Path
from coordinator.adapters.system.files import SystemFiles
from tests.support.fate import Fate, Point, Write
when, folder = sys.argv[1], Path(sys.argv[2])
Fate(folder, Point(when, Write("file", "name", 2)), []).install()
for text in ("first", "a second one that is longer"):
    SystemFiles().put(folder / "name", text)
"""


@pytest.mark.parametrize(("what", "name"), [
    ("/x/p0007/clone/.coordinator/jobs/command/gh-1.spec", "jobs/command/gh-1.spec"),
    ("POST /repos/acme/p0007/pulls", "POST /repos/acme/PLOT/pulls"),
    ("PATCH issues/comments/4711", "PATCH issues/comments/ID"),
    ("jobs/wrapper-0ca3b75a7214.pyz", "jobs/wrapper-HASH.pyz"),
    ("/x/p0007/plans/auth-22401c3a/.coordinator/state.db", "/plans/auth-HASH/.coordinator/state.db"),
])
def test_a_write_has_the_same_name_in_every_plot(what: str, name: str) -> None:
    assert name_of(Path("/x/p0007"), what) == name


@pytest.mark.req("N7")
@pytest.mark.parametrize(("when", "left", "torn"), [
    ("before", "first", False), ("within", "first", True), ("after", "a second one that is longer", False),
])
def test_each_moment_leaves_what_a_kill_there_leaves(tmp_path: Path, when: str, left: str, torn: bool) -> None:
    done = subprocess.run([sys.executable, "-c", DIES, when, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == KILLED
    assert (tmp_path / "name").read_text() == left
    half = [path.read_text() for path in tmp_path.iterdir() if path.name not in ("name", "log")]
    assert half == (["a second one "] if torn else [])
    assert "died" in (tmp_path / "log").read_text()
