"""What refs and commits say, read with GitPython: one closed Repo a call, in a hardened environment.

It reads the shared git directory only, never a worktree's `.git` file, and writes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice, pairwise

# Importing GitPython must not fail where git is missing: `doctor` is there to say so.
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

import git

from coordinator.adapters.git.funnel import Funnel
from coordinator.ports import GitError
from coordinator.runfiles.gitsafe import HARDENED_ARGS

REMOTES = "refs/remotes"


class _Refs(git.Repo):
    """Reads no configuration: the repository's is a worker's to write, and GitPython would follow its includes, and
    fail on some."""

    def _config_reader(self, config_level: object = None, git_dir: object = None) -> git.GitConfigParser:
        del config_level, git_dir
        return git.GitConfigParser([], read_only=True)


@contextmanager
def opened(funnel: Funnel) -> Iterator[git.Repo]:
    """The repository for reading. Any failure inside becomes a GitError."""
    try:
        with _Refs(funnel.common, search_parent_directories=False) as repo:
            env = funnel.base_env()   # GitPython puts it over all of ours, and can empty a variable but not take it out
            others = [name for name in os.environ if name not in env and not name.startswith("GIT_")]
            repo.git.update_environment(**dict.fromkeys(others, ""), **env)
            settings = [value for name, value in pairwise(HARDENED_ARGS) if name == "-c"]
            repo.git.set_persistent_git_options(c=settings)
            yield repo
    except (git.exc.GitError, ValueError, OSError) as error:
        raise GitError(funnel.words(str(error))) from error


def resolve(funnel: Funnel, ref: str) -> str:
    """The sha a full ref name stands for, "" when there is none."""
    with opened(funnel) as repo:
        try:
            return str(git.SymbolicReference.dereference_recursive(repo, ref))
        except ValueError:
            return ""


def is_ancestor(funnel: Funnel, old: str, new: str) -> bool:
    """Whether `new` contains `old`; False where one of them is not known here."""
    if not old or not new:
        return False
    if old == new:
        return True
    with opened(funnel) as repo:
        try:
            return bool(repo.is_ancestor(git.Commit(repo, bytes.fromhex(old)), git.Commit(repo, bytes.fromhex(new))))
        except git.exc.GitCommandError as error:
            if error.status == 128:   # an object that is not here: not fetched, or beyond a shallow clone's edge
                return False
            raise


def count(funnel: Funnel, base: str, head: str) -> int:
    """Commits of `head` that are not in `base`."""
    with opened(funnel) as repo:
        return int(repo.git.rev_list("--count", f"{base}..{head}", "--"))


_CLOSING = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)[\s:]{1,5}"
                      r"(?:[\w.-]{1,100}/[\w.-]{1,100})?#\d{1,9}\b", re.IGNORECASE)


def _closing(message: str) -> str:
    below = message.partition("\n")[2]
    words = dict.fromkeys(" ".join(found.split()) for found in _CLOSING.findall(below[:20_000]))
    return f" [{', '.join(list(words)[:5])}]" if words else ""


def subjects(funnel: Funnel, base: str, head: str, limit: int) -> tuple[str, ...]:
    """One line a commit that is in `head` and not in `base`, oldest first; the newest `limit` of them. Words below
    the subject that would close an issue at the merge are shown too."""
    with opened(funnel) as repo:
        newest = islice(repo.iter_commits(f"{base}..{head}", topo_order=True), limit)
        lines = [f"{commit.hexsha[:8]} {str(commit.summary)[:200]}{_closing(str(commit.message))}" for commit in newest]
    return tuple(reversed(lines))
