"""A worktree for a job that a person starts, wherever the person wants it. Makes what is missing, nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from coordinator.adapters.git import registry, rescue
from coordinator.adapters.git.excludes import add_excludes
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import NOTES
from coordinator.adapters.system.seam import crossing
from coordinator.ports import ForeignWorktree, GitError

_ADD = ("-c", "checkout.workers=4", "worktree", "add", "--quiet")


def add_worktree(repository: Path, path: Path, branch: str) -> None:
    """Makes `path` a worktree of the repository on `branch`: the one that is there, else a new one from its HEAD. STOP
    and BLOCKED.md are kept out of its commits. Raises ForeignWorktree, GitError; nothing is left half-made."""
    funnel = Funnel(repository, secret=None, identity={})
    place = path.parent.resolve() / path.name
    with funnel.locked():
        if funnel.ask("check-ref-format", f"refs/heads/{branch}") is None:
            raise GitError(f"{branch!r} cannot be the name of a branch")
        _refuse_elsewhere(funnel, place, branch)
        tip = _tip(funnel, f"refs/heads/{branch}")
        if not tip and not _tip(funnel, "HEAD"):
            raise GitError(f"{repository} has no commit yet to begin {branch} from: git commit there first")
        _forget_vanished(funnel, place, branch)
        made = _make_folders(place.parent)
        try:
            how = ("--", str(place), branch) if tip else ("--no-track", "-b", branch, "--", str(place), "HEAD")
            funnel.write(*_ADD, *how)
            add_excludes(funnel, [f"/{name}" for name in NOTES])
        except (GitError, OSError):
            _undo(funnel, place, branch if not tip else "", made)
            raise


def _refuse_elsewhere(funnel: Funnel, place: Path, branch: str) -> None:
    if place.is_symlink() or place.exists():
        raise ForeignWorktree(f"{place} is there and is no folder: move it away; nothing was touched")
    for other in registry.listed(funnel):
        if other.branch == branch and other.path.resolve() != place:
            gone = "" if other.path.exists() else ", which is gone: git worktree prune forgets it"
            raise ForeignWorktree(
                f"branch {branch} is checked out in {other.path}{gone or f': git -C {other.path} switch --detach'}")


def _tip(funnel: Funnel, name: str) -> str:
    return funnel.ask("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}") or ""


def _forget_vanished(funnel: Funnel, place: Path, branch: str) -> None:
    """A worktree whose folder somebody removed (/tmp is emptied when the host starts): git holds its place for it.
    Commits that only its own HEAD holds get a ref first."""
    tree = registry.registered(funnel, place)
    if tree is None:
        return
    head = Tree(tree.admin, tree.admin)
    if funnel.ask("symbolic-ref", "--quiet", "HEAD", tree=head) is None:
        sha = funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=head)
        if sha:
            rescue.keep_commit(funnel, branch.rpartition("/")[2], "vanished", sha, "its worktree was removed by hand")
    funnel.write("worktree", "remove", "--force", "--force", "--", str(place))


def _make_folders(folder: Path) -> tuple[Path, ...]:
    """Those that had to be made, the innermost first. Raises GitError."""
    missing = tuple(_missing(folder))
    for one in reversed(missing):
        try:
            with crossing("file", str(one)):
                one.mkdir(exist_ok=True)
        except OSError as error:
            raise GitError(f"{one}: {error.strerror}") from error
    if not folder.is_dir():
        raise GitError(f"{folder} is no folder")
    return missing


def _missing(folder: Path) -> Iterator[Path]:
    while not folder.exists() and folder.parent != folder:
        yield folder
        folder = folder.parent


def _undo(funnel: Funnel, place: Path, branch: str, made: tuple[Path, ...]) -> None:
    """Takes away what this call made: nothing stood at `place` before it, and a `branch` that it began has no work."""
    if registry.registered(funnel, place) is not None:
        _tried(funnel, "worktree", "remove", "--force", "--force", "--", str(place))
    if branch and _tip(funnel, f"refs/heads/{branch}"):
        _tried(funnel, "update-ref", "-d", f"refs/heads/{branch}", _tip(funnel, "HEAD"))
    with crossing("file", f"remove {place}"):
        shutil.rmtree(place, ignore_errors=True)
        for one in made:
            try:
                one.rmdir()
            except OSError:
                break   # somebody else uses it by now


def _tried(funnel: Funnel, *args: str) -> None:
    try:
        funnel.write(*args)
    except GitError:
        pass   # the first error is the one to tell
