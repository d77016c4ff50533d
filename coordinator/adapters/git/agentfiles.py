"""An agent's configuration in a worktree, put back to what its branch has: what lies there uncommitted or ignored was
left by an earlier attempt, and the next one would obey it. It gets a ref of its own first.

The files are compared by their content: the index, which could hide them, is a worker's to write.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha1, sha256
from pathlib import Path
from stat import S_ISDIR, S_ISLNK, S_ISREG

from coordinator.adapters.git import rescue
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.system.seam import crossing
from coordinator.domain.agentfiles import NAMES

_LINK, _SUBMODULE = "120000", "160000"
WHY = "agent configuration that an earlier attempt left"


def put_back(funnel: Funnel, tree: Tree, task_id: str, label: str) -> tuple[tuple[str, ...], str]:
    """(paths that were put back or taken away, the ref that keeps what they were)."""
    listing = funnel.read("ls-tree", "-r", "-z", "--full-tree", "HEAD", "--", *NAMES, tree=tree)
    wanted = {path: (fact.split(" ")[0], fact.split(" ")[2])
              for fact, _, path in (entry.partition("\t") for entry in listing.split("\0") if entry)}
    there = {path: file for name in NAMES for path, file in _files(tree.path, name)}
    odd = sorted(path for path in {*wanted, *there} if not _same(there.get(path), wanted.get(path)))
    if not odd:
        return (), ""
    kept = [path for path in odd if path in there and _kind(there[path])]
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
    path = root / name
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not S_ISDIR(mode):
        yield name, path
        return
    for entry in sorted(path.iterdir()):
        yield from _files(root, f"{name}/{entry.name}")


def _kind(file: Path) -> bool:
    """Whether it is of a kind that git can keep."""
    mode = file.lstat().st_mode
    return S_ISREG(mode) or S_ISLNK(mode)


def _same(file: Path | None, wanted: tuple[str, str] | None) -> bool:
    if wanted is not None and wanted[0] == _SUBMODULE:
        return file is None
    if file is None or wanted is None or not _kind(file):
        return False
    mode, sha = wanted
    if S_ISLNK(file.lstat().st_mode) or mode == _LINK:
        return S_ISLNK(file.lstat().st_mode) and mode == _LINK and _name(os.fsencode(file.readlink()), sha) == sha
    content = file.read_bytes()
    return sha in (_name(content, sha), _name(content.replace(b"\r\n", b"\n"), sha))


def _name(content: bytes, like: str) -> str:
    """The name that git gives to a file of this content."""
    made = sha256 if len(like) == 64 else sha1
    return made(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
