"""A worktree for a job that a person starts, wherever the person wants it."""

from __future__ import annotations

from pathlib import Path

from coordinator.adapters.git.funnel import Funnel
from coordinator.ports import GitError


def add_worktree(repository: Path, path: Path, branch: str) -> None:
    """Makes `path` a worktree of the repository on `branch`: the one that is there, else a new one from its HEAD.
    Raises GitError; nothing is left half-made."""
    funnel = Funnel(repository, secret=None, identity={})
    with funnel.locked():
        there = funnel.ask("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")
        how = ("--", str(path), branch) if there else ("-b", branch, "--", str(path), "HEAD")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GitError(f"{path.parent}: {error.strerror}") from error
        funnel.write("worktree", "add", *how)
