"""Which worktrees git knows, and whether what stands on the disk is what git thinks it is. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.ports import GitError

MARK = "coordinator"
"""A file in the worktree's own git directory: task id and branch, a line each. It makes the worktree ours."""


@dataclass(frozen=True)
class Listed:
    """One entry of `git worktree list`; `branch` is "" when HEAD is detached, `lock` None when not locked."""

    path: Path
    branch: str
    lock: str | None


def listed(funnel: Funnel) -> tuple[Listed, ...]:
    """All worktrees, the main checkout first, bare or not."""
    entries = []
    for block in funnel.read("worktree", "list", "--porcelain", "-z").split("\0\0"):
        facts = dict(line.partition(" ")[::2] for line in block.split("\0") if line)
        if "worktree" in facts:
            branch = facts.get("branch", "").removeprefix("refs/heads/")
            entries.append(Listed(Path(facts["worktree"]), branch, facts.get("locked")))
    return tuple(entries)


def registered(funnel: Funnel, path: Path) -> Tree | None:
    """The worktree that git has at this real path, whatever the folder's own `.git` file says."""
    for admin in _admins(funnel):
        recorded = _recorded(admin)
        if recorded is not None and recorded.parent.resolve() == path:
            return Tree(path, admin)
    return None


def _recorded(admin: Path) -> Path | None:
    """The `.git` file that git noted for it; with `worktree.useRelativePaths` seen from its own git directory."""
    line = _line(admin / "gitdir")
    return admin / line if line else None


def verified(funnel: Funnel, tree: Tree) -> Tree:
    """The same, once both ends agree. Raises GitError when somebody pointed one of them elsewhere."""
    link = pointed(tree.path)
    if link is None or link != tree.admin:
        raise GitError(
            f"{tree.path}/.git was changed: it names {link or 'no git directory'} instead of {tree.admin}. Nothing"
            f" of it was used. To mend it: git worktree repair {tree.path}")
    common = _line(tree.admin / "commondir")
    if (tree.admin / common).resolve() != funnel.common:
        raise GitError(f"{tree.admin}/commondir was changed: it names {common!r}. Nothing of it was used")
    return tree


def pointed(path: Path) -> Path | None:
    """The git directory that the folder's `.git` file names; None when it is no such file."""
    link = path / ".git"
    if link.is_symlink() or not link.is_file():
        return None
    text = _line(link)
    return (path / text.removeprefix("gitdir: ")).resolve() if text.startswith("gitdir: ") else None


def of_this_repository(funnel: Funnel, path: Path) -> bool:
    """Whether an unregistered folder was a worktree of this repository: its `.git` file points into ours."""
    link = pointed(path)
    return link is not None and link.parent == funnel.common / "worktrees"


def repairable(path: Path) -> bool:
    """Whether git still has the folder's records and only knows another, vanished place for it."""
    admin = pointed(path)
    recorded = _recorded(admin) if admin else None
    return recorded is not None and not recorded.exists()


def mark(tree: Tree) -> tuple[str, str]:
    """(task id, branch) as we noted them; empty strings when the worktree is not ours."""
    lines = [*_read(tree.admin / MARK).split("\n"), "", ""]
    return unquote(lines[0], errors="surrogatepass"), unquote(lines[1], errors="surrogatepass")


def marking(task_id: str, branch: str) -> str:
    """The text of such a mark: quoted, since a task id may hold any character."""
    return "".join(quote(word, errors="surrogatepass") + "\n" for word in (task_id, branch))


def all_trees(funnel: Funnel) -> tuple[Tree, ...]:
    """Every linked worktree git knows, by real path; the folder may be missing."""
    known = ((recorded.parent, admin) for admin in _admins(funnel) if (recorded := _recorded(admin)) is not None)
    return tuple(Tree(path.resolve(), admin) for path, admin in known)


def _admins(funnel: Funnel) -> list[Path]:
    folder = funnel.common / "worktrees"
    return sorted(one for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []


def _line(path: Path) -> str:
    return _read(path).rstrip("\n")


def _read(path: Path) -> str:
    """At most 8 KiB of a regular file, "" when it is none: the folder is within a worker's reach."""
    if path.is_symlink() or not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(8192).decode("utf-8", "surrogateescape")
