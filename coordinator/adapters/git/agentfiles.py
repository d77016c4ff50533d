"""An agent's configuration in a worktree, put back to what its branch has: what lies there uncommitted or ignored was
left by an earlier attempt, and the next one would obey it. It gets a ref of its own first.

The files are compared by their content: the index, which could hide them, is a worker's to write.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import sha1, sha256
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG
from typing import BinaryIO, NamedTuple

from coordinator.adapters.git import rescue
from coordinator.adapters.git.folder import plain
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.system.seam import crossing
from coordinator.domain.agentfiles import NAMES
from coordinator.ports import GitError

_LINK, _SUBMODULE = "120000", "160000"
WHY = "agent configuration that an earlier attempt left"
_LARGEST = 64 << 20
"""Bytes of a file that is kept: an agent can make one of terabytes that takes no room, and git would read it all."""
_PIECE = 1 << 20
_SHOWN = 200


class _Wanted(NamedTuple):
    """A line of `git ls-tree -l`; a submodule's size is "-"."""

    mode: str
    kind: str
    sha: str
    size: str

    def is_of(self, pieces: Iterable[bytes]) -> bool:
        """Whether git would give a file of this content its name."""
        made = (sha256 if len(self.sha) == 64 else sha1)(b"blob %d\0" % int(self.size), usedforsecurity=False)
        for piece in pieces:
            made.update(piece)
        return made.hexdigest() == self.sha


def put_back(funnel: Funnel, tree: Tree, task_id: str, label: str) -> tuple[tuple[str, ...], str]:
    """(paths that were put back or taken away, the ref that keeps what they were). Raises GitError, also where what
    lies there cannot be read or is too large to be kept."""
    try:
        return _put_back(funnel, tree, task_id, label)
    except OSError as error:
        where = os.path.relpath(os.fsdecode(error.filename or tree.path), tree.path)
        raise GitError(f"agent configuration in {tree.path} cannot be put back: {where[:_SHOWN]}: {error.strerror}. "
                       f"Delete it there, then try again") from error


def _put_back(funnel: Funnel, tree: Tree, task_id: str, label: str) -> tuple[tuple[str, ...], str]:
    listing = funnel.read("ls-tree", "-r", "-l", "-z", "--full-tree", "HEAD", "--", *NAMES, tree=tree)
    wanted = {path: _Wanted(*fact.split()) for fact, _, path in
              (entry.partition("\t") for entry in listing.split("\0") if entry)}
    there = {path: file for name in NAMES for path, file in _files(tree.path, name)}
    odd = sorted(path for path in {*wanted, *there} if not _same(there.get(path), wanted.get(path)))
    if not odd:
        return (), ""
    kept = [path for path in odd if path in there and _kept(there[path])]
    head = funnel.read("rev-parse", "--verify", "HEAD^{commit}", tree=tree).strip()
    ref = rescue.keep(funnel, task_id, label, rescue.on_top(funnel, tree, head, kept), head, WHY) if kept else ""
    for path in odd:
        if path in there:
            with crossing("file", path):
                there[path].unlink()
    # out of the index too: what is staged would be committed, and a mark there would keep a file from coming back
    funnel.write("update-index", "--force-remove", "-z", "--stdin", tree=tree, stdin="\0".join(odd))
    back = [path for path in odd if path in wanted]
    if back:
        funnel.write("--literal-pathspecs", "restore", "--source=HEAD", "--staged", "--worktree",
                     "--pathspec-from-file=-", "--pathspec-file-nul", tree=tree, stdin="\0".join(back))
    return tuple(odd), ref


def _files(root: Path, name: str) -> Iterator[tuple[str, Path]]:
    """Everything but folders, no link followed; what stands where a folder should is one entry."""
    names = [name]
    while names:
        path = root / (name := names.pop())
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        if S_ISDIR(mode):
            names += [f"{name}/{entry.name}" for entry in path.iterdir()]
        else:
            yield name, path


def _kept(file: Path) -> bool:
    """Whether it is of a kind that git can keep. Raises GitError for one that is too large."""
    facts = file.lstat()
    if S_ISREG(facts.st_mode) and facts.st_size > _LARGEST:
        raise GitError(f"{file} has {facts.st_size} bytes, too many to be kept as an agent's configuration. "
                       f"Move it away or delete it, then try again")
    return S_ISREG(facts.st_mode) or S_ISLNK(facts.st_mode)


def _same(file: Path | None, wanted: _Wanted | None) -> bool:
    if wanted is not None and wanted.mode == _SUBMODULE:
        return file is None
    if file is None or wanted is None:
        return False
    mode = file.lstat().st_mode
    if S_ISLNK(mode) or wanted.mode == _LINK:
        return S_ISLNK(mode) and wanted.mode == _LINK and wanted.is_of([os.fsencode(file.readlink())])
    return S_ISREG(mode) and _same_content(file, wanted)


def _same_content(file: Path, wanted: _Wanted) -> bool:
    """No more is read than the branch's own file could be."""
    with plain(file) as opened:
        there, size = os.fstat(opened.fileno()).st_size if opened else -1, int(wanted.size)
        if opened is None or not size <= there <= 2 * size:
            return False
        if there == size:
            return wanted.is_of(_pieces(opened, size))
        return wanted.is_of(_unix(_pieces(opened, 2 * size)))


def _pieces(file: BinaryIO, most: int) -> Iterator[bytes]:
    while most > 0 and (piece := file.read(min(most, _PIECE))):
        most -= len(piece)
        yield piece


def _unix(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same with line ends as git keeps them, where a checkout wrote others."""
    held = b""
    for piece in pieces:
        whole = held + piece
        held = b"\r" * whole.endswith(b"\r")
        yield whole[:len(whole) - len(held)].replace(b"\r\n", b"\n")
    yield held
