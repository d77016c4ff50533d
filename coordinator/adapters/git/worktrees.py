"""One worktree a task: made, reused, repaired or refused, whatever stands there; and removed, never with loss."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from coordinator.adapters.git import leftovers, reading, registry, rescue
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import inside
from coordinator.adapters.system.seam import crossing
from coordinator.ports import ForeignWorktree, GitError
from coordinator.runfiles import atomic

_CHECKOUT = ("-c", "checkout.workers=4")


class Wanted:
    """What ensure_worktree was asked for, and the notes gathered on the way."""

    def __init__(self, *, task_id: str, branch: str, base: str, start: str, fresh: bool, attempt: int) -> None:
        self.task_id = task_id
        self.branch = branch
        self.ref = f"refs/heads/{branch}"
        self.base = base
        self.start = start
        self.fresh = fresh
        self.label = str(attempt)
        self.notes: list[str] = []

    def rescued(self, ref: str | None, what: str) -> None:
        if ref:
            self.notes.append(f"{what} rescued to {ref}")


def ensure(funnel: Funnel, root: Path, path: Path, wanted: Wanted) -> tuple[Tree, bool]:
    """The ready worktree, and whether it was there before. Raises ForeignWorktree, GitError."""
    _refuse_elsewhere(funnel, path, wanted)
    tree = registry.registered(funnel, path)
    if tree and not _finished(tree):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        _rescue_unfinished(funnel, root, tree, wanted)
        funnel.write("worktree", "remove", "--force", "--force", "--", str(path))
        wanted.notes.append(f"forgot the registration of {path}: its folder was missing or never finished")
        tree = None
    if tree is None and path.exists():
        tree = _met(funnel, root, path, wanted)
    if tree is None:
        return _make(funnel, path, wanted), False
    _put_back_link(tree, wanted)
    registry.verified(funnel, tree)
    wanted.notes += leftovers.drop_dead_locks(tree)
    ours = registry.mark(tree)[0] != ""
    _bring_back(funnel, tree, wanted)
    _catch_up(funnel, tree, wanted)
    _sign(tree, wanted)
    return tree, ours


def _refuse_elsewhere(funnel: Funnel, path: Path, wanted: Wanted) -> None:
    for other in registry.listed(funnel):
        moved_here = not other.path.exists() and registry.repairable(path)
        if other.branch == wanted.branch and other.path.resolve() != path and not moved_here:
            raise ForeignWorktree(
                f"branch {wanted.branch} is checked out in {other.path}: switch to another branch there"
                f" (git -C {other.path} switch --detach), or remove that worktree; nothing was changed")


def _put_back_link(tree: Tree, wanted: Wanted) -> None:
    """A deleted `.git` file comes back; `git worktree repair` would do so for every worktree, a person's too."""
    link = tree.path / ".git"
    if not link.exists() and not link.is_symlink():
        with crossing("file", ".git"):
            atomic.write(str(link), os.fsencode(f"gitdir: {tree.admin}\n"), 0o644)
        wanted.notes.append(f"put back the .git file of {tree.path}")


def _finished(tree: Tree) -> bool:
    """False when the folder is gone, or `git worktree add` was killed half-way, or a worker would have us think so:
    the file that tells is within its reach."""
    locked = tree.admin / "locked"
    begun = locked.is_file() and locked.read_text("utf-8", "replace").strip() == "initializing"
    return not begun and tree.path.is_dir() and any(tree.path.iterdir())


def _rescue_unfinished(funnel: Funnel, root: Path, tree: Tree, wanted: Wanted) -> None:
    """Whatever such a worktree holds: git's word that no worker was in it may be a worker's."""
    why = "in a worktree that was never finished"
    if not tree.path.is_dir():
        wanted.rescued(_keep_head(funnel, tree, wanted.task_id, wanted.label, why), "commits")
    elif not all((tree.admin / name).exists() for name in ("commondir", "HEAD")):
        wanted.rescued(rescue.keep_orphan(funnel, tree.path, wanted.task_id, wanted.label), "files")
        remove_folder(tree.path, root)   # git would refuse to: such a folder is no worktree to it
    else:
        _put_back_link(tree, wanted)
        registry.verified(funnel, tree)
        wanted.rescued(rescue.keep_unfinished(funnel, tree, wanted.task_id, wanted.label, why), "uncommitted work")
        wanted.rescued(_keep_head(funnel, tree, wanted.task_id, wanted.label, why), "commits")


def _keep_head(funnel: Funnel, tree: Tree, task_id: str, label: str, why: str) -> str | None:
    """Commits that only the worktree's own HEAD holds; its folder may be gone."""
    sha = funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=Tree(tree.admin, tree.admin))
    return rescue.keep_commit(funnel, task_id, label, sha, why) if sha else None


def _met(funnel: Funnel, root: Path, path: Path, wanted: Wanted) -> Tree | None:
    """A folder git knows nothing of: used when empty, repaired or rescued when it was ours, else refused."""
    if path.is_dir() and not any(path.iterdir()):
        return None
    if not path.is_dir() or not registry.of_this_repository(funnel, path):
        raise ForeignWorktree(
            f"{path} is there and is no worktree of this repository: move it away, then try again; nothing was touched")
    if registry.repairable(path):
        funnel.write("worktree", "repair", str(path))
        wanted.notes.append(f"repaired the registration of {path}")
        return registry.registered(funnel, path)
    wanted.rescued(rescue.keep_orphan(funnel, path, wanted.task_id, wanted.label), f"the files of {path}")
    remove_folder(path, root)
    wanted.notes.append(f"{path} was a worktree git had forgotten: made anew")
    return None


def _make(funnel: Funnel, path: Path, wanted: Wanted) -> Tree:
    path.parent.mkdir(parents=True, exist_ok=True)
    tip = reading.resolve(funnel, wanted.ref)
    if tip and wanted.fresh:
        wanted.rescued(rescue.keep_commit(funnel, wanted.task_id, wanted.label, tip, "begun anew"),
                       f"commits of {wanted.branch}")
    if not tip:
        how = ["--no-track", "-b", wanted.branch, "--", str(path), wanted.start]
    elif wanted.fresh:
        how = ["--no-track", "-B", wanted.branch, "--", str(path), wanted.start]
    else:
        _forward(funnel, wanted, tip)
        how = ["--", str(path), wanted.branch]
    funnel.write(*_CHECKOUT, "worktree", "add", "--quiet", *how)
    tree = registry.registered(funnel, path)
    if tree is None:
        raise GitError(f"git made no worktree at {path}, though it said so")
    _sign(tree, wanted)
    return tree


def _forward(funnel: Funnel, wanted: Wanted, tip: str) -> None:
    """The branch as the remote has it, where that only adds to ours (a person pushed on top)."""
    if _adds(funnel, wanted, tip):
        funnel.write("update-ref", wanted.ref, wanted.start, tip)
        wanted.notes.append(f"{wanted.branch} moved on to the remote's {wanted.start[:8]}")


def _adds(funnel: Funnel, wanted: Wanted, tip: str) -> bool:
    return wanted.start not in (tip, wanted.base) and reading.is_ancestor(funnel, tip, wanted.start)


def _catch_up(funnel: Funnel, tree: Tree, wanted: Wanted) -> None:
    """The same for a worktree that stands: files move along, uncommitted work stays. Where it is in the way, the
    worktree stays behind and the push will say so."""
    tip = reading.resolve(funnel, wanted.ref)
    if not tip or not _adds(funnel, wanted, tip):
        return
    try:
        funnel.write(*_CHECKOUT, "reset", "--quiet", "--keep", wanted.start, tree=tree)
        wanted.notes.append(f"{wanted.branch} moved on to the remote's {wanted.start[:8]}")
    except GitError as error:
        wanted.notes.append(f"{wanted.branch} stays behind the remote's {wanted.start[:8]}: {error.words}")


def _bring_back(funnel: Funnel, tree: Tree, wanted: Wanted) -> None:
    """A worktree on its branch is left as it is, uncommitted work included; anything else is rescued first."""
    on = funnel.ask("symbolic-ref", "--quiet", "HEAD", tree=tree) or ""
    head = funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=tree) or ""
    half = leftovers.half_done(tree)
    if on == wanted.ref and head and not half and not wanted.fresh:
        return
    why = f"half-done {half}" if half else "begun anew" if wanted.fresh else f"HEAD was {on or head[:12] or 'unborn'}"
    wanted.notes.append(f"{tree.path}: {why}; set back to {wanted.branch}")
    save(funnel, tree, wanted, head, why)
    tip = reading.resolve(funnel, wanted.ref)
    if tip and wanted.fresh:
        kept = rescue.keep_commit(funnel, wanted.task_id, wanted.label, tip, why)
        wanted.rescued(kept, f"commits of {wanted.branch}")
    leftovers.forget_half_done(tree)
    if wanted.fresh or not tip:
        funnel.write("update-ref", wanted.ref, wanted.start)
    funnel.write("symbolic-ref", "HEAD", wanted.ref, tree=tree)
    funnel.write(*_CHECKOUT, "reset", "--quiet", "--hard", tree=tree)
    funnel.write("clean", "--quiet", "-f", "-d", tree=tree)


def save(funnel: Funnel, tree: Tree, wanted: Wanted, head: str, why: str) -> None:
    """Both kinds of what could be lost: uncommitted work, and commits that only HEAD holds."""
    wanted.rescued(rescue.keep_work(funnel, tree, wanted.task_id, wanted.label, why), "uncommitted work")
    if head:
        wanted.rescued(rescue.keep_commit(funnel, wanted.task_id, wanted.label, head, why), "commits")


def _sign(tree: Tree, wanted: Wanted) -> None:
    mark = tree.admin / registry.MARK
    if registry.mark(tree) != (wanted.task_id, wanted.branch):
        with crossing("file", mark.name):
            atomic.write(str(mark), registry.marking(wanted.task_id, wanted.branch).encode("ascii"), 0o644)


def remove(funnel: Funnel, root: Path, path: Path, task_id: str) -> None:
    """Takes the worktree away after a rescue; one that a person removed already is only forgotten."""
    if not inside(path, root):
        raise GitError(f"{path} is not below {root}: not removed")
    tree = registry.registered(funnel, path)
    if tree and path.exists():
        registry.verified(funnel, tree)
        leftovers.drop_dead_locks(tree)
        _rescue_all(funnel, tree, task_id)
    elif tree:
        _keep_head(funnel, tree, task_id, "removed", "unpushed when the worktree was removed")
    if tree:
        funnel.write("worktree", "remove", "--force", "--force", "--", str(path))
    elif path.exists():
        _remove_unregistered(funnel, root, path, task_id)
    if path.parent != root.resolve() and path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()   # the task's own folder, where the worktree lies below it


def _rescue_all(funnel: Funnel, tree: Tree, task_id: str) -> None:
    rescue.refuse_nested(tree.path, rescue.dirt(funnel, tree).nested)
    rescue.keep_work(funnel, tree, task_id, "removed", "uncommitted when the worktree was removed")
    branch = registry.mark(tree)[1]
    for name in ("HEAD", f"refs/heads/{branch}"):
        sha = funnel.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", tree=tree)
        if sha:
            rescue.keep_commit(funnel, task_id, "tip", sha, "unpushed when the worktree was removed")


def _remove_unregistered(funnel: Funnel, root: Path, path: Path, task_id: str) -> None:
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()
        return
    if not path.is_dir() or not registry.of_this_repository(funnel, path):
        raise GitError(f"{path} is no worktree of this repository: not removed")
    rescue.keep_orphan(funnel, path, task_id, "removed")
    remove_folder(path, root)


def remove_folder(path: Path, root: Path) -> None:
    """rmtree behind the guard. Raises GitError for a path that is not strictly below the root, or a link."""
    if path.is_symlink() or not inside(path, root):
        raise GitError(f"{path} is not below {root}: not removed")
    with crossing("file", path.name):
        shutil.rmtree(path)
