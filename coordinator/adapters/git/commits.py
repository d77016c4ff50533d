"""What an agent left in its worktree, measured and committed. Nothing of ours speaks to the remote here."""

from __future__ import annotations

from coordinator.adapters.git import reading, registry, rescue
from coordinator.adapters.git.funnel import Funnel, Tree
from coordinator.adapters.git.naming import NOTES, RESCUE
from coordinator.domain.outcome import Work
from coordinator.ports import GitError
from coordinator.runfiles.gitsafe import DIFF_ARGS

MOST = 100


def head_of(funnel: Funnel, tree: Tree) -> str:
    """The commit HEAD stands on, "" while it is unborn."""
    return funnel.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}", tree=tree) or ""


def branch_of(funnel: Funnel, tree: Tree) -> str:
    """The branch HEAD is on, "" when it is detached."""
    return (funnel.ask("symbolic-ref", "--quiet", "HEAD", tree=tree) or "").removeprefix("refs/heads/")


def work(funnel: Funnel, tree: Tree, branch: str, base_sha: str, remote_ref: str) -> Work:
    head = head_of(funnel, tree)
    commits = reading.count(funnel, base_sha, head) if head and base_sha else 0
    dirt = rescue.dirt(funnel, tree)
    pushed = bool(head) and bool(remote_ref) and reading.is_ancestor(funnel, head, reading.resolve(funnel, remote_ref))
    return Work(base_sha=base_sha, head_sha=head, commits=commits, dirty=dirt.paths + dirt.nested, pushed=pushed,
                branch_ok=branch_of(funnel, tree) == branch)


def take_home(funnel: Funnel, tree: Tree, branch: str) -> bool:
    """The branch moves on to HEAD and HEAD onto the branch; index and files stay as they are."""
    if branch_of(funnel, tree) == branch:
        return True
    head, ours = head_of(funnel, tree), reading.resolve(funnel, f"refs/heads/{branch}")
    if not head or not ours or not reading.is_ancestor(funnel, ours, head):
        return False
    funnel.write("update-ref", f"refs/heads/{branch}", head, ours, tree=tree)
    funnel.write("symbolic-ref", "HEAD", f"refs/heads/{branch}", tree=tree)
    return True


def unpushed(funnel: Funnel, tree: Tree) -> int:
    """Commits of HEAD that neither the remote, as last fetched, nor a rescue ref has."""
    head = head_of(funnel, tree)
    if not head:
        return 0
    return int(funnel.read("rev-list", "--count", head, "--not", "--remotes", f"--glob={RESCUE}*", "--"))


def commit_all(funnel: Funnel, tree: Tree, message: str) -> str | None:
    """Commits all but notes, nested repositories and what no commit can hold; what an agent staged of those is taken
    back out. Raises GitError when HEAD is not on the branch of the task."""
    wanted, on = registry.mark(tree)[1], branch_of(funnel, tree)
    if wanted and on != wanted:
        raise GitError(f"{tree.path} is on {on or 'no branch'} instead of {wanted}: not committed")
    rescue.stage(funnel, tree, rescue.dirt(funnel, tree).paths, stays=True)
    _unstage(funnel, tree)
    if funnel.ask("diff", "--cached", "--quiet", *DIFF_ARGS, tree=tree) is not None:
        return None
    funnel.write("commit", "--quiet", "--no-verify", "--no-gpg-sign", "--cleanup=whitespace", "--file=-", tree=tree,
                 stdin=message, env=funnel.identity())
    return head_of(funnel, tree)


def _unstage(funnel: Funnel, tree: Tree) -> None:
    """Notes and new nested repositories go back to what HEAD has of them: mostly nothing."""
    staged = funnel.read("diff", "--cached", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv",
                         "--ignore-submodules=none", tree=tree).split("\0")
    names = [name for fact, name in zip(staged[::2], staged[1::2], strict=False)
             if name in NOTES or fact.split(" ")[:2] == [":000000", "160000"]]
    if names and head_of(funnel, tree):
        funnel.write("--literal-pathspecs", "reset", "--quiet", "--pathspec-from-file=-", "--pathspec-file-nul",
                     tree=tree, stdin="\0".join(names))
    elif names:
        funnel.write("--literal-pathspecs", "rm", "--quiet", "--cached", "--pathspec-from-file=-",
                     "--pathspec-file-nul", tree=tree, stdin="\0".join(names))


def summary(funnel: Funnel, head: str, base_sha: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(a line a commit, oldest first; a line a changed file since the branch left the base)."""
    if not head or not base_sha:
        return (), ()
    out = funnel.read("diff", "--name-status", "-z", "--no-renames", *DIFF_ARGS, f"{base_sha}...{head}", "--")
    fields = out.split("\0")
    files = [f"{status} {_shown(name)}" for status, name in zip(fields[::2], fields[1::2], strict=False)]
    return reading.subjects(funnel, base_sha, head, MOST), tuple(files[:MOST])


def _shown(name: str) -> str:
    """One line, whatever bytes the name holds."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "�" for char in text)
