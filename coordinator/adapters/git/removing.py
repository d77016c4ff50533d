"""Takes away a worktree that a person's job left behind, where nothing would be lost by it; else says why not."""

from __future__ import annotations

from pathlib import Path

from coordinator.adapters.git import leftovers, registry, rescue
from coordinator.adapters.git.funnel import Funnel, Tree


def remove_worktree(repository: Path, path: Path) -> str:
    """"" when it was removed, else the words for keeping it. The branch stays in any case. Raises GitError."""
    funnel = Funnel(repository, secret=None, identity={})
    place = path.parent.resolve() / path.name
    with funnel.locked():
        tree = registry.registered(funnel, place)
        if tree is None:
            return f"{repository} knows no worktree there"
        if not place.is_dir():
            return "its folder is gone already"
        registry.verified(funnel, tree)
        kept = _lost_by_it(funnel, tree)
        if not kept:
            leftovers.drop_dead_locks(tree)
            funnel.write("worktree", "remove", "--force", "--", str(place))
        return kept


def unsaved(repository: Path, path: Path) -> str:
    """What only this worktree or its branch holds, "" for nothing. Changes nothing. Raises GitError."""
    funnel = Funnel(repository, secret=None, identity={})
    tree = registry.registered(funnel, path.parent.resolve() / path.name)
    return _lost_by_it(funnel, registry.verified(funnel, tree)) if tree is not None else "no worktree of its repository"


def _lost_by_it(funnel: Funnel, tree: Tree) -> str:
    """What only this worktree or its branch holds; ""."""
    dirt = rescue.dirt(funnel, tree)
    if dirt.paths or dirt.nested:
        first = [*dirt.paths, *dirt.nested][0]
        return f"{len(dirt.paths) + len(dirt.nested)} changed or untracked files, {first} for one"
    half = leftovers.half_done(tree)
    if half:
        return f"a {half} that was begun and not ended"
    own = funnel.ask("symbolic-ref", "--quiet", "HEAD", tree=tree) or ""
    others = ["--remotes", *([f"--exclude={own.removeprefix('refs/heads/')}"] if own else []), "--branches"]
    number = int(funnel.read("rev-list", "--count", "HEAD", "--not", *others, tree=tree))   # no answer is no "none"
    return f"{number} commits that are pushed nowhere" if number else ""
