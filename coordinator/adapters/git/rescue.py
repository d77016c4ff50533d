"""Nothing is lost: what is about to be discarded gets a commit and a ref of its own first.

A rescue is built beside the worktree with a temporary index, so neither files nor index are touched.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from coordinator.adapters.git import odd
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import NOTES, RESCUE, rescue_prefix, safe_name
from coordinator.adapters.git.reading import REMOTES
from coordinator.ports import GitError
from coordinator.runfiles.gitsafe import STATUS_ARGS

SHOWN = 5
"""Paths that a message names."""


@dataclass(frozen=True)
class Dirt:
    """What `git status` shows, notes left out. `nested` are repositories inside the worktree: never committed."""

    paths: tuple[str, ...]
    nested: tuple[str, ...]


def dirt(funnel: Funnel, tree: Tree) -> Dirt:
    """Changed and untracked paths, ignored ones left out, as git names them (any character but NUL)."""
    odd.remove_from(tree.path)
    out = funnel.read("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", *STATUS_ARGS,
                      tree=tree)
    names = [entry[3:] for entry in out.split("\0") if len(entry) > 3]
    paths = tuple(name for name in names if name not in NOTES and not name.endswith("/"))
    return Dirt(paths, tuple(name for name in names if name.endswith("/")))


def stage(funnel: Funnel, tree: Tree, paths: Iterable[str], env: dict[str, str] | None = None, *,
          stays: bool = False) -> None:
    """Puts the paths, deletions included, into the index that `env` names. Git takes none that is neither there nor in
    the index: what an agent removed by `git rm` is out of both. Those that no commit can hold are noted where the
    worktree `stays` as it is. Raises GitError for one where it does not: it would be lost."""
    named: list[str] = []
    left: list[str] = []
    for name in paths:
        (named if _fits_a_commit(tree.path / name) else left).append(name)
    if left:
        words = f"{tree.path}: git takes no commit of {', '.join(left[:SHOWN])}"
        words += f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        if not stays:
            raise GitError(f"{words}, and it is nowhere else: move it away, make it readable or delete it, then try"
                           " again")
        funnel.notes.append(f"{words}: it lies there uncommitted")
    gone = {name for name in named if not os.path.lexists(tree.path / name)}
    lost = gone - _listing(funnel, tree, env, "--deleted") if gone else set()
    listing = "\0".join(name for name in named if name not in lost)
    if listing:
        funnel.write("--literal-pathspecs", "add", "-A", "-f", "--sparse", "--pathspec-from-file=-",
                     "--pathspec-file-nul", tree=tree, stdin=listing, env=env)


def _fits_a_commit(path: Path) -> bool:
    """Git takes files that it can read, links, and what is gone; a folder in the place of a file, where no repository
    is: its files are named by themselves."""
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    if stat.S_ISDIR(mode):
        return not os.path.lexists(path / ".git")
    return stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and os.access(path, os.R_OK))


def keep_work(funnel: Funnel, tree: Tree, task_id: str, label: str, why: str, *, stays: bool = False) -> str | None:
    """Uncommitted work of the tree on top of its HEAD, to a ref; None when there is none that a commit can hold. With
    an unborn HEAD the commit has no parent. `stays` as in stage."""
    paths = dirt(funnel, tree).paths
    if not paths:
        return None
    head = funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=tree) or ""
    made = snapshot(funnel, tree, paths, stays=stays)
    if head and made == funnel.read("rev-parse", f"{head}^{{tree}}").strip():
        return None
    return keep(funnel, task_id, label, made, head, why)


def keep_unfinished(funnel: Funnel, tree: Tree, task_id: str, label: str, why: str) -> str | None:
    """The same for a worktree that is to go and may have no index yet: a file that is not there was not checked
    out, so only what differs from HEAD counts. Raises GitError when a repository of its own stands in it."""
    if (tree.admin / "index").is_file():
        refuse_nested(tree.path, dirt(funnel, tree).nested)
        return keep_work(funnel, tree, task_id, label, why)
    head = funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=tree) or ""
    with tempfile.TemporaryDirectory(prefix="coordinator-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        funnel.write("read-tree", head or "--empty", tree=tree, env=env)
        shown = _listing(funnel, tree, env, "--modified", "--others", "--exclude-standard")
        paths = sorted(shown - _listing(funnel, tree, env, "--deleted"))
        refuse_nested(tree.path, [name for name in paths if name.endswith("/")])
        if not paths:
            return None
        stage(funnel, tree, paths, env)
        sha = funnel.write("write-tree", tree=tree, env=env).strip()
    return keep(funnel, task_id, label, sha, head, why)


def _listing(funnel: Funnel, tree: Tree, env: dict[str, str] | None, *which: str) -> set[str]:
    return {name for name in funnel.read("ls-files", "-z", *which, tree=tree, env=env).split("\0") if name}


def snapshot(funnel: Funnel, tree: Tree, paths: Iterable[str], *, stays: bool = False) -> str:
    """The sha of a tree object: the worktree's index with `paths` as they are on the disk. `stays` as in stage."""
    with tempfile.TemporaryDirectory(prefix="coordinator-index-") as folder:
        index = Path(folder) / "index"
        if (tree.admin / "index").is_file():
            shutil.copyfile(tree.admin / "index", index)
        env = {"GIT_INDEX_FILE": str(index)}
        stage(funnel, tree, paths, env, stays=stays)
        return funnel.write("write-tree", tree=tree, env=env).strip()


def on_top(funnel: Funnel, tree: Tree, head: str, paths: Iterable[str]) -> str:
    """The sha of a tree object: that of a commit with `paths` as they are on the disk, whatever the index says."""
    with tempfile.TemporaryDirectory(prefix="coordinator-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        funnel.write("read-tree", head, tree=tree, env=env)
        stage(funnel, tree, paths, env)
        return funnel.write("write-tree", tree=tree, env=env).strip()


def keep_orphan(funnel: Funnel, path: Path, task_id: str, label: str) -> str | None:
    """The files of a folder whose git directory is lost: there is no HEAD, so the commit has no parent. Raises
    GitError when a repository of its own stands in it."""
    tree = Tree(path, funnel.common)
    with tempfile.TemporaryDirectory(prefix="coordinator-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        listing = funnel.read("ls-files", "--others", "--exclude-standard", "-z", tree=tree, env=env)
        paths = [name for name in listing.split("\0") if name]
        refuse_nested(path, [name for name in paths if name.endswith("/")])
        if not paths:
            return None
        stage(funnel, tree, paths, env)
        sha = funnel.write("write-tree", tree=tree, env=env).strip()
    return keep(funnel, task_id, label, sha, "", f"files of {path.name}, whose git directory was lost")


def refuse_nested(path: Path, nested: Sequence[str]) -> None:
    """Raises GitError when a folder that is to go holds a repository: its commits may be nowhere else."""
    if nested:
        raise GitError(f"{path} holds a repository of its own at {nested[0]}: its commits may be nowhere else."
                       f" Move it away or delete it, then try again")


def keep_commit(funnel: Funnel, task_id: str, label: str, sha: str, why: str) -> str | None:
    """A ref for a commit that is neither on the remote nor rescued; None when it already is."""
    if is_kept(funnel, sha):
        return None
    return keep(funnel, task_id, label, f"{sha}^{{tree}}", sha, why)


def is_kept(funnel: Funnel, sha: str) -> bool:
    """Whether the remote, as last fetched, or a rescue ref contains the commit."""
    return bool(funnel.read("for-each-ref", "--count=1", f"--contains={sha}", "--format=%(refname)", REMOTES, RESCUE))


def keep(funnel: Funnel, task_id: str, label: str, tree_sha: str, parent: str, why: str) -> str:
    """Makes the rescue commit, dated now (expiry counts from it), and its ref; a taken name gets a number."""
    tree_sha = funnel.read("rev-parse", "--verify", tree_sha).strip()
    parents = ("-p", parent) if parent else ()
    sha = funnel.write("commit-tree", tree_sha, *parents, "-m", f"rescue {safe_name(task_id)}: {why}",
                       env=funnel.identity()).strip()
    for number in range(1, 1000):
        ref = rescue_prefix(task_id) + (label if number == 1 else f"{label}-{number}")
        held = funnel.ask("rev-parse", "--verify", "--quiet", ref)
        if held and funnel.ask("diff-tree", "--quiet", held, sha) is not None and _parents(funnel, held) == parent:
            return ref
        if not held:
            funnel.write("update-ref", ref, sha, "0" * len(sha))
            return ref
    raise AssertionError("a thousand rescues of one attempt")


def _parents(funnel: Funnel, sha: str) -> str:
    return funnel.read("rev-list", "--parents", "-n1", sha).strip().partition(" ")[2]


def rescues(funnel: Funnel) -> tuple[tuple[str, datetime], ...]:
    """(ref, when it was made), oldest first."""
    out = funnel.read("for-each-ref", "--sort=committerdate", "--format=%(committerdate:unix) %(refname)", RESCUE)
    pairs = [line.split(" ", 1) for line in out.splitlines()]
    return tuple((ref, datetime.fromtimestamp(int(at), UTC)) for at, ref in pairs if at)


def expire(funnel: Funnel, older_than: datetime, keep_tasks: Collection[str]) -> tuple[str, ...]:
    """Deletes rescue refs made before `older_than` but those of `keep_tasks`; the refs that went."""
    kept = tuple(rescue_prefix(task_id) for task_id in keep_tasks)
    old = [ref for ref, at in rescues(funnel) if at < older_than and not ref.startswith(kept)]
    for ref in old:
        funnel.write("update-ref", "-d", ref)
    return tuple(old)
