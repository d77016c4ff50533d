"""Programs of an ordinary user. As root nothing hides from root, so a test that is root makes itself a user without
rights; one that is none already is that user itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
USER = 54321 if os.geteuid() == 0 else os.geteuid()
"""No entry in passwd is needed: files and processes carry the number."""
_INSTALLED = "import alembic, apprise, apscheduler, git, github, psutil, sqlalchemy, typer"


def as_user() -> dict[str, Any]:
    """For subprocess: who it runs as."""
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


def paths() -> str:
    """This checkout and what is installed beside it, for PYTHONPATH."""
    return os.pathsep.join(dict.fromkeys([str(CHECKOUT), *(one for one in sys.path if one.endswith("-packages"))]))


@cache
def python() -> str:
    """An interpreter of our version that this user may run, with all that is installed; the test is skipped where the
    one there is lies behind a closed door."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    usual = (f"/usr/bin/{name}", f"/usr/local/bin/{name}", shutil.which(name) or "")
    for one in (os.path.realpath(sys.executable), *usual):
        if one and _serves(one):
            return one
    pytest.skip(f"no {name} that user {USER} may run: install one in /usr/bin, or run the tests as an ordinary user")


def _serves(one: str) -> bool:
    try:
        return subprocess.run([one, "-c", _INSTALLED], env={"PYTHONPATH": paths()}, cwd="/", capture_output=True,
                              check=False, **as_user()).returncode == 0
    except OSError:
        return False


@contextmanager
def a_home() -> Iterator[Path]:
    """A folder that this user can reach, which pytest's own are not; what is made in it is handed over by `give`."""
    folder = Path(tempfile.mkdtemp(prefix="coordinator-ordinary-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def give(folder: Path) -> None:
    """All of it is the user's from now on."""
    if os.geteuid() == 0:
        for one in (folder, *folder.rglob("*")):
            os.chown(one, USER, USER, follow_symlinks=False)


def run(*argv: str, env: Mapping[str, str], cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """A program of this user, to its end."""
    return subprocess.run(argv, env={"PATH": os.environ["PATH"], "PYTHONPATH": paths(), **env}, cwd=cwd, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False,
                          **as_user(), **more)  # fmt: skip
