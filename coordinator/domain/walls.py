"""What a worker on this host may reach, and the git that it works with behind its walls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    """A git directory of a task's own, `git`: its refs, its new objects, a configuration without secrets. Of the
    repository it sees `objects`, to read. `admin` is the worktree's own git directory there; a worker sees it at
    `place`, which is where the worktree `tree` looks for it. `hides` are folders of the repository that show nothing
    else; `door` is a folder for the socket to a proxy."""

    tree: Path
    git: Path
    admin: Path
    place: Path
    objects: tuple[Path, ...]
    door: Path
    hides: tuple[Path, ...]


@dataclass(frozen=True)
class Own:
    """What an agent needs of its home behind walls: `folders` it finds empty and fills for itself, `read` is shown in
    them, `write` are its logins, which it renews in place. Nothing else in there outlives a run: a hook or a server
    that a worker writes into its settings would be started outside at the next occasion."""

    folders: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    write: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Walls:
    """All that is there for a worker; what is not named is absent. Deeper places lie over the folders around them.

    `write` and `read` are seen where they stand, `swap` is (what stands, where it is seen), to be written. `empty` are
    folders of its own that go with it, `hidden` files and `closed` folders within `read` that show nothing. `links` are
    (what it says, where it stands). `proxy` is host:port where there is no network but by it: then `python` runs the
    relay and `door` is the folder that both its sides see. `program` is bubblewrap's own, `cwd` where the worker
    starts. `environ` is set over its environment, `without` taken out of it."""

    program: str
    cwd: Path
    write: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    swap: tuple[tuple[Path, Path], ...] = ()
    empty: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    closed: tuple[Path, ...] = ()
    links: tuple[tuple[str, Path], ...] = ()
    network: bool = True
    proxy: str = ""
    door: Path = Path()
    python: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
