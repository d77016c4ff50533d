"""A bare remote, a person's checkout of it, and the repository under test: real git, nothing faked."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from coordinator.adapters.git.repository import GitRepository

PERSON = {
    "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
}
NO_CHECKOUT = r"""set -e
tree=$(printf '040000 tree %s\t.git\n' $(git rev-parse 'HEAD^{tree}') | git mktree)
evil=$(git commit-tree $tree -p HEAD -m evil)
git update-ref HEAD $(git commit-tree 'HEAD^{tree}' -p $evil -m good)
"""
"""A shell script that leaves the branch with a commit of a folder `.git`, and one above it that looks well."""
IDENTITY = {"name": "Bot", "email": "bot@example.org"}


def git(cwd: Path, *args: str, ok: bool = True) -> str:
    """git as a person or an agent runs it: nothing hardened."""
    env = {"PATH": os.environ["PATH"], "HOME": str(cwd), **PERSON}
    ran = subprocess.run(["git", *args], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 or not ok, ran.stderr
    return ran.stdout.strip()


@dataclass(frozen=True)
class World:
    """`checkout` is the managed repository, `person` another clone of the same remote."""

    remote: Path
    checkout: Path
    person: Path

    def repository(self, **options: object) -> GitRepository:
        return GitRepository(self.checkout, **{"identity": IDENTITY, "default_branch": "main", **options})

    def tree(self, task: str = "gh-1") -> Path:
        return self.checkout / "trees" / task

    def refs(self, prefix: str = "refs/coordinator/rescue/") -> dict[str, str]:
        lines = git(self.checkout, "for-each-ref", "--format=%(refname) %(objectname)", prefix).splitlines()
        return dict(line.split(" ") for line in lines)

    def advance(self, name: str = "more.txt", branch: str = "main") -> str:
        """A person pushes one more commit; its sha."""
        commit(self.person, name, "more\n")
        git(self.person, "push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return git(self.person, "rev-parse", "HEAD")


def commit(folder: Path, name: str, text: str, message: str = "work") -> str:
    (folder / name).write_text(text)
    git(folder, "add", "-A", "--", name)
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def make_world(folder: Path, *, remote_name: str = "origin", depth: int = 0) -> World:
    world = World(folder / "remote.git", folder / "checkout", folder / "person")
    git(folder, "init", "-q", "--bare", "-b", "main", str(world.remote))
    git(folder, "clone", "-q", str(world.remote), str(world.person))
    git(world.person, "checkout", "-q", "-b", "main")
    for number in range(3):
        commit(world.person, "file.txt", f"line {number}\n", f"commit {number}")
    git(world.person, "push", "-q", "origin", "main")
    deep = [f"--depth={depth}"] if depth else []
    git(folder, "clone", "-q", "-o", remote_name, *deep, f"file://{world.remote}", str(world.checkout))
    return world
