"""Commits what an agent had not committed when its scheduler ended the run. Imported only where that may happen, and
never the reason that an outcome is missing: whatever goes wrong is words.

The commit is built on a copy of the index that is put in place last, so a wrapper that is killed meanwhile leaves the
worktree as it was. What is left out is what the coordinator's own commits leave out, and run files. The repository
counts as hostile (runfiles/gitsafe.py); which one it is was looked up before the agent ran.
"""

from __future__ import annotations

import os
import signal
import time

from coordinator.runfiles import atomic
from coordinator.runfiles.gitsafe import (
    DIFF_ARGS,
    DRIVERS_QUERY,
    HARDENED_ARGS,
    STATUS_ARGS,
    driver_env,
    hardened_env,
)

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, List, Optional, Tuple

    from coordinator.worker.spec import Spec

NOTES = ("STOP", "BLOCKED.md")
_RUN_FILES = ".coordinator/"
_MARK = "coordinator"   # in the worktree's git directory, by the coordinator: task and branch, a line each, quoted
_HALF = {"MERGE_HEAD": "merge", "CHERRY_PICK_HEAD": "cherry-pick", "REVERT_HEAD": "revert"}
_IDENTITY = {"NAME": "Coordinator", "EMAIL": "coordinator@localhost"}
_WORDS = 300
_NO = "its uncommitted work was left as it is: %s"


class _Trouble(Exception):
    """Why nothing is committed."""


def place_of(folder: str) -> str:
    """The git directory of the worktree that this folder is; "" where there is none, or its two ends disagree."""
    link = folder + "/.git"
    try:
        if not os.path.islink(link) and os.path.isdir(link):
            return os.path.realpath(link)
        named = _line(link)
        place = os.path.realpath(os.path.join(folder, named[len("gitdir: "):]))
        back = os.path.join(place, os.path.dirname(_line(place + "/gitdir")))   # git may note it as seen from there
    except (OSError, ValueError):
        return ""
    return place if named.startswith("gitdir: ") and os.path.realpath(back) == os.path.realpath(folder) else ""


def keep(place: str, spec: Spec, message: str) -> str:
    """Within the spec's `keep` seconds; what became of it, for people. `place` is what `place_of` said before the
    run."""
    if not place or place_of(spec.cwd) != place:
        return _NO % "%s is no worktree, or is one of another repository than before" % spec.cwd
    index = place + "/index.coordinator"
    try:
        return _commit(_Git(place, spec, index), place, index, message)
    except Exception as error:  # noqa: BLE001 - whatever the agent made of its repository: an outcome there must be
        return _NO % error
    finally:
        for left in (index, index + ".lock"):
            _drop(left)


def _commit(git: _Git, place: str, index: str, message: str) -> str:
    branch, head = _branch(git, place), git.ask("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    _copy(place + "/index", index)
    _stage(git, head)
    if git.agrees("diff", "--cached", "--quiet", *DIFF_ARGS):
        return "nothing was uncommitted"
    tree = git.run("write-tree").strip()
    parent = ["-p", head] if head else []
    made = git.run("commit-tree", tree, *parent, "-F", "-", given=message + "\n", env=_identity(git)).strip()
    git.run("update-ref", "-m", "commit: " + message, "HEAD", made, head or "0" * len(made))
    os.replace(index, place + "/index")
    return "its uncommitted work was committed to %s as %s" % (branch, made[:10])


def _branch(git: _Git, place: str) -> str:
    """The branch to commit to: the task's own, where the coordinator noted one."""
    for name, word in _HALF.items():
        if os.path.lexists(place + "/" + name):
            raise _Trouble("a %s is under way" % word)
    on = git.ask("symbolic-ref", "--quiet", "HEAD")[len("refs/heads/"):]
    wanted = marked(place)
    if not on or (wanted and on != wanted):
        raise _Trouble("it is on %s instead of %s" % (on or "no branch", wanted or "one"))
    return on


def marked(place: str) -> str:
    """The branch of the task that this worktree was made for; "" where nobody noted one."""
    from urllib.parse import unquote  # dear, and this runs once

    lines = (atomic.read(place + "/" + _MARK, 8192) or b"").decode("utf-8", "replace").split("\n")
    return unquote(lines[1], errors="surrogatepass") if len(lines) > 1 else ""


def _stage(git: _Git, head: str) -> None:
    """All that git shows, but notes, run files and repositories inside this one; what the agent staged of those goes
    back to what HEAD has."""
    shown = git.run("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", *STATUS_ARGS).split("\0")
    names = [entry[3:] for entry in shown if len(entry) > 3 and entry[:2] != "D "]   # such a removal is staged already
    _fed(git, ("add", "-A", "-f"), [name for name in names if not _left_out(name) and not name.endswith("/")])
    facts = git.run("diff", "--cached", "--raw", "-z", "--no-renames", "--no-ext-diff", "--no-textconv",
                    "--ignore-submodules=none").split("\0")
    pairs = [facts[at:at + 2] for at in range(0, len(facts) - 1, 2)]
    back = [name for fact, name in pairs if _left_out(name) or fact.split(" ")[:2] == [":000000", "160000"]]
    _fed(git, ("reset", "--quiet") if head else ("rm", "--quiet", "--cached"), back)


def _left_out(name: str) -> bool:
    return name in NOTES or name.startswith(_RUN_FILES)


def _fed(git: _Git, words: Tuple[str, ...], names: List[str]) -> None:
    if names:
        git.run("--literal-pathspecs", *words, "--pathspec-from-file=-", "--pathspec-file-nul", given="\0".join(names))


def _identity(git: _Git) -> Dict[str, str]:
    """The agent's or the repository's own author, else ours."""
    if git.ask("config", "user.name") and git.ask("config", "user.email"):
        return {}
    keys = ["GIT_%s_%s" % (who, what) for who in ("AUTHOR", "COMMITTER") for what in _IDENTITY]
    return {key: os.environ.get(key) or _IDENTITY[key.rpartition("_")[2]] for key in keys}


class _Git:
    """Git calls on one worktree, its own git directory named, on the copy of its index."""

    def __init__(self, place: str, spec: Spec, index: str) -> None:
        self._until = time.monotonic() + spec.keep
        self._scratch = spec.path("keep") + ".%d.tmp" % os.getpid()
        self._argv = ["git", "-C", spec.cwd, *HARDENED_ARGS, "--git-dir=" + place, "--work-tree=" + spec.cwd]
        self._env = {**hardened_env(os.environ), "GIT_INDEX_FILE": index}
        code, listing, words = self._call(DRIVERS_QUERY)
        if code not in (0, 1):   # 1: none is configured
            raise _Trouble(words)   # what would run cannot be known, so nothing is run
        self._env.update(driver_env(listing))

    def ask(self, *words: str) -> str:
        """"" where git says no."""
        code, out, _ = self._call(words)
        return out.strip() if code == 0 else ""

    def agrees(self, *words: str) -> bool:
        return self._call(words)[0] == 0

    def run(self, *words: str, given: str = "", env: Optional[Dict[str, str]] = None) -> str:
        """Raises _Trouble with git's own words."""
        code, out, said = self._call(words, given, env)
        if code:
            raise _Trouble("git %s: %s" % (words[0], said or "exit %d" % code))
        return out

    def _call(self, words: Tuple[str, ...], given: str = "",
              env: Optional[Dict[str, str]] = None) -> Tuple[int, str, str]:
        """Exit code, stdout and the last words of stderr. Files stand for pipes: nobody has to read them meanwhile."""
        files = [self._file() for _ in range(3)]
        try:
            _fill(files[0], given.encode("utf-8", "surrogateescape"))
            os.lseek(files[0], 0, os.SEEK_SET)
            actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(files)]
            pid = os.posix_spawnp("git", [*self._argv, *words], {**self._env, **(env or {})}, file_actions=actions,
                                  setpgroup=0, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGTERM, signal.SIGINT))
            code = self._end_of(pid)
            out, err = (_whole(fd) for fd in files[1:])
        finally:
            for fd in files:
                os.close(fd)
        return code, out, " ".join(err.split())[-_WORDS:]

    def _file(self) -> int:
        fd = os.open(self._scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.unlink(self._scratch)
        return fd

    def _end_of(self, pid: int) -> int:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            if time.monotonic() >= self._until:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                raise _Trouble("git took longer than there is time")
            time.sleep(0.005)


def _copy(source: str, target: str) -> None:
    """An index may be larger than any run file; there is none in a repository without a commit."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    _drop(target)   # whatever a killed wrapper left, or an agent laid as a trap
    try:
        made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            for chunk in iter(lambda: os.read(fd, 1 << 20), b""):
                _fill(made, chunk)
        finally:
            os.close(made)
    finally:
        os.close(fd)


def _fill(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest):]


def _drop(name: str) -> None:
    try:
        os.unlink(name)
    except OSError:
        pass   # put in place, or never made


def _whole(fd: int) -> str:
    return os.pread(fd, os.fstat(fd).st_size, 0).decode("utf-8", "surrogateescape")


def _line(target: str) -> str:
    return (atomic.read(target, 8192) or b"").decode("utf-8", "surrogateescape").rstrip("\n")
