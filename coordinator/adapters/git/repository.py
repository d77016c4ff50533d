"""ports.Repository over real git: each method takes the repository's lock and tells the parts of this room."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from coordinator.adapters.git import (
    agentfiles,
    cells,
    commits,
    folder,
    handoff,
    hooks,
    joining,
    modules,
    network,
    parcels,
    planted,
    reading,
    registry,
    rescue,
    worktrees,
)
from coordinator.adapters.git.excludes import add_excludes
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import beginnings, full_name, host, is_ssh, place, safe_name
from coordinator.adapters.git.network import Remote
from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.checkout import Found, Survey, Worktree
from coordinator.domain.outcome import Work
from coordinator.domain.parcel import Inbound, Outbound
from coordinator.domain.remains import Remain
from coordinator.domain.walls import Cell
from coordinator.domain.workflow import HANDOFF
from coordinator.ports import ForeignWorktree, GitBusy, GitError
from coordinator.runfiles.names import make_folder

ANYTHING = Search()
Known = TypeVar("Known")
_MISSING = re.compile(r"missing blob|unable to read|lazy fetching|promisor", re.IGNORECASE)
"""git's words for an object that is not here."""


class GitRepository:
    """One managed repository. `remote` names the remote (None: origin, else upstream, else the only one); `leaf` is
    the folder below a task's own that its worktree is, "" for the task's folder itself; `url` is the address to talk
    to (else the remote's, as configured now: later changes by a worker are not followed); `push_url` is where branches
    go when that is another repository, a fork; `token` is asked at each use and given to http(s) addresses only;
    `identity` (name, email) signs commits where git's own configuration names nobody; `ca_bundle` and `proxy` lead to
    the remote. Raises GitError when `root` is no repository."""

    def __init__(self, root: Path, *, remote: str | None = None, url: str = "", push_url: str = "",
                 worktree_root: str = "trees", leaf: str = "", token: Callable[[], str] | None = None,
                 identity: Mapping[str, str] | None = None, default_branch: str = "", ca_bundle: str = "",
                 proxy: str = "") -> None:
        self._funnel = Funnel(root, secret=token, identity=identity or {})
        self._way = network.way(ca_bundle, proxy)
        self._trees = self._funnel.root / worktree_root
        self._leaf = leaf
        self._set, self._default = default_branch, ""
        self._remote = self._connect(remote, url, push_url)
        with suppress(OSError):   # another user's repository, or a disk that cannot be written: it is tried again
            hooks.end_left(self._funnel.common)

    def _connect(self, name: str | None, url: str, push_url: str) -> Remote | None:
        names = (self._funnel.ask("remote") or "").split()
        chosen = name or next((one for one in ("origin", "upstream") if one in names), names[0] if names else "")
        url = url or (self._funnel.ask("config", "--get", f"remote.{chosen}.url") or "" if chosen else "")
        return Remote(self._funnel, chosen or "origin", url, push_url or url, self._way) if url else None

    def _connected(self) -> Remote:
        if self._remote is None:
            raise GitError(f"{self._funnel.root} has no remote: git remote add origin ADDRESS")
        return self._remote

    @property
    def full_name(self) -> str:
        """owner/name as the remote's address has it; "" when the address names none."""
        return full_name(self._remote.url if self._remote is not None else "")

    @property
    def host(self) -> str:
        """The host that the remote's address names; "" where it names none."""
        return host(self._remote.url) if self._remote is not None else ""

    @property
    def by_path(self) -> bool:
        """Whether the remote is a folder of this host, or there is none: no address to talk to."""
        return self._remote is None or not (is_ssh(self._remote.url) or self._remote.url.startswith("http"))

    @property
    def lacks(self) -> tuple[str, str]:
        """(what a clone that is not whole lacks, in words; what mends it); "" for a whole one."""
        found = self._funnel.ask("config", "--name-only", "--get-regexp", r"^remote\..*\.promisor$")
        if found:
            name = found.split("\n")[0].removeprefix("remote.").removesuffix(".promisor")
            return ("this is a partial clone: git here fetches no file that it left out, and what needs one fails",
                    f"git fetch --refetch --no-filter {name} && git config --unset remote.{name}.promisor")
        if (self._funnel.common / "shallow").is_file():
            return ("this is a shallow clone: how far branches went apart beyond its edge is not known",
                    "git fetch --unshallow")
        return "", ""

    def identity(self) -> Mapping[str, str]:
        name, email = (self._funnel.ask("config", "--get", key) or "" for key in ("user.name", "user.email"))
        if not name or not email:
            return {}
        return {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER")
                for what, value in (("NAME", name), ("EMAIL", email))}

    # --- the remote ---------------------------------------------------------------------------------

    def default_branch(self) -> str:
        """The branch that was set, else the remote is asked, again when it was renamed since. Raises GitUnreachable,
        GitError."""
        if self._set:
            return self._set
        if not self._default or self._connected().dropped(self._default):
            with self._funnel.locked():
                self._default = self._look_for_default()
        return self._default

    def _on_base(self, search: Search, look: Callable[[str], Known]) -> Known:
        """What is asked against the base. Raises BaseGone."""
        base = search.base or self.default_branch()
        try:
            return look(base)
        except network.BaseGone:
            self._connected().fetch()
            now = search.base or self.default_branch()
            if now == base:
                raise
            return look(now)

    def _look_for_default(self) -> str:
        """The remote is asked: what is written here of its HEAD may be a worker's."""
        name = self._connected().head()
        if not name:
            raise GitError("the remote names no default branch: set [repository] base")
        return name

    def fetch(self) -> None:
        with self._funnel.locked():
            self._connected().fetch()

    def push(self, branch: str, *, expect: str, search: Search = ANYTHING,
             passes: Callable[[Cargo], None] = lambda _: None) -> str:
        with self._funnel.locked():
            sha = self._to_push(branch)
            self._on_base(search, lambda base: self._connected().push(
                branch, sha, expect, base, self._sought(search), lambda cargo: passes(self._weighed(cargo))))
            return sha

    def cargo(self, head: str, search: Search) -> Cargo:
        with self._funnel.locked():
            return self._weighed(self._on_base(
                search, lambda base: self._connected().cargo(head, base, self._sought(search))))

    def _weighed(self, cargo: Cargo) -> Cargo:
        new = [one for one in cargo.modules if one[0] in cargo.files]   # the base may have moved on meanwhile
        return replace(cargo, modules=tuple(new), only_here=modules.only_here(self._funnel, new))

    def _sought(self, search: Search) -> Search:
        """Our own token is known here without being told."""
        own = self._funnel.secret() if self._funnel.secret else ""
        return replace(search, known=(*search.known, own)) if own else search

    def _to_push(self, branch: str) -> str:
        _check_branch(self._funnel, branch)
        sha = reading.resolve(self._funnel, f"refs/heads/{branch}")
        if not sha:
            raise GitError(f"there is no branch {branch} to push")
        return sha

    def claim(self, known: str) -> tuple[str, str]:
        return self._connected().claim(known)

    def standing(self, prefix: str) -> Mapping[str, str]:
        return self._connected().standing(prefix)

    def put_claim(self, words: str, *, held: str) -> str:
        return self._connected().put_claim(words, held)   # a long fetch must not keep it waiting: no lock

    def held(self) -> AbstractContextManager[None]:
        return self._funnel.locked()

    def push_claimed(self, words: str, *, held: str, branch: str, expect: str, search: Search = ANYTHING,
                     passes: Callable[[Cargo], None] = lambda _: None) -> tuple[str, str]:
        with self._funnel.locked():
            sha = self._to_push(branch)
            return self._on_base(search, lambda base: self._connected().push_claimed(
                words, held, branch, sha, expect, base, self._sought(search),
                lambda cargo: passes(self._weighed(cargo)))), sha

    def contains(self, sha: str, branch: str) -> bool:
        with self._funnel.locked():
            return reading.is_ancestor(self._funnel, sha, self._remote_tip(branch))

    def _remote_tip(self, branch: str) -> str:
        return reading.resolve(self._funnel, self._remote.ref(branch)) if self._remote else ""

    # --- worktrees ----------------------------------------------------------------------------------

    def worktree_path(self, task_id: str) -> Path:
        return self._trees / safe_name(task_id) / self._leaf

    def _place(self, task_id: str) -> Path:
        return place(self._trees, task_id, self._leaf)

    def ensure_worktree(self, task_id: str, branch: str, base: str, *, fresh: bool, attempt: int,
                        expect: str = "", onto: str = "") -> Worktree:
        with self._funnel.locked():
            _check_branch(self._funnel, branch)
            if branch in (base, onto):
                raise ForeignWorktree(f"{branch} is the base itself: a task needs a branch of its own")
            self._refuse_crowded(branch)
            base_sha = reading.resolve(self._funnel, f"refs/heads/{onto}") if onto else self._base(base)
            start = base_sha if fresh else self._start(branch, base_sha, expect)
            wanted = worktrees.Wanted(task_id=task_id, branch=branch, base=base_sha, start=start, fresh=fresh,
                                      attempt=attempt)
            try:
                tree, reused = worktrees.ensure(self._funnel, self._trees, self._place(task_id), wanted)
            except GitError as error:
                words, cure = self.lacks
                if not words or not _MISSING.search(error.words):
                    raise
                raise GitError(f"{error.words}: {words} ({cure})") from error
            head = commits.head_of(self._funnel, tree)
            notes, self._funnel.notes = (*self._funnel.notes, *wanted.notes), []
            return Worktree(path=self.worktree_path(task_id), branch=branch, base_sha=base_sha, head_sha=head,
                            reused=reused, notes=notes)

    def _refuse_crowded(self, branch: str) -> None:
        for name in beginnings(branch):
            if reading.resolve(self._funnel, f"refs/heads/{name}"):
                raise ForeignWorktree(f"a branch {name} is here, and git makes no {branch} beside it: rename it"
                                      f" (git branch -m {name} NAME); nothing was changed")
            if self._remote_tip(name):
                raise ForeignWorktree(f"a branch {name} is on the remote, and git makes no {branch} beside it: rename"
                                      " it there; nothing was changed")

    def crowded(self, branch: str) -> tuple[str, str]:
        """The branches beside which none of this name can be, here and where we push; "" for none. Raises
        GitUnreachable, PushRefused, GitError."""
        names = beginnings(branch)
        there = self.standing(names[0]) if names else {}
        here = (name for name in names if reading.resolve(self._funnel, f"refs/heads/{name}"))
        return next(here, ""), next((name for name in names if name in there), "")

    def _base(self, base: str) -> str:
        _check_branch(self._funnel, base)
        ref = self._remote.ref(base) if self._remote else f"refs/heads/{base}"
        sha = reading.resolve(self._funnel, ref)
        if not sha:
            raise GitError(f"base branch {base} is not on the remote as last fetched ({ref}): set [repository] base")
        return sha

    def _start(self, branch: str, base_sha: str, expect: str) -> str:
        """Where the branch begins: on the remote's tip when that is ours or adds to ours, else on the base."""
        tip = self._remote_tip(branch)
        if not tip or reading.is_ancestor(self._funnel, tip, base_sha):
            return base_sha
        if reading.is_ancestor(self._funnel, expect, tip):
            return tip
        local = reading.resolve(self._funnel, f"refs/heads/{branch}")
        if reading.is_ancestor(self._funnel, tip, local):
            return base_sha
        raise ForeignWorktree(
            f"branch {branch} on the remote is at {tip[:8]}, "
            + (f"which does not contain {expect[:8]}, what we pushed last" if expect else "and we never pushed it")
            + f": rename or delete it there (git push {self._connected().name} --delete {branch}), or begin anew")

    def _tree(self, task_id: str) -> Tree | None:
        """The task's worktree when it stands and is what git thinks it is. Raises GitError when tampered with."""
        tree = registry.registered(self._funnel, self._place(task_id))
        if tree is None or not tree.path.is_dir():
            return None
        return registry.verified(self._funnel, tree)

    def _standing(self, task_id: str) -> Tree:
        tree = self._tree(task_id)
        if tree is None:
            raise GitError(f"{self.worktree_path(task_id)} is no worktree any more")
        return tree

    def worktrees(self) -> tuple[Found, ...]:
        with self._funnel.locked():
            trees = {tree.path: tree for tree in registry.all_trees(self._funnel)}
            folders = sorted(self._trees.iterdir()) if self._trees.is_dir() else []
            paths = [path / self._leaf for path in folders if not path.is_symlink()]
            found = (self._found(path, trees.get(path.resolve())) for path in paths if not path.is_symlink())
            return tuple(one for one in found if one)

    def _found(self, path: Path, tree: Tree | None) -> Found | None:
        """None for what is not ours: a person's own worktree or folder."""
        if tree is None:
            orphan = registry.of_this_repository(self._funnel, path)
            name = (path.parent if self._leaf else path).name
            return Found(name, path, "", registered=False, dirty=True, unpushed=0) if orphan else None
        task_id, branch = registry.mark(tree)
        if not task_id or self._trees.resolve() / safe_name(task_id) / self._leaf != path.resolve():
            return None
        try:
            registry.verified(self._funnel, tree)
            dirt = rescue.dirt(self._funnel, tree)
            unpushed = commits.unpushed(self._funnel, tree)
        except GitError:
            return Found(task_id, path, branch, registered=True, dirty=True, unpushed=0)
        return Found(task_id, path, branch, registered=True, dirty=bool(dirt.paths or dirt.nested), unpushed=unpushed)

    def remove_worktree(self, task_id: str, unless: Callable[[], bool] = lambda: False) -> None:
        with self._funnel.locked():
            tree, token = registry.registered(self._funnel, self._place(task_id)), cells.standing(self._funnel, task_id)
        try:
            self._let_out(tree, task_id, registry.mark(tree)[1] if tree else "", 0, token)
        except GitBusy:
            raise
        except GitError:
            pass   # what cannot be taken in stands aside
        with self._funnel.locked():
            if unless():
                raise GitBusy(f"{task_id} was set going meanwhile: its worktree is left alone")
            cells.put_aside(self._funnel, task_id, token)
            worktrees.remove(self._funnel, self._trees, self._place(task_id), task_id)

    # --- other hosts --------------------------------------------------------------------------------

    def pack(self, task_id: str, branch: str, *, had: Sequence[str], extra: Sequence[str],
             repository: str) -> Outbound:
        closed = self._funnel.common / "coordinator-bundles"   # what was copied into a worktree may be secret
        make_folder(str(closed))
        target = closed / f"{safe_name(task_id)}.bundle"
        with self._funnel.locked():
            return parcels.pack(self._funnel, self._standing(task_id), branch, target, had=had, extra=extra,
                                repository=repository)

    def unpack(self, task_id: str, branch: str, inbound: Inbound, attempt: int) -> None:
        with self._funnel.locked():
            parcels.unpack(self._funnel, self._standing(task_id), task_id, branch, inbound, attempt)

    # --- behind walls -------------------------------------------------------------------------------

    def wall_in(self, task_id: str, token: str) -> Cell:
        with self._funnel.locked():
            return cells.make(self._funnel, self._standing(task_id), task_id, token)

    def let_out(self, task_id: str, branch: str, attempt: int) -> None:
        with self._funnel.locked():
            tree, token = self._tree(task_id), cells.standing(self._funnel, task_id)
        self._let_out(tree, task_id, branch, attempt, token)

    def _let_out(self, tree: Tree | None, task_id: str, branch: str, attempt: int, token: str) -> None:
        if tree is not None:
            inbound = cells.told(self._funnel, tree, task_id, branch, token)
            with self._funnel.locked():
                cells.take_in(self._funnel, tree, task_id, branch, inbound, attempt, token)

    def left_cells(self, drop: Collection[str] = ()) -> tuple[Remain, ...]:
        with self._funnel.locked():
            return cells.left(self._funnel, drop)

    # --- plans --------------------------------------------------------------------------------------

    def feature(self, branch: str, base: str, last: str = "") -> str:
        with self._funnel.locked():
            _check_branch(self._funnel, branch)
            return joining.feature(self._funnel, branch, self._remote_tip(branch), self._base(base), last)

    def merge(self, branch: str, head: str, message: str) -> str:
        with self._funnel.locked():
            return joining.merge(self._funnel, branch, head, message)

    def survey(self, base_sha: str, head: str, into: str = "") -> Survey:
        with self._funnel.locked():
            return joining.survey(self._funnel, base_sha, head, into)

    def log(self, base_sha: str, head: str) -> tuple[str, ...]:
        with self._funnel.locked():
            return reading.subjects(self._funnel, base_sha, head, commits.MOST)

    def remote_tip(self, branch: str) -> str:
        with self._funnel.locked():
            return self._remote_tip(branch)

    # --- what a worker left -------------------------------------------------------------------------

    def work(self, task_id: str, branch: str, base_sha: str) -> Work | None:
        with self._funnel.locked():
            tree = self._tree(task_id)
            remote_ref = self._remote.ref(branch) if self._remote else ""
            return commits.work(self._funnel, tree, branch, base_sha, remote_ref) if tree else None

    def commit_all(self, task_id: str, message: str) -> str | None:
        with self._funnel.locked():
            return commits.commit_all(self._funnel, self._standing(task_id), message)

    def put_back(self, task_id: str, attempt: int) -> tuple[tuple[str, ...], str]:
        with self._funnel.locked():
            return agentfiles.put_back(self._funnel, self._standing(task_id), task_id, str(attempt))

    def planted(self, task_id: str) -> Mapping[str, str]:
        with self._funnel.locked():
            tree = self._tree(task_id)
            return planted.found(self._funnel, tree) if tree else {}

    def take_home(self, task_id: str, branch: str) -> bool:
        with self._funnel.locked():
            return commits.take_home(self._funnel, self._standing(task_id), branch)

    def rescue(self, task_id: str, attempt: int) -> str | None:
        with self._funnel.locked():
            tree = self._tree(task_id)
            why = f"uncommitted after attempt {attempt}"
            return rescue.keep_work(self._funnel, tree, task_id, str(attempt), why, stays=True) if tree else None

    def rescues(self) -> tuple[tuple[str, datetime], ...]:
        with self._funnel.locked():
            return rescue.rescues(self._funnel)

    def expire_rescues(self, older_than: datetime, keep: Collection[str] = ()) -> tuple[str, ...]:
        with self._funnel.locked():
            return rescue.expire(self._funnel, older_than, keep)

    def summary(self, task_id: str, base_sha: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        with self._funnel.locked():
            tree = self._standing(task_id)
            return commits.summary(self._funnel, commits.head_of(self._funnel, tree), base_sha)

    # --- files --------------------------------------------------------------------------------------

    def note(self, task_id: str, name: str) -> str:
        return folder.note(self._place(task_id), name)

    def forget_note(self, task_id: str, name: str) -> None:
        folder.forget_note(self._place(task_id), name)

    def copy_into(self, task_id: str, names: Sequence[str]) -> tuple[str, ...]:
        """What is copied is kept out of commits too: such files hold secrets more often than not."""
        with self._funnel.locked():
            copied = folder.copy_into(self._funnel.root, self._standing(task_id).path, names)
            add_excludes(self._funnel, [f"/{name}" for name in copied])
            return copied

    def hand(self, task_id: str, files: Mapping[str, str], drop: Sequence[str]) -> None:
        with self._funnel.locked():
            tree = self._standing(task_id)
            add_excludes(self._funnel, [f"/{HANDOFF}/"])
        handoff.put(tree.path, files, drop)

    def left(self, task_id: str, patterns: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        tree = self._standing(task_id)
        return {pattern: handoff.found(tree.path, pattern) for pattern in patterns}

    def run_hook(self, task_id: str, command: str, name: str, timeout: timedelta,
                 env: Mapping[str, str]) -> tuple[bool, str]:
        path = self._standing(task_id).path
        return hooks.run_hook(self._funnel.common, path, command, name, timeout.total_seconds(), env)

    def exclude(self, names: Sequence[str]) -> tuple[str, ...]:
        """Adds lines to .git/info/exclude; those that were not there."""
        with self._funnel.locked():
            return add_excludes(self._funnel, names)

    def tracked(self, name: str) -> bool:
        """Whether the main checkout's index has this path."""
        tree = Tree(self._funnel.root, self._funnel.git_dir)
        found = self._funnel.ask("--literal-pathspecs", "ls-files", "--error-unmatch", "--", name, tree=tree)
        return found is not None


def _check_branch(funnel: Funnel, branch: str) -> None:
    """Raises GitError for a name git would not take, or would take for an option."""
    if branch.startswith("-") or funnel.ask("check-ref-format", f"refs/heads/{branch}") is None:
        raise GitError(f"{branch!r} cannot be the name of a branch")
