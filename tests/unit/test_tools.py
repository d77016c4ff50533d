"""The shims in tools/: any python3, any folder of the repository, and a word when no interpreter is found."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def installed(root: Path, name: str) -> Path:
    """The shim in a repository of its own, as `coordinator init` puts it there."""
    (root / "tools").mkdir(parents=True)
    shim = root / "tools" / name
    shim.write_bytes((TOOLS / name).read_bytes())
    return shim


def fake_python(path: Path) -> Path:
    """Stands for the interpreter: prints how it was called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\necho "$0" "$@"\n')
    path.chmod(0o755)
    return path


def called(shim: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", shim, *args], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["status.py", "view_worker.py"])
def test_a_shim_can_be_run_and_is_plain_enough_for_an_old_python(name: str) -> None:
    text = (TOOLS / name).read_text()
    assert text.startswith("#!/usr/bin/env python3\n")
    assert os.access(TOOLS / name, os.X_OK)
    ast.parse(text, feature_version=(3, 8))


@pytest.mark.req("E58")
@pytest.mark.parametrize(("name", "args", "command"), [
    ("status.py", ("--all",), "-m coordinator status --summary --all"),
    ("view_worker.py", ("471", "--detailed"), "-m coordinator view 471 --detailed"),
])
def test_a_shim_finds_its_interpreter_from_any_folder(tmp_path: Path, name: str, args: tuple[str, ...],
                                                      command: str) -> None:
    shim = installed(tmp_path / "with space", name)
    deep = tmp_path / "with space" / "a" / "b"
    deep.mkdir(parents=True)
    python = fake_python(tmp_path / "with space" / ".venv" / "bin" / "python")
    assert called(shim, deep, *args).stdout == f"{python} {command}\n"
    assert called(shim, tmp_path, *args).stdout == f"{python} {command}\n"


def test_the_interpreter_named_by_init_comes_first(tmp_path: Path) -> None:
    shim = installed(tmp_path, "status.py")
    fake_python(tmp_path / ".venv" / "bin" / "python")
    named = fake_python(tmp_path / "elsewhere" / "python")
    (tmp_path / ".coordinator").mkdir()
    (tmp_path / ".coordinator" / "python").write_text(f"{named}\n")
    assert called(shim, tmp_path).stdout.startswith(f"{named} ")


def test_without_an_interpreter_the_shim_says_what_to_do(tmp_path: Path) -> None:
    done = called(installed(tmp_path, "status.py"), tmp_path)
    assert done.returncode == 1
    assert "coordinator init" in done.stderr
