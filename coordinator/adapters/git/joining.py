"""Finished tasks of a plan come together on the plan's branch: made, moved by merge commits, never checked out.

The merge happens in git's object store alone (`git merge-tree --write-tree`, git 2.38): no worktree is needed, and
a branch that somebody has checked out is refused, since its files would not move along.
"""

from __future__ import annotations

from coordinator.adapters.git import reading, registry
from coordinator.adapters.git.funnel import Funnel
from coordinator.domain.checkout import Survey
from coordinator.ports import ForeignWorktree, GitError, MergeConflict
from coordinator.runfiles.gitsafe import DIFF_ARGS

MOST = 1000
CONFLICT, MISUSED = 1, 129
"""How `git merge-tree` ends when files conflict, and when it does not know what it is asked for."""


def feature(funnel: Funnel, branch: str, remote_tip: str, base_sha: str, last: str) -> str:
    """The tip of the plan's branch, which is made where there is none: at the remote's tip of it, else at `last`,
    what was merged into it last, else at the base. One that the base contains already, of a plan that was merged,
    moves up to the base. Raises ForeignWorktree for one that somebody moved: it no longer holds `last`."""
    _refuse_checked_out(funnel, branch)
    ref = f"refs/heads/{branch}"
    tip = reading.resolve(funnel, ref)
    if tip and last and not any(reading.is_ancestor(funnel, last, one) for one in (tip, base_sha, remote_tip)):
        raise ForeignWorktree(f"{branch} was moved: it no longer holds {last[:12]}, what was merged into it last. Put "
                              f"it back with: git -C {funnel.root} branch -f {branch} {last[:12]}")
    if tip and not reading.is_ancestor(funnel, tip, base_sha):
        return tip
    wanted = base_sha if reading.is_ancestor(funnel, remote_tip, base_sha) else remote_tip or base_sha
    if not tip and last and not any(reading.is_ancestor(funnel, last, one) for one in (base_sha, remote_tip)):
        wanted = funnel.read("rev-parse", "--verify", f"{last}^{{commit}}").strip()   # deleted: its work is not lost
    if tip != wanted:
        funnel.write("update-ref", ref, wanted, tip or "0" * len(wanted))
    return wanted


def merge(funnel: Funnel, branch: str, head: str, message: str) -> str:
    """The branch's tip once it contains `head`. Raises MergeConflict with the files, ForeignWorktree, GitError."""
    _refuse_checked_out(funnel, branch)
    ref = f"refs/heads/{branch}"
    tip = reading.resolve(funnel, ref)
    if not tip:
        raise GitError(f"the plan's branch {branch} is gone: make it again with: git branch {branch} COMMIT")
    if reading.is_ancestor(funnel, head, tip):
        return tip
    ran = funnel.call(("merge-tree", "--write-tree", "--name-only", "-z", "--no-messages", tip, head))
    if ran.code == CONFLICT:
        files = tuple(name for name in ran.out.split("\0")[1:] if name)
        raise MergeConflict(f"{head[:12]} and {branch} change the same lines of {', '.join(files[:10])}", files)
    if ran.code == MISUSED:
        raise GitError("this git cannot merge without a worktree: install git 2.38 or newer")
    tree = funnel.judged(ran, "merge-tree").split("\0")[0].strip()
    made = funnel.write("commit-tree", tree, "-p", tip, "-p", head, "-F", "-", stdin=message, env=funnel.identity())
    funnel.write("update-ref", ref, made.strip(), tip)
    return made.strip()


def survey(funnel: Funnel, base_sha: str, head: str, into: str) -> Survey:
    """What a task's commits hold: files and lines changed since they left the base, and each commit's message. What
    an agent merged of the branch `into` is others' work; once that holds `head` it is no measure any more."""
    tip = reading.resolve(funnel, f"refs/heads/{into}") if into else ""
    if reading.is_ancestor(funnel, base_sha, tip) and not reading.is_ancestor(funnel, head, tip):
        base_sha = tip
    out = funnel.read("diff", "--numstat", "-z", "--no-renames", *DIFF_ARGS, f"{base_sha}...{head}", "--")
    rows = [row.split("\t", 2) for row in out.split("\0") if row]
    lines = sum(int(count) for row in rows for count in row[:2] if count.isdigit())
    log = funnel.read("log", "-z", "--no-merges", f"--max-count={MOST}", "--format=%H%n%B", *DIFF_ARGS,
                      f"{base_sha}..{head}", "--")
    messages = tuple((sha, body.strip()) for sha, _, body in (one.partition("\n") for one in log.split("\0") if one))
    return Survey(tuple(row[2] for row in rows), lines, messages)


def _refuse_checked_out(funnel: Funnel, branch: str) -> None:
    for tree in registry.listed(funnel):
        if tree.branch == branch:
            raise ForeignWorktree(
                f"the plan's branch {branch} is checked out in {tree.path}: work merged into it would not show there."
                f" Switch to another branch (git -C {tree.path} switch --detach); nothing was changed")
