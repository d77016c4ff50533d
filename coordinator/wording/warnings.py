"""What a reviewer is told of a push beyond its own words: protected paths, what may be a secret."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.domain.cargo import LISTED, Cargo
from coordinator.wording.escape import code, one_line

NO_DRAFTS = ("**Would be a draft**, which this repository has not: a person should look at this before it counts as "
             "finished.")
"""In place of what a draft says of itself."""


def warnings(cargo: Cargo, touched: Sequence[str], planted: str = "", let: Sequence[str] = ()) -> tuple[str, ...]:
    """A paragraph each; empty where there is nothing to say. `planted` is what appeared in git while agents ran,
    `let` what a person let pass, as `reason:commit`."""
    found = []
    if touched:
        found.append(f"**Look at these first**: it changes protected files: {_listed(touched)}.")
    if cargo.doubts:
        places = [f"{one.path} line {one.line}: {one.kind}" if one.line else f"the name {one.path}: {one.kind}"
                  for one in cargo.doubts]
        found.append(f"**May be a secret**, look before merging: {_listed(places)}.")
    outward = [path for path, target in cargo.links if path in cargo.files and target.startswith(("/", ".."))]
    if outward:
        found.append(f"**Links out of the repository**: {_listed(outward)}.")
    moved = [one for one in cargo.modules if one[0] in cargo.files]
    if moved:
        found.append(f"**Submodules**, look whether others can get their commits: {modules_words(moved)}.")
    if cargo.only_here:
        found.append(f"**Only the coordinator's host has** the commits of {modules_words(cargo.only_here)}.")
    if planted:
        found.append("**Look at git on the host**: while it ran there appeared what your own git may obey and the "
                     f"coordinator does not: {code(one_line(planted, 1000), 1000)}.")
    if let:
        found.append(f"**A person let pass**: {_listed([one.replace(':', ' at ')[:60] for one in let])}.")
    return tuple(found)


def modules_words(named: Sequence[tuple[str, str]]) -> str:
    """`libs/x at 0123456789ab` of each."""
    return _listed([f"{path} at {sha[:12]}" for path, sha in named])


def paths_words(touched: Sequence[str]) -> str:
    """`.github/workflows/a.yml, CLAUDE.md and 3 more`."""
    more = f" and {len(touched) - LISTED} more" if len(touched) > LISTED else ""
    return ", ".join(one_line(path, 200) for path in touched[:LISTED]) + more


def _listed(lines: Sequence[str]) -> str:
    more = f" and {len(lines) - LISTED} more" if len(lines) > LISTED else ""
    return ", ".join(code(one_line(line, 250)) for line in lines[:LISTED]) + more
