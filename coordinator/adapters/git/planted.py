"""What in a repository could make git run a program or go elsewhere, by name. None of it is obeyed by our calls; but
what appears there while a worker runs a person should know, since their own git would.
"""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from coordinator.adapters.git.folder import plain
from coordinator.adapters.git.funnel import Funnel, Tree

_KEYS = re.compile(
    r"core\.(hookspath|fsmonitor|sshcommand|gitproxy|editor|pager|askpass|attributesfile|worktree"
    r"|alternaterefscommand)|filter\..+|merge\..+\.driver|diff\.(external|.+\.(textconv|command))|hook\..+|alias\..+"
    r"|include\.path|includeif\..+\.path|url\..+\.(push)?insteadof|credential\..+|gpg\..+|commit\.gpgsign"
    r"|https?\..+|protocol\..+|remote\..+\.(uploadpack|receivepack|url|pushurl|proxy|vcs|promisor)|pager\..+"
    r"|uploadpack\.packobjectshook|sequence\.editor|submodule\..+\.(update|url)|extensions\..+"
    r"|interactive\.difffilter|.+tool\..+\.(cmd|path)|trailer\..+\.(cmd|command)|tar\..+\.command|browser\..+|man\..+",
    re.DOTALL)
_FILES = ("info/attributes", "info/grafts", "objects/info/alternates", "objects/info/http-alternates")
_PLAIN_REF = re.compile(r"[\w./@+#=-]+", re.ASCII)
_MOST = 1 << 20
"""Bytes of such a file that are compared."""


def found(funnel: Funnel, tree: Tree) -> dict[str, str]:
    """By name what is there, with a digest of what it says: never the words, which may hold a secret."""
    return {**_settings(funnel, tree), **_files(funnel), **_refs(funnel)}


def _settings(funnel: Funnel, tree: Tree) -> dict[str, str]:
    listed = funnel.read("config", "--null", "--includes", "--show-scope", "--show-origin", "--get-regexp", ".",
                         tree=tree)
    fields = listed.split("\0")
    said: dict[str, str] = {}
    for scope, origin, pair in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        key, _, value = pair.partition("\n")
        if scope in ("local", "worktree") and _KEYS.fullmatch(key.lower()):
            name = f"{key} in {_shown(funnel, tree, origin.removeprefix('file:'))}"
            said[name] = said.get(name, "") + f"{value}\0"
    return {name: _digest(words.encode("utf-8", "surrogateescape")) for name, words in said.items()}


def _shown(funnel: Funnel, tree: Tree, origin: str) -> str:
    """A file as people know it: from the root of the checkout."""
    return os.path.relpath(tree.path / origin, funnel.root)


def _files(funnel: Funnel) -> dict[str, str]:
    hooks = funnel.common / "hooks"
    try:
        paths = [one for one in sorted(hooks.iterdir()) if not one.name.endswith(".sample")]
    except OSError:   # one that is not there is not listed, one that is closed to us is
        paths = [hooks] if os.path.lexists(hooks) else []
    paths += [funnel.common / name for name in _FILES if os.path.lexists(funnel.common / name)]
    return {os.path.relpath(path, funnel.root): _digest(_content(path)) for path in paths}


def _content(path: Path) -> bytes:
    """What it says; of what cannot be read, another's hook for one, how it stands there."""
    try:
        if path.is_symlink():
            return os.fsencode(path.readlink())
        with plain(path) as file:
            return file.read(_MOST) if file else b""
    except OSError:
        return _standing(path)


def _standing(path: Path) -> bytes:
    try:
        facts = path.lstat()
    except OSError as error:
        return repr(error.errno).encode()
    return repr((facts.st_mode, facts.st_uid, facts.st_ino, facts.st_size, facts.st_mtime_ns)).encode()


def _refs(funnel: Funnel) -> dict[str, str]:
    listed = funnel.read("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads/", "refs/replace/")
    pairs = [line.split(" ", 1) for line in listed.splitlines()]
    return {f"ref {name}": sha for sha, name in pairs
            if name.startswith("refs/replace/") or not _PLAIN_REF.fullmatch(name)}


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
