"""The program as a process of its own in a repository, and what a command left changed on the disk."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def environ(home: Path, **more: str) -> dict[str, str]:
    """An environment without tokens: PATH, a home of its own, this checkout's code."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG")}
    return {**kept, "HOME": str(home), "COLUMNS": "100", "PYTHONPATH": str(CHECKOUT), **more}


def program(root: Path, *argv: str, python: str = sys.executable, **more: str) -> subprocess.CompletedProcess[str]:
    """`coordinator ARGV` in `root`; `more` goes into its environment."""
    return subprocess.run([python, "-m", "coordinator", *argv], cwd=root, env=environ(root.parent, **more), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=150, check=False)  # fmt: skip


def a_repository(root: Path, remote: str = "https://github.com/acme/widgets.git") -> Path:
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    subprocess.run(["git", "-C", str(root), "remote", "add", "origin", remote], check=True)
    return root


def tree(root: Path) -> dict[str, str]:
    """Every path below, git's own included, with a digest of what it holds: equal trees, nothing changed. The empty
    file that our git calls lock says nothing."""
    found = (path for path in sorted(root.rglob("*")) if path.name != "coordinator.lock")
    return {str(path.relative_to(root)): _held(path) for path in found}


def _held(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
