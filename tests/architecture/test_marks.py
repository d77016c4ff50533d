"""A mark that cannot be believed stops pytest before any test runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.rows import ROOT


def collected(folder: Path, marks: str, *how: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_planted.py").write_text(
        f"import pytest\n@pytest.mark.parametrize('n', [1, 2])\n@pytest.mark.{marks}\ndef test_it(n): ...\n"
    )
    argv = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "-p", "tests.conftest"]
    argv += ["-p", "no:cacheprovider", *how, str(folder)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.parametrize(
    ("marks", "words", "how"),
    [
        ("req('no-such-row')", "test_it: no row 'no-such-row' in docs/requirements.tsv", "-n0"),
        ("req('E1', 'E2', 'E3', 'E4', 'E5', 'E6', 'E7', 'E8', 'E9')", "test_it: carries 9 rows; 8 at most", "-n2"),
    ],
)
def test_a_mark_that_cannot_be_believed_stops_the_run(tmp_path: Path, marks: str, words: str, how: str) -> None:
    run = collected(tmp_path, marks, how)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert run.stderr.count(words) == 1
    assert "passed" not in run.stdout


def test_a_mark_of_eight_known_rows_lets_the_test_run(tmp_path: Path) -> None:
    run = collected(tmp_path, "req('E1', 'E2', 'E3', 'E4', 'E5', 'E6', 'E7', 'E8')")
    assert run.returncode == 0, run.stderr
    assert "2 passed" in run.stdout
