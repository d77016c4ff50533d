"""A worker's own git behind its walls, and the way of its work out of it.

The repository's git directory is not shown to it: it gets one of its own, with the refs as they are, a configuration
without addresses that hold secrets, and room for new objects. What it did there comes home as a bundle that git makes
behind the same walls, so that no link planted in there leads anywhere; from then on it is handled like a parcel from
another host.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from coordinator.adapters.git import commits, parcels
from coordinator.adapters.git.funnel import TIMEOUT, Funnel, Tree
from coordinator.adapters.git.naming import safe_name
from coordinator.adapters.system import bubblewrap, walls
from coordinator.adapters.system.run import TIMED_OUT, Ran, run
from coordinator.adapters.system.seam import crossing
from coordinator.domain.parcel import Inbound
from coordinator.domain.remains import WALLED, Remain
from coordinator.domain.walls import Cell, Walls
from coordinator.ports import GitBusy, GitError
from coordinator.runfiles import atomic
from coordinator.runfiles.emptying import remove_all, size_of
from coordinator.runfiles.gitsafe import HARDENED_ARGS, hardened_env
from coordinator.runfiles.names import make_folder

FOLDER = "coordinator-walls"
_LEFT = ".left-"
PATIENCE = 30.0
"""Seconds that git may think about a question behind the walls, where a worker may have made it wait for ever. Each
time that the work is asked for anew it is twice as long: a host may be slow."""
TRIES = 4
_WAITED = "waited"
"""A byte for each time that no answer came."""
_READY = "ready"
"""Written last: the token of the attempt that the cell is for, and the commit it began with, a line each."""
_KEPT = re.compile(
    r"core\.(autocrlf|eol|safecrlf|filemode|symlinks|ignorecase|precomposeunicode|quotepath|abbrev)"
    r"|(user|author|committer)\.(name|email)|filter\..+|merge\.(conflictstyle|[^\n]+\.driver)|pull\.(rebase|ff)|remote\.[^\n]+\.fetch",
    re.IGNORECASE)
_BARE = "[core]\n\tbare = true\n"
"""The cell has no checkout of its own. Where worktrees have settings of their own it must not be theirs as well."""
_ADDRESS = re.compile(r"remote\.[^\n]+\.url", re.IGNORECASE)
_COPIED = ("index", "sharedindex.*", "config.worktree", "ORIG_HEAD", "logs/HEAD", "info/sparse-checkout")


def make(funnel: Funnel, tree: Tree, task_id: str, token: str) -> Cell:
    """The cell of this attempt: made once, met again as it is. One that an earlier attempt left and that could not be
    taken in stands aside. Raises GitError, OSError."""
    home, cell = _home(funnel, task_id), _cell(funnel, tree, task_id)
    ready = _ready(home)
    if ready and ready[0] == token:
        return cell
    head = commits.head_of(funnel, tree)
    if not head:
        raise GitError(f"{tree.path} stands on no commit")
    with crossing("file", f"cell of {task_id}"):
        _stand_aside(funnel, home, ready)
        make_folder(str(home.parent))
        _furnish(funnel, tree, cell)
        atomic.write(str(home / _READY), f"{token}\n{head}\n".encode("ascii"))
    return cell


def standing(funnel: Funnel, task_id: str) -> str:
    """The token of the attempt whose cell it is; "" without a cell."""
    return (_ready(_home(funnel, task_id)) or [""])[0]


def told(funnel: Funnel, tree: Tree, task_id: str, branch: str, token: str) -> Inbound | None:
    """What was done in that attempt's cell, packed; None without a cell. It lasts as long as a worker's git makes it
    last: nobody should hold the repository meanwhile. Raises GitBusy the first few times that git gives no answer,
    GitError."""
    home = _home(funnel, task_id)
    ready = _ready(home)
    if not token or not ready:
        return None
    _refuse_other(ready[0], token, task_id)
    out = home / "out"
    with crossing("file", f"bundle of {task_id}"):
        remove_all(str(out))
        make_folder(str(out))
        waited = len(atomic.read(str(home / _WAITED), TRIES) or b"")
        try:
            return _told(_within(_cell(funnel, tree, task_id), out), out / "bundle", branch, ready[1],
                         PATIENCE * 2**min(waited, TRIES - 1))
        except _NoAnswer as error:
            if waited + 1 >= TRIES:
                raise
            atomic.write(str(home / _WAITED), b"." * (waited + 1))
            raise GitBusy(f"{error.words}, and a host that is slow: it is asked again, for longer") from error


def take_in(funnel: Funnel, tree: Tree, task_id: str, branch: str, inbound: Inbound | None, attempt: int,
            token: str) -> None:
    """What was told of that attempt's cell becomes the worktree's and its branch's; the files lie as they are, the cell
    goes. Nothing without a cell; done again, it changes nothing more. Raises GitBusy where another attempt has begun
    since, GitError."""
    _refuse_other(standing(funnel, task_id), token if inbound else "", task_id)
    if inbound is not None:
        parcels.settle(funnel, tree, task_id, branch, inbound, attempt)
    home = _home(funnel, task_id)
    if home.exists():
        with crossing("file", f"cell of {task_id}"):
            _remove(funnel, home)


def put_aside(funnel: Funnel, task_id: str, token: str) -> None:
    """What of that attempt could not be taken in, before its worktree goes. Raises GitBusy where another has begun."""
    now, home = standing(funnel, task_id), _home(funnel, task_id)
    if now:
        _refuse_other(now, token, task_id)
    if home.exists():
        with crossing("file", f"cell of {task_id}"):
            _stand_aside(funnel, home, _ready(home))


def left(funnel: Funnel, drop: Collection[str]) -> tuple[Remain, ...]:
    """The cells that stand aside, by their folders; those of `drop` are removed. Raises OSError."""
    found = []
    for home in sorted((funnel.common / FOLDER).glob(f"*{_LEFT}*")):
        if str(home) in drop:
            with crossing("file", f"cell {home.name}"):
                _remove(funnel, home)
            continue
        at = datetime.fromtimestamp(home.stat().st_mtime, UTC)
        found.append(Remain(WALLED, str(home), home.name.partition(_LEFT)[0], at, newest=True, size=size_of(str(home))))
    return tuple(found)


def _stand_aside(funnel: Funnel, home: Path, ready: list[str]) -> None:
    """One that was never whole holds nothing."""
    if ready:
        home.rename(home.with_name(f"{home.name}{_LEFT}{ready[0][:8]}"))
    _remove(funnel, home)


def _refuse_other(now: str, token: str, task_id: str) -> None:
    """What was begun on the cell of one attempt must not end on that of the next, whose worker may be alive."""
    if now != token:
        raise GitBusy(f"the cell of {task_id} was taken over by another attempt meanwhile: it is left alone")


def _home(funnel: Funnel, task_id: str) -> Path:
    return funnel.common / FOLDER / safe_name(task_id)


def _cell(funnel: Funnel, tree: Tree, task_id: str) -> Cell:
    home = _home(funnel, task_id)
    modules = tree.admin / "modules"   # where submodules of a worktree keep their git
    shown = (*_objects(funnel.common / "objects"), *([modules] if modules.is_dir() else []))
    return Cell(tree.path, home / "git", home / "admin", tree.admin, shown, home / "door",
                (funnel.root.resolve(), funnel.common))


def _objects(folder: Path) -> Iterator[Path]:
    """Where the repository's objects lie, those that it borrows from others too."""
    waiting, seen = [folder.resolve()], set[Path]()
    while waiting:
        at = waiting.pop()
        if at in seen or at.name != "objects" or not at.is_dir():
            continue
        seen.add(at)
        yield at
        lines = (atomic.read(str(at / "info" / "alternates"), 1 << 16) or b"").decode("utf-8", "surrogateescape")
        waiting += [(at / line).resolve() for line in lines.splitlines() if line and not line.startswith("#")]


def _ready(home: Path) -> list[str]:
    """[token, commit] of a cell that is whole; []."""
    lines = (atomic.read(str(home / _READY), 4096) or b"").decode("ascii", "replace").splitlines()
    return lines if len(lines) == 2 else []


def _furnish(funnel: Funnel, tree: Tree, cell: Cell) -> None:
    for folder in ("objects/info", "objects/pack", "refs/heads", "info"):
        (cell.git / folder).mkdir(mode=0o700, parents=True)
    (cell.admin / "logs").mkdir(mode=0o700, parents=True)
    cell.door.mkdir(mode=0o700)
    refs = funnel.read("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/remotes", "refs/tags")
    sparse = (tree.admin / "config.worktree").is_file()
    texts = {
        cell.git / "HEAD": "ref: refs/heads/main\n",
        cell.git / "config": _configuration(funnel, sparse=sparse),
        cell.git / "config.worktree": _BARE,
        cell.git / "packed-refs": refs,
        cell.git / "objects" / "info" / "alternates": "".join(f"{path}\n" for path in cell.objects[:1]),
        cell.admin / "HEAD": _head(funnel, tree),
        cell.admin / "commondir": f"{cell.git}\n",
        cell.admin / "gitdir": f"{tree.path / '.git'}\n",
    }
    for path, text in texts.items():
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for name in ("info/exclude", "info/attributes", "shallow"):
        _copy(funnel.common / name, cell.git / name)
    for pattern in _COPIED:
        for path in tree.admin.glob(pattern):
            _copy(path, cell.admin / path.relative_to(tree.admin))


def _copy(source: Path, target: Path) -> None:
    """A regular file, no link: an earlier worker may have put one there."""
    if source.is_file() and not source.is_symlink():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _head(funnel: Funnel, tree: Tree) -> str:
    on = funnel.ask("symbolic-ref", "--quiet", "HEAD", tree=tree)
    return f"ref: {on}\n" if on else f"{commits.head_of(funnel, tree)}\n"


def _configuration(funnel: Funnel, *, sparse: bool) -> str:
    """What git does with files and commits, by whomever it was set; no address that may hold a password, no helper."""
    kind = funnel.ask("rev-parse", "--show-object-format") or "sha1"
    lines = ["[core]\n\trepositoryformatversion = 1\n\tlogAllRefUpdates = true\n",
             f"[gc]\n\tauto = 0\n[extensions]\n\tobjectFormat = {kind}\n",
             "\tworktreeConfig = true\n" if sparse else _BARE]
    for entry in funnel.read("config", "--null", "--list").split("\0"):
        key, has_value, value = entry.partition("\n")
        plain = value.startswith(("http://", "https://")) and "@" not in value
        if has_value and (_KEPT.fullmatch(key) or (_ADDRESS.fullmatch(key) and plain)):
            lines.append(_line(key, value))
    return "".join(lines)


def _line(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    below, _, name = rest.rpartition(".")
    return f"[{section}{_quoted(below, ' ')}]\n\t{name} ={_quoted(value, ' ')}\n"


def _quoted(text: str, before: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{before}"{escaped}"' if text else ""


# --- the way out --------------------------------------------------------------------------------------


def _within(cell: Cell, out: Path) -> Walls:
    """Raises GitError where no walls can be put up any more."""
    why, cure = bubblewrap.trouble(network=False)
    if why:
        raise GitError(f"the work lies behind walls that cannot be put up any more: {why} ({cure})")
    return bubblewrap.for_git(cell, out)


class _NoAnswer(GitError):
    """git was asked behind the walls and said nothing."""


def _told(made: Walls, box: Path, branch: str, sent: str, patience: float) -> Inbound:
    """What git says in there, and a bundle of what the repository lacks."""
    ref = f"refs/heads/{branch}"
    head = _ask(made, patience, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    if not head:
        raise GitError(f"the worker left HEAD of {made.cwd} on no commit; its files lie there as they were")
    tip = _ask(made, patience, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or sent
    on = _ask(made, patience, "symbolic-ref", "--quiet", "HEAD")
    news = [name for name, sha in (("HEAD", head), (ref, tip))
            if _ask(made, patience, "rev-list", "--max-count=1", sha, f"^{sent}")]
    if news:
        ran = _run(made, TIMEOUT, "bundle", "create", "--quiet", str(box), *news, f"^{sent}")
        if not ran.ok or not stat.S_ISREG(box.lstat().st_mode):
            raise GitError(f"git bundle behind the walls: {(ran.err or ran.out)[-600:]}")
    return Inbound(head=head, tip=tip, on=on, files="", sent=sent, bundle=box if news else None)


def _ask(made: Walls, patience: float, *args: str) -> str:
    """Raises _NoAnswer."""
    ran = _run(made, patience, *args)
    if ran.code == TIMED_OUT:
        raise _NoAnswer(f"git {args[0]} behind the walls gave no answer within {patience:g} s: a worker that leaves a"
                        " pipe or a device where git reads does that")
    return ran.out.strip() if ran.ok else ""


def _run(made: Walls, timeout: float, *args: str) -> Ran:
    """git behind the walls. No configuration of the cell makes it fetch what it lacks, which would start a program."""
    env = {**hardened_env({"PATH": os.environ.get("PATH", os.defpath)}),
           "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ALLOW_PROTOCOL": "none"}
    return run(walls.argv(made, ("git", *HARDENED_ARGS, *args)), env=env, cwd=made.cwd, timeout=timeout)


def _remove(funnel: Funnel, home: Path) -> None:
    """What it is known by goes first: half a cell must not be taken for work. One that does not go stands aside."""
    (home / _READY).unlink(missing_ok=True)
    try:
        remove_all(str(home))
    except OSError as error:
        aside = home.rename(home.with_name(f"{home.name.partition(_LEFT)[0]}{_LEFT}{secrets.token_hex(4)}"))
        funnel.notes.append(f"{aside} could not be removed: {error}")
