"""What stands behind a worker's walls on this host: the system, the agent's program with what it is started by, its own
folders. Whether bubblewrap can put such walls up is tried, not guessed. Writes nothing."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from time import monotonic

from coordinator.adapters.system import walls as lines
from coordinator.adapters.system.installed import Needs, links_to, stands
from coordinator.adapters.system.run import run
from coordinator.domain.walls import Cell, Own, Walls

INSTALL = "apt install bubblewrap"
OFF = 'sandbox = "off" under [workers] in coordinator.toml, where you trust what agents do'
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "etc", "opt", "nix", "snap")
TEMPORARY = "/tmp"   # noqa: S108 - a worker's own
EMPTY = (TEMPORARY, "/var/tmp", "/run")   # noqa: S108 - likewise
RUNTIME = "XDG_RUNTIME_DIR"
NOTHING = Own()
_PROXY, _NEAR = f"http://127.0.0.1:{lines.PORT}", "localhost,127.0.0.1,::1"
_PROXIED = {**{name: _PROXY for word in ("http_proxy", "https_proxy", "all_proxy") for name in (word, word.upper())},
            "no_proxy": _NEAR, "NO_PROXY": _NEAR}
_SECRETIVE = (Path("/etc"), Path("/usr/local/etc"), Path("/opt"))
HOLDS = 60.0
"""Seconds that what is closed in such a folder is known: with a million files it takes ten to find out."""
_looking = threading.Lock()
_looked: dict[Path, tuple[float, list[tuple[Path, bool]]]] = {}
_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
)
"""What forbids user namespaces on a host, and what lets them be: Ubuntu, Debian, any."""


def program() -> str:
    """Where bubblewrap is; ""."""
    return shutil.which("bwrap") or ""


@cache
def trouble(*, network: bool = True) -> tuple[str, str]:
    """(why no walls can be put up here, what to do), ("", "") where they can. A program is really run behind them, once
    in the life of this process."""
    at = program()
    if not at:
        return "bubblewrap is not installed", INSTALL
    bare = Walls(at, Path("/"), read=tuple(_system()[0]), links=tuple(_system()[1]), network=network)
    ran = run(lines.argv(bare, ("/bin/sh", "-c", ":")), env={"PATH": os.defpath}, cwd=Path("/"), timeout=20)
    if ran.ok:
        return "", ""
    said = " ".join((ran.err or ran.out).split())[-300:] or f"exit {ran.code}"
    return f"bubblewrap cannot put up walls here: {said}", _cure()


def _cure() -> str:
    for name, value, cure in _SWITCHES:
        try:
            if Path("/proc/sys", name).read_text("ascii").strip() == value:
                return cure
        except OSError:
            continue
    return f"let this host or container make user namespaces and mount /proc, or write {OFF}"


def around(cell: Cell, *, argv: Sequence[str], environ: Mapping[str, str], own: Own = NOTHING,
           read: Iterable[Path] = (), write: Iterable[Path] = (), secret: Iterable[Path] = (), network: bool = True,
           proxy: str = "") -> Walls:
    """The walls for a program in a cell: `read` and `write` are shown besides what `argv` and PATH need, `secret` files
    and folders wherever they lie are not. What is not there is left out. `proxy` is host:port, the one way out that
    there is then."""
    home = Path(environ.get("HOME") or "/nonexistent").resolve()
    python = os.path.realpath(sys.executable) if proxy else ""
    folders, links = _system()
    private = (*map(Path, EMPTY), *cell.hides, *(_real(path) for path in own.folders))
    empty = private if home == Path("/") else (*private, home)
    needs = Needs([path for path in folders if path not in _SECRETIVE], forbidden=(*empty, cell.tree, cell.git))
    for name in filter(None, (argv[0], python)):
        needs.program(name, environ)
    needs.path(environ)
    for path in (*own.read, *read, *_resolver()):
        needs.place(path)
    tree, writable = cell.tree.resolve(), [path for path in (*own.write, *write) if stands(path)]
    opened = (tree, cell.git, *(path.resolve() for path in writable))
    shown = (*folders, *needs.found)
    ways = [way for path in (cell.tree, *own.folders, *writable) for way in links_to(path)]
    ways += links_to(Path(environ.get("HOME") or "/"))
    covered = [path for path, ours in _covered(shown) if not _within(path, opened if ours else (*opened, *needs.found))]
    covered += _alone(secret, (*shown, *opened), (tree, *needs.found))
    covered = [path for path in dict.fromkeys(covered) if os.access(path, os.R_OK) or os.access(path, os.X_OK)]
    closed = tuple(path for path in covered if path.is_dir())
    return Walls(
        program(), tree, write=opened, read=(*shown, tree / ".git", *cell.objects),
        swap=((cell.admin, cell.place),), empty=empty,
        links=(*links, *(way for way in (*needs.links, *ways)
                         if _deepest(way[1].parent, (*shown, *opened)) <= _deepest(way[1].parent, (*empty, *closed)))),
        hidden=tuple(path for path in covered if path.is_file()), closed=closed,
        network=network, proxy=proxy, door=cell.door, python=python,
        environ={"IS_SANDBOX": "1", "TMPDIR": TEMPORARY, **(_PROXIED if proxy else {})}, without=(RUNTIME,),
    )


def for_git(cell: Cell, out: Path) -> Walls:
    """The walls for git alone, which may write to `out` besides: what a worker made of its cell is read in there."""
    environ = {"PATH": os.environ.get("PATH", os.defpath)}
    return around(cell, argv=("git",), environ=environ, write=(out,), network=False)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _within(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _system() -> tuple[list[Path], list[tuple[str, Path]]]:
    """(folders, links) that a program of this system is started with."""
    folders: list[Path] = []
    links: list[tuple[str, Path]] = []
    for name in SYSTEM:
        place = Path("/", name)
        if place.is_symlink():
            links.append((str(place.readlink()), place))
        elif place.is_dir():
            folders.append(place)
    return folders, links


def _resolver() -> Iterator[Path]:
    """Where names of hosts are looked up, on systems that keep it among what only lives as long as they run."""
    real = Path("/etc/resolv.conf").resolve()
    if real.is_file() and not real.is_relative_to("/etc"):
        yield real


def _deepest(path: Path, folders: Iterable[Path]) -> int:
    """How deep the innermost of the folders around a path lies."""
    return max((len(folder.parts) for folder in folders if path.is_relative_to(folder)), default=0)


def _alone(secret: Iterable[Path], seen: Sequence[Path], needed: Sequence[Path]) -> Iterator[Path]:
    """Of what is secret and would be seen, the folder that it lies in: what is renamed into its place while a worker
    runs would show. The file itself where others need the folder."""
    for path in map(_real, secret):
        if stands(path) and _within(path, seen):
            folder = path if path.is_dir() else path.parent
            shared = folder.parent in (Path("/"), Path("/usr")) or folder in seen or _within(folder, needed)
            yield path if shared else folder


def _covered(shown: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
    """What lies where others than the system keep things and is not for everybody: as root, and as who keeps secrets
    there, a worker would read it. (place, True) is a repository that a coordinator works in, whoever may read it.
    Where such a folder is a link to what is not shown, nothing is there to be covered."""
    for top in dict.fromkeys(map(_real, _SECRETIVE)):
        if _within(top, shown):
            yield from _lately(top)


def _lately(top: Path) -> list[tuple[Path, bool]]:
    with _looking:   # who comes meanwhile would look for the same
        until, found = _looked.get(top, (0.0, []))
        if monotonic() >= until:
            found = list(_found(top))
            _looked[top] = monotonic() + HOLDS, found
        return found


def _found(top: Path) -> Iterator[tuple[Path, bool]]:
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        if here != top and _managed(here, folders, files):
            folders.clear()
            yield here, True
            continue
        for name in list(folders):
            if _closed(here / name, 0o001):
                folders.remove(name)
                yield here / name, False
        yield from ((here / name, False) for name in files if _closed(here / name, 0o004))


def _closed(path: Path, to_all: int) -> bool:
    """Whether a folder or regular file is not for everybody."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and not mode & to_all


def _managed(here: Path, folders: Sequence[str], files: Sequence[str]) -> bool:
    """A checkout with our files, a repository that we took the lock of, a worktree with our mark. What is closed to us
    is none of ours."""
    try:
        if ".git" in files:
            return (_pointed(here / ".git") / "coordinator").is_file()
        common = here / ".git" if ".git" in folders else here
        return ".coordinator" in folders or (common / "coordinator.lock").is_file()
    except OSError:
        return False


def _pointed(link: Path) -> Path:
    if not link.is_file():
        return link
    try:
        with link.open("rb") as file:
            said = os.fsdecode(file.read(4096)).removeprefix("gitdir: ").rstrip("\n")
    except OSError:
        return link
    return link.parent / said
