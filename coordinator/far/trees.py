"""Worktrees on a host that does not see our files: made of a parcel, and packed into one when the run is over.

A parcel is a git bundle with up to three refs: `head`, where HEAD stood, `branch`, the tip of the task's branch, and
`files`, a commit on top of head with everything that lies in the worktree and is not ignored.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile

from coordinator.far.home import Home, Refused
from coordinator.runfiles import atomic, emptying, gitsafe, names
from coordinator.runfiles.lock import Lock

TYPE_CHECKING = False   # one habit of the rooms that travel
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Sequence, Tuple

OUT = "refs/coordinator/out"
_IN = "refs/coordinator/in"
_LEFT = "refs/coordinator/left"
_PATIENCE = 600
_WHO = {key: "coordinator" if key.endswith("NAME") else "coordinator@localhost"
        for key in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")}


class Git:
    """Git in one bare repository of ours, or on a worktree of it; hardened, since a worker may have written there."""

    def __init__(self, bare: str, tree: str = "", admin: str = "") -> None:
        self._where = ["--git-dir=" + (admin or bare)] + (["--work-tree=" + tree] if tree else [])
        self._cwd = tree or bare
        self._env = gitsafe.hardened_env(os.environ)

    def __call__(self, *args: str, stdin: str = "", env: Optional[Dict[str, str]] = None) -> str:
        """Its output. Raises Refused with git's own words."""
        code, out, err = self._run(args, stdin, {**self._drivers(), **(env or {})})
        if code != 0:
            what = next(word for word in args if not word.startswith("-"))
            words = (err or out).strip()[-600:]
            full = any(os.strerror(each) in words for each in (errno.ENOSPC, errno.EDQUOT))
            raise Refused("disk_full" if full else "worktree_error", "git %s on the host: %s" % (what, words or code))
        return out.strip()

    def ask(self, *args: str) -> str:
        """Its output, "" when git says no."""
        code, out, _ = self._run(args, "", self._drivers())
        return out.strip() if code == 0 else ""

    def _drivers(self) -> Dict[str, str]:
        return gitsafe.driver_env(self._run(gitsafe.DRIVERS_QUERY, "", {})[1])

    def _run(self, args: Sequence[str], stdin: str, env: Dict[str, str]) -> Tuple[int, str, str]:
        ran = subprocess.run(
            ["git", *gitsafe.HARDENED_ARGS, *self._where, *args], env={**self._env, **env}, cwd=self._cwd,
            input=stdin.encode("utf-8", "surrogateescape"), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=_PATIENCE, check=False)
        return (ran.returncode, ran.stdout.decode("utf-8", "surrogateescape"),
                ran.stderr.decode("utf-8", "surrogateescape"))


def bare_of(home: Home, repo: str) -> str:
    return "%s/%s.git" % (home.repos, names.check_name(repo, "repository"))


def path_of(home: Home, repo: str, job: str) -> str:
    return "%s/%s/%s" % (home.trees, names.check_name(repo, "repository"), names.check_name(job))


def had(home: Home, repo: str) -> List[str]:
    """Commits that need not be sent: those that came before."""
    bare = bare_of(home, repo)
    if not os.path.isdir(bare):
        return []
    return sorted(set(Git(bare).ask("for-each-ref", "--format=%(objectname)", "--count=50", "--sort=-committerdate",
                                    _IN).split()))


def make(home: Home, job: str, parcel: Dict[str, Any]) -> str:
    """A fresh worktree as the parcel has it; the folder. What an earlier run left there goes: it was fetched, or given
    up for good. Raises Refused, OSError."""
    repo, branch = parcel["repo"], parcel["branch"]
    bare, path = bare_of(home, repo), path_of(home, repo, job)
    if not os.path.isdir(bare):
        _init(home, bare)
    git = Git(bare)
    git("check-ref-format", "refs/heads/" + branch)
    _cut_off(bare, parcel.get("shallow", []))
    if parcel.get("file"):
        git("bundle", "unbundle", home.parcel(parcel["file"]))
    _leave(git, job, branch)
    _drop(git, path)
    git("update-ref", "%s/%s" % (_IN, job), parcel["head"])
    git("update-ref", "refs/heads/" + branch, parcel["head"])
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # by force: another worker may have checked this branch out in its own worktree
    git("-c", "checkout.workers=4", "worktree", "add", "--quiet", "--force", "--", path, branch)
    if parcel.get("files"):
        tree = Git(bare, path, _admin(bare, path))
        tree("restore", "--source=" + parcel["files"], "--worktree", "--no-overlay", "--", ":/")
    _exclude(bare, parcel.get("exclude", []))
    if parcel.get("file"):
        home.drop(parcel["file"])
    return path


def forget(home: Home, repo: str, job: str) -> None:
    """That there was a worktree of this job; its commits may go with git's own tidying."""
    bare = bare_of(home, repo)
    if os.path.isdir(bare):
        git = Git(bare)
        git("worktree", "prune", "--expire=now")
        refs = ["%s/%s" % (each, job) for each in (OUT, _IN, _LEFT)]
        for ref in git.ask("for-each-ref", "--format=%(refname)", *refs).split():
            git("update-ref", "-d", ref)


def _init(home: Home, bare: str) -> None:
    making = tempfile.mkdtemp(prefix=".new-", dir=home.repos)
    try:
        Git(making)("init", "--quiet", "--bare", making)
        os.rename(making, bare)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        if not os.path.isdir(bare):
            raise


def _cut_off(bare: str, commits: List[str]) -> None:
    """The history of a shallow clone ends here where it ends there, or git would ask for what nobody has."""
    target = bare + "/shallow"
    known = (atomic.read(target) or b"").decode("ascii", "replace").split()
    lines = sorted({*known, *commits})
    if lines != known:
        atomic.write(target, "".join(line + "\n" for line in lines).encode("ascii"))


def _exclude(bare: str, lines: List[str]) -> None:
    """Whole or not at all: other workers commit meanwhile, and it keeps secrets out of what they add."""
    target = bare + "/info/exclude"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    atomic.write(target, "".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))


def _leave(git: Git, job: str, branch: str) -> None:
    """Commits of an earlier run that were never brought home get a ref of their own, until the job is forgotten."""
    for name in ("refs/heads/" + branch, "worktrees/%s/HEAD" % job):
        sha = git.ask("rev-parse", "--verify", "--quiet", name + "^{commit}")
        if sha and not git.ask("for-each-ref", "--count=1", "--contains=" + sha, OUT, _IN, _LEFT):
            git("update-ref", "%s/%s/%s" % (_LEFT, job, sha[:12]), sha)


def _drop(git: Git, path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        emptying.remove_all(path)
    git("worktree", "prune", "--expire=now")


def _admin(bare: str, path: str) -> str:
    """The worktree's own git directory, by what the repository says of it."""
    folder = bare + "/worktrees"
    for name in os.listdir(folder):
        try:
            with open("%s/%s/gitdir" % (folder, name), encoding="utf-8", errors="surrogateescape") as stream:
                noted = os.path.join(folder, name, stream.read().strip())   # git may note it as seen from there
                if os.path.realpath(noted) == os.path.realpath(path + "/.git"):
                    return "%s/%s" % (folder, name)
        except OSError:
            continue
    raise Refused("worktree_error", "%s is no worktree of %s any more" % (path, bare))


def packing(home: Home, job: str) -> Lock:
    """Held while the work of this job is packed. Raises Busy at once: that may take long, and who asks comes again."""
    return Lock("%s/%s.packing" % (home.jobs, names.check_name(job)), 0.0)


def pack(home: Home, job: str, asked: Dict[str, Any]) -> Dict[str, Any]:
    """The parcel of a run that is over: {head, on, branch, files, file, size, sha256}; `file` "" when it holds nothing
    but what was sent. `on` is the branch HEAD stands on, `extra` names files that go along though they are ignored.
    Only within `packing`. Raises Refused, OSError."""
    bare, path = bare_of(home, asked["repo"]), path_of(home, asked["repo"], job)
    if not os.path.isdir(path):
        raise Refused("worktree_error", "the worktree %s is gone" % path)
    tree = Git(bare, path, _admin(bare, path))
    tip = tree.ask("rev-parse", "--verify", "--quiet", "refs/heads/%s^{commit}" % asked["branch"]) or asked["head"]
    head = tree.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}") or tip
    told = {"head": head, "branch": tip, "on": tree.ask("symbolic-ref", "--quiet", "HEAD"), "file": "",
            "files": _snapshot(tree, path, head, asked.get("extra", []))}
    refs = {kind: told[kind] for kind in ("head", "branch", "files") if told[kind] and told[kind] != asked["head"]}
    if not refs:
        return told
    git = Git(bare)
    for kind, sha in refs.items():
        git("update-ref", "%s/%s/%s" % (OUT, job, kind), sha)
    name = "%s.out" % job
    making = "%s.%d" % (home.parcel(name), os.getpid())   # a git that outlived who called it may still write another
    git("bundle", "create", "--quiet", making, *["%s/%s/%s" % (OUT, job, kind) for kind in refs], "^" + asked["head"])
    os.replace(making, home.parcel(name))
    size, sha256 = home.weigh(name)
    if size > asked["limit"]:
        home.drop(name)
        for kind in refs:   # they stay here, and the next worker's start must know it
            git("update-ref", "-d", "%s/%s/%s" % (OUT, job, kind))
        raise Refused("parcel_refused", "the work is %d bytes, at most %d are taken home; it lies in %s on the host"
                      % (size, asked["limit"], path))
    return {**told, "file": name, "size": size, "sha256": sha256}


def owed(home: Home, repo: str, job: str) -> bool:
    """Whether commits or files of this job lie here that never went home, or that nobody can tell of."""
    try:
        bare, path = bare_of(home, repo), path_of(home, repo, job)
        tree = Git(bare, path, _admin(bare, path))
        head = tree("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if (os.path.exists(home.parcel("%s.out" % job)) or tree.ask("for-each-ref", "%s/%s" % (_LEFT, job))
                or not tree.ask("for-each-ref", "--count=1", "--contains=" + head, OUT, _IN)):
            return True
        sent = tree.ask("rev-parse", "--verify", "--quiet", "%s/%s/files^{commit}" % (OUT, job))
        return not any(_lies_so(tree, each) for each in (head, sent) if each)
    except (Refused, OSError, ValueError, subprocess.TimeoutExpired):
        return True


def _lies_so(tree: Git, commit: str) -> bool:
    """Whether the files there are those of this commit; no object is written, for the disk may be full."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": folder + "/index"}
        tree("read-tree", commit, env=env)
        return not tree("ls-files", "-z", "--modified", "--others", "--exclude-standard", env=env)


def _snapshot(tree: Git, path: str, head: str, extra: List[str]) -> str:
    """A commit of everything that lies there, "" when HEAD has it all. The worktree's own index is not touched."""
    with tempfile.TemporaryDirectory() as folder:
        env = {"GIT_INDEX_FILE": folder + "/index", **_WHO}
        tree("read-tree", head, env=env)
        others = tree("ls-files", "-z", "--others", "--exclude-standard", env=env).split("\0")
        nested = [":(exclude,literal)" + name for name in others if name.endswith("/")]   # no commit of ours holds one
        tree("add", "--all", "--", ".", *nested, env=env)
        there = [name for name in extra if os.path.lexists("%s/%s" % (path, name))]
        if there:
            tree("--literal-pathspecs", "add", "--force", "--", *there, env=env)
        made = tree("write-tree", env=env)
        if made == tree("rev-parse", head + "^{tree}"):
            return ""
        return tree("commit-tree", made, "-p", head, "-m", "the files as they lay", env=env)
