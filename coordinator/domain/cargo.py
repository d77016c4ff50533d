"""What the commits of a push carry: found before they go out, so that nobody has to call anything back."""

from __future__ import annotations

from dataclasses import dataclass, field

ALLOW_FILE = ".secrets-allowed"
"""In the repository's root: a pattern of paths a line (domain/patterns.py) in which nothing counts as a secret."""
LISTED = 10
"""Places named at most; the rest are counted."""


@dataclass(frozen=True)
class Spotted:
    """A place that looks like a secret, never the secret itself. `line` is that of the file as this commit has it, from
    1; 0 = the file's name."""

    path: str
    line: int
    kind: str
    commit: str

    @property
    def words(self) -> str:
        where = f"{self.path} line {self.line}" if self.line else f"the name of {self.path}"
        return f"{where} (commit {self.commit[:8]}): {self.kind}"


@dataclass(frozen=True)
class Cargo:
    """What the commit `head` brings. `secrets` have the shape of a known maker or are known values, `doubts` only look
    like one. `files` are the paths that differ from the base, both names of a renamed one; `links` (name, target) the
    symbolic links in either tree, `modules` (path, commit) the submodules that `head` has otherwise than the base,
    `only_here` those of them whose commit is on no remote; `pointers` are files of which Git LFS commits no more than a
    pointer. `unread` is "" or why not all was looked through."""

    head: str = ""
    secrets: tuple[Spotted, ...] = ()
    doubts: tuple[Spotted, ...] = ()
    files: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    modules: tuple[tuple[str, str], ...] = ()
    only_here: tuple[tuple[str, str], ...] = ()
    pointers: tuple[str, ...] = ()
    unread: str = ""

    @property
    def never(self) -> tuple[str, str] | None:
        """(reason code, words) of what keeps it here whatever the settings; None when nothing does."""
        if self.secrets:
            return "secret_found", places(self.secrets)
        return ("not_scanned", self.unread) if self.unread else None


@dataclass(frozen=True)
class Search:
    """How it is looked through: against the branch `base` ("" = the default one). `known` are secret values that nobody
    knows by their shape; what the commits `allowed` hold, and those before them, a person let pass. Not to `scan` asks
    for files alone, without those that an allowed commit has just so."""

    base: str = ""
    known: tuple[str, ...] = field(default=(), repr=False)
    allowed: tuple[str, ...] = ()
    scan: bool = True


def places(found: tuple[Spotted, ...]) -> str:
    """The first of them in words, the rest counted."""
    more = f"; and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return "; ".join(one.words for one in found[:LISTED]) + more
