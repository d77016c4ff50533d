"""Submodules: a commit may name one of theirs that only this host has, and whoever gets it cannot check it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.adapters.git import odd, registry
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import inside

Named = tuple[str, str]
"""(path of the submodule, the commit that is named there)."""


def only_here(funnel: Funnel, named: Sequence[Named]) -> tuple[Named, ...]:
    """Those that a checkout of the submodule here has, and no branch of a remote that it knows of. Of one that is
    checked out nowhere nothing is known. Raises GitError."""
    return tuple(one for one in named if _is_only_here(funnel, *one))


def _is_only_here(funnel: Funnel, path: str, sha: str) -> bool:
    having = [one for one in _checkouts(funnel, path) if funnel.ask("cat-file", "-t", sha, tree=one) == "commit"]
    found = ("for-each-ref", "--count=1", f"--contains={sha}", "--format=%(refname)", "refs/remotes/")
    return bool(having) and not any(funnel.ask(*found, tree=one) for one in having)


def _checkouts(funnel: Funnel, path: str) -> Iterator[Tree]:
    """Those of this submodule, in our worktrees and in the checkout. A worker may have led one elsewhere: outside the
    repository none is looked at."""
    for root in (funnel.root, *(tree.path for tree in registry.all_trees(funnel) if registry.mark(tree)[0])):
        place = root / path
        folder = (place / ".git") if (place / ".git").is_dir() else registry.pointed(place)
        if inside(place, root) and folder is not None and folder.is_dir() and (
                inside(folder, root) or inside(folder, funnel.common)):
            odd.refuse(folder)
            yield Tree(place, folder)
