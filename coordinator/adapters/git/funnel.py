"""The one way to git: hardened argv and environment, one operation at a time, errors cut and masked.

Everything in the repository's own configuration counts as written by a worker. No other file of this room may
start git for a write.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.adapters.git import odd
from coordinator.adapters.git.leftovers import drop_dead_lock, lock_named
from coordinator.adapters.system.run import Ran, run
from coordinator.adapters.system.seam import crossing
from coordinator.adapters.system.surroundings import GIT, needed
from coordinator.ports import GitError
from coordinator.runfiles.gitsafe import DRIVERS_QUERY, HARDENED_ARGS, driver_env, hardened_env
from coordinator.runfiles.lock import Busy, Lock
from coordinator.runfiles.masking import Masker

TIMEOUT = 600.0
PATIENCE = 900.0
"""Seconds another process may hold the repository: longer than the slowest call, which is a fetch."""
WORDS = 600
NONE_CONFIGURED = 1
"""How `git config --get-regexp` ends when no key matches."""

_guard = threading.Lock()
_locks: dict[Path, threading.RLock] = {}


def around(environ: Mapping[str, str]) -> dict[str, str]:
    """What git, and the programs below it, get of this environment."""
    return needed(environ, GIT)


class Funnel:
    """Git calls in one repository. `root` is its checkout, `git_dir` that checkout's own, `common` the shared one."""

    def __init__(self, root: Path, *, secret: Callable[[], str] | None, identity: Mapping[str, str]) -> None:
        self.root = root.absolute()
        self.secret = secret
        self._identity = dict(identity)
        self._env = hardened_env(around(os.environ))
        self._depth = threading.local()
        self.notes: list[str] = []
        """What was put right on the way, for people; whoever tells them takes it."""
        odd.refuse(self.root / ".git")
        self.git_dir = Path(self._ask("--absolute-git-dir"))
        self.common = Path(self._ask("--path-format=absolute", "--git-common-dir")).resolve()
        with _guard:
            self._threads = _locks.setdefault(self.common, threading.RLock())

    def _ask(self, *args: str) -> str:
        ran = run(["git", *HARDENED_ARGS, "rev-parse", *args], env=self._env, cwd=self.root, timeout=TIMEOUT)
        return self.judged(ran, "rev-parse").strip()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One operation at a time in this repository, among threads and processes; may be entered again. Raises
        GitError where git would wait for what lies in the place of a file."""
        with self._threads:
            depth = getattr(self._depth, "value", 0)
            self._depth.value = depth + 1
            try:
                if depth:
                    yield
                else:
                    with Lock(str(self.common / "coordinator.lock"), PATIENCE):
                        odd.refuse(self.common)
                        yield
            except Busy as error:
                raise GitError(f"{error}: another git operation of the coordinator hangs") from error
            finally:
                self._depth.value = depth

    def read(self, *args: str, tree: Tree | None = None, env: Mapping[str, str] | None = None) -> str:
        """The output of a git command that changes nothing. Raises GitError."""
        return self.judged(self.call(args, tree=tree, env=env), args[0])

    def ask(self, *args: str, tree: Tree | None = None) -> str | None:
        """The same, stripped, None when git says no: for questions whose answer may be "there is none"."""
        ran = self.call(args, tree=tree)
        return ran.out.strip() if ran.ok else None

    def write(self, *args: str, tree: Tree | None = None, stdin: str | int = "",
              env: Mapping[str, str] | None = None) -> str:
        """A git command that changes something, through the crossing. A lock that a dead process left in its way goes.
        Raises GitBusy while a living one holds it, GitError."""
        what = next(word for word in args if not word.startswith("-") and "=" not in word)
        with crossing("git", what):
            ran = self.call(args, tree=tree, stdin=stdin, env=env)
            lock = lock_named(ran.err, self.common) if not ran.ok else None
            if lock is not None:
                self.notes.append(drop_dead_lock(lock, self.common))
                ran = self.call(args, tree=tree, stdin=stdin, env=env)
            return self.judged(ran, what)

    def call(self, args: Sequence[str], *, tree: Tree | None = None, stdin: str | int = "",
             env: Mapping[str, str] | None = None) -> Ran:
        """Runs git on the repository, or on a worktree by its own git directory: what a `.git` file says is
        never followed."""
        where = [f"--git-dir={tree.admin}", f"--work-tree={tree.path}"] if tree else [f"--git-dir={self.common}"]
        cwd = tree.path if tree else self.common
        listing = run(["git", *HARDENED_ARGS, *where, *DRIVERS_QUERY], env=self._env, cwd=cwd, timeout=TIMEOUT)
        if listing.code not in (0, NONE_CONFIGURED):
            return listing   # what would run cannot be known, so nothing is run
        full = {**self._env, **driver_env(listing.out), **(env or {})}
        return run(["git", *HARDENED_ARGS, *where, *args], env=full, cwd=cwd, stdin=stdin, timeout=TIMEOUT)

    def judged(self, ran: Ran, what: str) -> str:
        """Its output. Raises GitError with git's own words when it failed."""
        if not ran.ok:
            raise GitError(f"git {what}: {self.words(ran.err or ran.out) or f'exit {ran.code}'}")
        return ran.out

    def words(self, text: str) -> str:
        """What git said, without hints and secrets, short enough for a comment."""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("hint:")]
        known = [self.secret()] if self.secret else []
        said = Masker(known).text("\n".join(lines))
        said = said.encode("utf-8", "replace").decode("utf-8")
        return said if len(said) <= WORDS else "…" + said[-WORDS:]

    def identity(self) -> dict[str, str]:
        """The author for commits of ours: the repository's or operator's own, else the given one."""
        if self.ask("config", "user.name") and self.ask("config", "user.email"):
            return {}
        name = self._identity.get("name", "Coordinator")
        email = self._identity.get("email", "coordinator@localhost")
        return {"GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email,
                "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email}

    def base_env(self) -> dict[str, str]:
        return dict(self._env)


class Tree:
    """A worktree by its two ends: the folder, and its own git directory inside the repository."""

    __slots__ = ("admin", "path")

    def __init__(self, path: Path, admin: Path) -> None:
        self.path = path
        self.admin = admin
