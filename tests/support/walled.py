"""Walls for tests: whether this machine can put them up, a world with secrets around a task's worktree, and an ordinary
user."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.adapters.system import bubblewrap
from coordinator.adapters.system.run import Ran, run
from coordinator.adapters.system.walls import argv
from coordinator.domain.walls import Own, Walls
from tests.support.gitworld import PERSON, World, git, make_world

NOBODY = 65534
CANARY = "canary-4f1d9c-secret"
TASK, BRANCH, OTHER = "gh-1", "rpi/gh-1", "gh-2"


def needs_walls() -> None:
    why, cure = bubblewrap.trouble()
    if why:
        pytest.skip(f"{why} ({cure})")


@dataclass
class Field:
    """A repository with two tasks under way, and a home full of secrets, each file of which holds CANARY."""

    root: Path
    world: World
    home: Path
    secrets: tuple[Path, ...]

    @property
    def tree(self) -> Path:
        return self.world.tree(TASK)

    def walls(self, *, network: bool = True, own: Own | None = None, token: str = "t") -> Walls:
        cell = self.world.repository().wall_in(TASK, token)
        return bubblewrap.around(cell, argv=("sh",), environ=self.environ, own=own or Own(), network=network)

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), **PERSON}

    def inside(self, script: str, **how: bool) -> Ran:
        """A shell script as an agent behind the walls."""
        made = self.walls(**how)
        return run(argv(made, ("sh", "-c", script)), env=self.environ, cwd=self.tree, timeout=120)

    def let_out(self) -> None:
        self.world.repository().let_out(TASK, BRANCH, 1)

    def tip(self, branch: str = BRANCH) -> str:
        return git(self.world.checkout, "rev-parse", f"refs/heads/{branch}")


HOME = (".ssh/id_ed25519", ".gnupg/key", ".netrc", ".git-credentials", ".config/gh/hosts.yml", ".codex/auth.json",
        ".claude/.credentials.json", ".claude/projects/other/session.jsonl", ".gemini/oauth_creds.json",
        ".local/share/opencode/auth.json", ".bash_history", "notes.txt")
OURS = (".coordinator/state.db", ".coordinator/jobs/claude/gh-2.log", ".coordinator/jobs/claude/gh-1.log",
        "logs/gh-2.jsonl", "coordinator.toml", ".env", "trees/gh-2/half-done.txt", ".git/hooks/pre-commit")


def make_field(root: Path) -> Field:
    world = make_world(root)
    repo = world.repository()
    for task in (TASK, OTHER):
        repo.ensure_worktree(task, f"rpi/{task}", "main", fresh=False, attempt=1)
    home = root / "home"
    secrets = (*(home / name for name in HOME), *(world.checkout / name for name in OURS))
    for path in secrets:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{CANARY}\n")
        path.chmod(0o600)
    git(world.checkout, "config", "http.https://example.org/.extraHeader", f"Authorization: {CANARY}")
    git(world.checkout, "config", "remote.mirror.url", f"https://x:{CANARY}@example.org/widgets")
    return Field(root, world, home, (*secrets, world.checkout / ".git" / "config"))


@contextmanager
def fields() -> Iterator[Path]:
    """A folder that any user gets to: pytest's own is closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="walls-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_nobody(folder: Path, act: Callable[[], str]) -> str:
    """What `act` says, done by an ordinary user in a forked child that owns the folder; an error of its own is said
    too. As an ordinary user it is done as that."""
    if os.geteuid() != 0:
        return act()
    os.chown(folder, NOBODY, NOBODY)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        said = "it did not end"
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            said = act()
        except BaseException as error:  # noqa: BLE001 - a forked test must not go on as a test run
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode()[:60_000])
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said
