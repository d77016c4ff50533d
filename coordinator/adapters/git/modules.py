"""Submodules: a commit may name one of theirs that only this host has, and whoever gets it cannot check it out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from coordinator.adapters.git import cells, odd, registry
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import inside

Named = tuple[str, str]
"""(path of the submodule, the commit that is named there)."""
LIMIT = 100
"""How many are asked about, with the repository held: a commit may name any number."""


def only_here(funnel: Funnel, named: Sequence[Named]) -> tuple[Named, ...]:
    """Of the first LIMIT those that a checkout of the submodule here has, and no branch of a remote that it knows of.
    Of one that is checked out nowhere nothing is known. Raises GitError."""
    if not named:
        return ()
    roots = [funnel.root, *(tree.path for tree in registry.all_trees(funnel) if registry.mark(tree)[0])]
    return tuple(one for one in named[:LIMIT] if _is_only_here(funnel, roots, *one))


def _is_only_here(funnel: Funnel, roots: Sequence[Path], path: str, sha: str) -> bool:
    checkouts = _checkouts(funnel, roots, path)
    having = [one for one in checkouts if funnel.ask("cat-file", "-t", sha, tree=one) == "commit"]
    found = ("for-each-ref", "--count=1", f"--contains={sha}", "--format=%(refname)", "refs/remotes/")
    return bool(having) and not any(funnel.ask(*found, tree=one) for one in having)


def _checkouts(funnel: Funnel, roots: Sequence[Path], path: str) -> Iterator[Tree]:
    """Those of this submodule below the `roots` whose git directory is where git itself puts it, in the repository's
    own. One that lies elsewhere may be a walled worker's making: git is not asked there."""
    for root in roots:
        place = root / path
        folder = registry.pointed(place)
        if inside(place, root) and folder is not None and folder.is_dir() and inside(folder, funnel.common) \
                and not inside(folder, funnel.common / cells.FOLDER):
            odd.refuse(folder)
            yield Tree(place, folder)
