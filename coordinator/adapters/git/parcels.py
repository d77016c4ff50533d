"""A worktree packed for a host that does not see it, and what comes home taken in. What comes was written by a worker:
of this repository nothing moves but the task's own branch and worktree, and what they would lose is rescued.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from io import RawIOBase
from pathlib import Path

from coordinator.adapters.git import reading, rescue
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import NOTES
from coordinator.adapters.system.seam import crossing
from coordinator.domain.parcel import Inbound, Outbound
from coordinator.ports import GitError

_CHECKOUT = ("-c", "checkout.workers=4")
_SHA = frozenset("0123456789abcdef")
_LINE = 8192
"""Bytes of a line in the header of a bundle, which is a commit's id with a name or a subject."""
_WHY = "before what came home"


def pack(funnel: Funnel, tree: Tree, branch: str, target: Path, *, had: Sequence[str], extra: Sequence[str],
         repository: str) -> Outbound:
    head = funnel.read("rev-parse", "--verify", "HEAD^{commit}", tree=tree).strip()
    there = [name for name in extra if os.path.lexists(tree.path / name)]
    files = _files(funnel, tree, head, there)
    if files and there:
        _close(funnel, files, there)
    known = [sha for sha in had if _is_sha(sha) and _has(funnel, sha)]
    without = [f"^{sha}" for sha in known]
    there_already = bool(known) and not funnel.read("rev-list", "--max-count=1", head, *without)
    exclude, shallow = tuple(f"/{name}" for name in extra), _shallow(funnel)
    if not files and there_already:
        return Outbound(repository, branch, head, "", None, exclude, tuple(extra), shallow)
    refs = _named(funnel, branch, {"head": "" if there_already else head, "files": files})
    try:
        with crossing("file", str(target)):
            target.unlink(missing_ok=True)
            funnel.write("bundle", "create", "--quiet", str(target), *refs, *without)
    finally:
        for ref in refs:
            funnel.write("update-ref", "-d", ref)
    return Outbound(repository, branch, head, files, target, exclude, tuple(extra), shallow)


def _close(funnel: Funnel, files: str, names: Sequence[str]) -> None:
    """What git ignores may be secret, and git's own objects are for everybody to read."""
    for line in funnel.read("ls-tree", "-r", "-z", files, "--", *names).split("\0"):
        sha = line.partition("\t")[0].rpartition(" ")[2]
        with suppress(FileNotFoundError):
            (funnel.common / "objects" / sha[:2] / sha[2:]).chmod(0o400)


def _shallow(funnel: Funnel) -> tuple[str, ...]:
    """The commits at which the history of a shallow clone ends."""
    try:
        lines = (funnel.common / "shallow").read_text("ascii").split()
    except FileNotFoundError:
        return ()
    return tuple(line for line in lines if _is_sha(line))


def _named(funnel: Funnel, branch: str, shas: dict[str, str]) -> dict[str, str]:
    """A bundle wants refs: they stand while it is made."""
    refs = {f"refs/coordinator/out/{branch}/{kind}": sha for kind, sha in shas.items() if sha}
    for ref, sha in refs.items():
        funnel.write("update-ref", ref, sha)
    return refs


def _files(funnel: Funnel, tree: Tree, head: str, extra: Sequence[str]) -> str:
    """A commit on top of HEAD with all that lies there, "" when HEAD has it."""
    made = rescue.snapshot(funnel, tree, [*rescue.dirt(funnel, tree).paths, *extra])
    if made == funnel.read("rev-parse", f"{head}^{{tree}}").strip():
        return ""
    return funnel.write("commit-tree", made, "-p", head, "-m", "the files as they lay", env=funnel.identity()).strip()


def unpack(funnel: Funnel, tree: Tree, task_id: str, branch: str, inbound: Inbound, attempt: int) -> None:
    """Made again, it changes nothing more. Raises GitError for a parcel that is not what it should be."""
    if inbound.trouble:
        raise GitError(inbound.trouble)
    _take(funnel, inbound)
    _set(funnel, tree, task_id, branch, inbound, str(attempt))


def settle(funnel: Funnel, tree: Tree, task_id: str, branch: str, inbound: Inbound, attempt: int) -> None:
    """The same for work whose files lie in the worktree already: they stay as they are. Raises GitError."""
    _take(funnel, inbound)
    _keep(funnel, task_id, branch, inbound, str(attempt))
    funnel.write("read-tree", "--reset", inbound.head, tree=tree)   # what no index can hold is refused by now
    _move(funnel, tree, branch, inbound)


def _take(funnel: Funnel, inbound: Inbound) -> None:
    """Its objects, all of them; nothing names them yet. Raises GitError."""
    shas = [sha for sha in (inbound.head, inbound.tip, inbound.files) if sha]
    if not all(_is_sha(sha) for sha in (*shas, inbound.sent)) or not inbound.head or not inbound.tip:
        raise GitError("what came home names no commits")
    if inbound.bundle is not None:
        _read(funnel, inbound.bundle, shas)
    for sha in shas:
        if not _has(funnel, sha):
            raise GitError(f"what came home lacks the commit {sha[:12]}")
    funnel.read("rev-list", "--objects", "--quiet", *shas, f"^{inbound.sent}")


def _read(funnel: Funnel, bundle: Path, shas: Sequence[str]) -> None:
    """Its objects, and no ref: whatever names it has, they say nothing here."""
    held = {line.partition(" ")[0] for line in funnel.read("bundle", "list-heads", str(bundle)).splitlines()}
    if not held <= set(shas):
        raise GitError("what came home holds other commits than it names")
    with bundle.open("rb", buffering=0) as file:
        _past_the_header(file)
        funnel.write("index-pack", "--fsck-objects", "--fix-thin", "--stdin", stdin=file.fileno())


def _past_the_header(file: RawIOBase) -> None:
    """The pack lies behind the first empty line (gitformat-bundle(5)). `git bundle unbundle` looks into none of its
    objects, whatever the configuration says: trees would come in that no checkout can be made of. Raises GitError."""
    line = file.readline(_LINE)
    while line != b"\n":
        if not line.endswith(b"\n") or (line.startswith(b"@") and not line.startswith(b"@object-format=")):
            raise GitError("what came home is no whole bundle")
        line = file.readline(_LINE)


def _set(funnel: Funnel, tree: Tree, task_id: str, branch: str, inbound: Inbound, label: str) -> None:
    before = _keep(funnel, task_id, branch, inbound, label)
    if _files(funnel, tree, before or inbound.sent, ()) and not _same_files(funnel, tree, inbound):
        rescue.keep_work(funnel, tree, task_id, label, _WHY)
    funnel.write(*_CHECKOUT, "read-tree", "--reset", "-u", inbound.head, tree=tree)   # while HEAD still says what was
    _move(funnel, tree, branch, inbound)
    funnel.write(*_CHECKOUT, "reset", "--quiet", "--hard", inbound.head, tree=tree)
    funnel.write("clean", "--quiet", "-f", "-d", *(f"--exclude=/{name}" for name in NOTES), tree=tree)
    if inbound.files:
        funnel.write("restore", f"--source={inbound.files}", "--worktree", "--no-overlay", "--", ":/", tree=tree)


def _keep(funnel: Funnel, task_id: str, branch: str, inbound: Inbound, label: str) -> str:
    """The branch as it stands; what it would lose gets a ref of its own."""
    before = reading.resolve(funnel, f"refs/heads/{branch}")
    if before and not reading.is_ancestor(funnel, before, inbound.tip):
        rescue.keep_commit(funnel, task_id, label, before, _WHY)
    return before


def _move(funnel: Funnel, tree: Tree, branch: str, inbound: Inbound) -> None:
    ref = f"refs/heads/{branch}"
    funnel.write("update-ref", ref, inbound.tip)
    if inbound.on == ref and inbound.head == inbound.tip:
        funnel.write("symbolic-ref", "HEAD", ref, tree=tree)
    else:
        funnel.write("update-ref", "--no-deref", "HEAD", inbound.head, tree=tree)


def _same_files(funnel: Funnel, tree: Tree, inbound: Inbound) -> bool:
    """Whether what lies here is what the parcel has: then it was taken in before."""
    lies = rescue.snapshot(funnel, tree, rescue.dirt(funnel, tree).paths)
    return lies == funnel.read("rev-parse", f"{inbound.files or inbound.head}^{{tree}}").strip()


def _has(funnel: Funnel, sha: str) -> bool:
    return funnel.ask("cat-file", "-e", f"{sha}^{{commit}}") is not None


def _is_sha(text: str) -> bool:
    return len(text) in (40, 64) and set(text) <= _SHA
