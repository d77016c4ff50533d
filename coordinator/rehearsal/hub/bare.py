"""The bare repositories behind the stand-in: every git call it makes on them, in one place.

Merges are really done, in a throw-away worktree, so that conflicts are conflicts. No git newer than
what old distributions ship is needed, and nobody's global git configuration is read.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOOK = """#!/bin/sh
while read -r old new ref; do
  while read -r pattern; do
    case "$ref" in
      refs/heads/$pattern)
        echo "error: GH006: Protected branch update failed for $ref." >&2
        echo "error: Changes must be made through a pull request." >&2
        exit 1 ;;
    esac
  done < protected-branches
done
"""


class Conflict(Exception):
    """The head cannot be brought onto the base without a person."""


@dataclass(frozen=True)
class Identity:
    name: str
    email: str
    at: int

    def environment(self) -> dict[str, str]:
        stamp = f"@{self.at} +0000"
        return {
            "GIT_AUTHOR_NAME": self.name,
            "GIT_AUTHOR_EMAIL": self.email,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": "GitHub",
            "GIT_COMMITTER_EMAIL": "noreply@github.com",
            "GIT_COMMITTER_DATE": stamp,
        }


def environment() -> dict[str, str]:
    """What git may see of our surroundings: the search path and nothing that a user configured."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def git(where: Path, *arguments: str, extra: Mapping[str, str] | None = None, check: bool = True) -> str:
    """Run git in `where`; its output without the last newline, '' when it failed and `check` is off."""
    done = subprocess.run(
        ["git", "-C", str(where), *arguments],
        env={**environment(), **(extra or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace").rstrip("\n")
    if check:
        raise RuntimeError(f"git {' '.join(arguments)} failed: {done.stderr.decode('utf-8', 'replace')}")
    return ""


def create(bare: Path, files: Mapping[str, str], branch: str, by: Identity) -> None:
    """A bare repository whose `branch` holds one commit with these files (path -> text)."""
    bare.mkdir(parents=True)
    git(bare, "init", "-q", "--bare", ".")
    git(bare, "symbolic-ref", "HEAD", f"refs/heads/{branch}")
    with tempfile.TemporaryDirectory(dir=bare.parent) as name:
        tree = Path(name)
        git(tree, "init", "-q", ".")
        for path, text in files.items():
            target = tree / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "--allow-empty", "-m", "Initial commit", extra=by.environment())
        git(tree, "push", "-q", str(bare), f"HEAD:refs/heads/{branch}")
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(HOOK, encoding="utf-8")
    hook.chmod(0o755)
    protect(bare, [])


def fork(source: Path, target: Path) -> None:
    """A second bare repository with the same branches and its own, open, protection list."""
    target.parent.mkdir(parents=True, exist_ok=True)
    git(source, "clone", "-q", "--bare", ".", str(target))
    protect(target, [])


def protect(bare: Path, patterns: list[str]) -> None:
    (bare / "protected-branches").write_text("".join(f"{one}\n" for one in patterns), encoding="utf-8")


def protected(bare: Path) -> list[str]:
    return (bare / "protected-branches").read_text(encoding="utf-8").split("\n")[:-1]


def resolve(bare: Path, name: str) -> str | None:
    """The commit a full ref name or object id means, or None."""
    return git(bare, "rev-parse", "-q", "--verify", f"{name}^{{commit}}", check=False) or None


def branch(bare: Path, name: str) -> str | None:
    return resolve(bare, f"refs/heads/{name}") if name else None


def refs(bare: Path, prefix: str) -> dict[str, str]:
    """Full ref name -> object id, for all refs that begin with `prefix`."""
    listing = git(bare, "for-each-ref", "--format=%(refname) %(objectname)")
    pairs = (line.split(" ", 1) for line in listing.splitlines())
    return {name: sha for name, sha in pairs if name.startswith(prefix)}


def set_ref(bare: Path, ref: str, sha: str, old: str = "") -> None:
    git(bare, "update-ref", ref, sha, *([old] if old else []))


def delete_ref(bare: Path, ref: str) -> None:
    git(bare, "update-ref", "-d", ref)


def bring(bare: Path, source: Path, sha: str, ref: str) -> None:
    """Keep `sha` of another repository (or our own) under `ref`, as GitHub does with refs/pull/N/head."""
    if source != bare:
        git(bare, "fetch", "-q", str(source), sha)
    set_ref(bare, ref, sha)


def ancestor(bare: Path, older: str, newer: str) -> bool:
    return git(bare, "merge-base", older, newer, check=False) == older


def messages(bare: Path, old: str, new: str) -> list[tuple[str, str]]:
    """(commit, message) of what `new` has and `old` has not, oldest first."""
    text = git(bare, "log", "--reverse", "--format=%H%n%B%x00", f"{old}..{new}", check=False)
    entries = (part.strip("\n") for part in text.split("\0"))
    return [(part[:40], part[41:]) for part in entries if part]


@dataclass(frozen=True)
class Size:
    commits: int
    additions: int
    deletions: int
    files: int


def size(bare: Path, base: str, head: str) -> Size:
    """How big the change from the merge base to `head` is."""
    commits = int(git(bare, "rev-list", "--count", f"{base}..{head}", check=False) or 0)
    line = git(bare, "diff", "--shortstat", f"{base}...{head}", check=False)
    found = {word: int(number) for number, word in re.findall(r"(\d+) (file|insertion|deletion)", line)}
    return Size(commits, found.get("insertion", 0), found.get("deletion", 0), found.get("file", 0))


@dataclass(frozen=True)
class Commit:
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, str]
    committer: tuple[str, str, str]
    message: str


def commit(bare: Path, sha: str) -> Commit:
    """What a commit says of itself; dates are ISO 8601."""
    stamp = "%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI"
    fields = git(bare, "show", "-s", f"--format=%T%x00%P%x00{stamp}%x00%B", sha).split("\0", 8)
    author, committer = (fields[2], fields[3], fields[4]), (fields[5], fields[6], fields[7])
    return Commit(fields[0], tuple(fields[1].split()), author, committer, fields[8].strip("\n"))


def merge(bare: Path, base: str, head: str, *, method: str, message: str, by: Identity) -> str:
    """The commit that merging `head` into `base` gives; no ref is moved. Raises Conflict."""
    steps = {
        "merge": [["merge", "-q", "--no-ff", "-m", message, head]],
        "squash": [["merge", "-q", "--squash", head], ["commit", "-q", "--allow-empty", "-m", message]],
        "rebase": [["cherry-pick", "--allow-empty", f"{base}..{head}"]],
    }[method]
    with _checkout(bare, base) as tree:
        try:
            for step in steps:
                git(tree, *step, extra=_identity_for(method, by))
        except RuntimeError as error:
            raise Conflict(str(error)) from error
        return git(tree, "rev-parse", "HEAD")


def write(bare: Path, parent: str, files: Mapping[str, str], message: str, by: Identity) -> str:
    """A commit on top of `parent` with these files (path -> text); no ref is moved."""
    with _checkout(bare, parent) as tree:
        for path, text in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text, encoding="utf-8")
        git(tree, "add", "-A")
        git(tree, "commit", "-q", "--allow-empty", "-m", message, extra=by.environment())
        return git(tree, "rev-parse", "HEAD")


@contextmanager
def _checkout(bare: Path, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=bare.parent) as name:
        tree = Path(name) / "tree"
        git(bare, "worktree", "add", "-q", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git(bare, "worktree", "remove", "--force", str(tree))


def _identity_for(method: str, by: Identity) -> dict[str, str]:
    """Cherry-picks keep their authors: git takes GIT_AUTHOR_* only where it makes a new message."""
    known = by.environment()
    if method == "rebase":
        return {name: value for name, value in known.items() if "COMMITTER" in name}
    return known
