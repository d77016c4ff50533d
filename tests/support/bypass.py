"""Sees every write that a process makes, by the interpreter's own audit events, and whether it is made in a crossing.

What Python does not announce is seen elsewhere: SQL by an event of sqlalchemy, signals by pidfd in the source.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
          "os.chown", "os.utime", "os.kill", "os.killpg", "os.putenv")
_SAFE = re.compile(rb"(GET|HEAD|OPTIONS) ")
_READING_SQL = re.compile(r"\s*(SELECT|PRAGMA|BEGIN|COMMIT|ROLLBACK|WITH)\b", re.IGNORECASE)


READING_GIT = (r"(rev-parse|for-each-ref|check-ref-format|status|rev-list|diff|cat-file)( .*)?",
               r"(diff-tree|ls-tree) .*", r".*; f --git-dir=\S+ ls-remote --(heads|symref) .*",
               r"config( -\S+)* --get.*", "remote", r"symbolic-ref --quiet \S+", "worktree list.*")

Exempt = tuple[str, str, str, str]
# Where, which event, what it may be done to, why no crash point is needed there. A life of an issue on this machine
# meets every row but the last.
EXCEPTIONS = (
    (".*", "subprocess.Popen", rf"git ({'|'.join(READING_GIT)})", "git is asked, nothing is changed"),
    ("adapters/github/transport.py", "http.client.send", r"POST /graphql HTTP/1\.1", "a question, or in a crossing"),
    ("adapters/git/network.py", ".*", r".*/coordinator-git-\w+(/.*)?|[\w-]+",
     "the scratch folder of one fetch or push: nobody else knows it, it goes away with the call"),
    ("runfiles/lock.py", "open", r".*\.lock", "an empty file to hold a lock on; its content is never read"),
    ("app/__init__.py", "os.mkdir", r".*/\.coordinator", "an empty folder says nothing and is made again"),
    ("adapters/store/opening.py", "os.mkdir", r".*/\.coordinator", "the same"),
    ("adapters/git/worktrees.py", "os.mkdir", r".*/trees", "the same"),
    ("runfiles/names.py", "os.mkdir", r".*/jobs(/command)?", "the same"),
    ("adapters/git/reading.py", "os.kill", ".*", "a cat-file of ours that has not ended by itself"),
)

# The same of what other lives write besides, by their names; a life meets every row of its own.
OTHERS = {
    "ssh": (
        ("adapters/system/run.py", "subprocess.Popen", r".*/ssh epyc12 -G", "ssh's own settings are read"),
        ("adapters/system/run.py", "subprocess.Popen", r".*/ssh epyc12 .* --far .*",
         "a far end is asked what changes nothing: Link crosses for all else, as another test shows"),
        ("runfiles/names.py", "os.mkdir", r".*/coordinator-bundles", "an empty folder says nothing and is made again"),
        ("adapters/git/rescue.py", ".*", r".*/coordinator-index-\w+(/.*)?|index",
         "the scratch index of one question: nobody else knows it, it goes away with the call"),
        (".*", "subprocess.Popen", r"git (bundle list-heads|merge-base --is-ancestor) .*", "git is asked"),
    ),
    "slurm": (
        ("adapters/system/run.py", "subprocess.Popen", r"/bin/sh -c test -f .* --far .*", "the same"),
        ("adapters/system/run.py", "subprocess.Popen", r"env -0|env .* (squeue|sacct) .*", "Slurm is asked"),
    ),
    "plan": (
        ("adapters/system/vault.py", "os.putenv", ".*COORDINATOR_GITHUB_TOKEN_FD.*", "its own environment"),
        ("adapters/git/worktrees.py", r"os\.(mk|rm)dir", r".*/agents/plan-auth-t\d", "an empty folder, made again"),
        (".*", "subprocess.Popen", r"git (merge-base --is-ancestor|log -z|config user\.name)( .*)?", "git is asked"),
        (".*", "subprocess.Popen", r"git merge-tree --write-tree .*",
         "objects that no ref knows: whoever asks again makes the same"),
    ),
}


@dataclass(frozen=True)
class Seen:
    """One write: the audit event, what it was done to, and the last file of ours that led there."""

    event: str
    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.event} {self.what}"


class Watch:
    """Installed once in a process; nothing takes an audit hook away again."""

    def __init__(self, inside: Callable[[], int]) -> None:
        self._inside = inside
        self.within: list[Seen] = []
        self.outside: list[Seen] = []

    def install(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        sys.addaudithook(self.note)
        event.listen(Engine, "before_cursor_execute",
                     lambda _c, _k, statement, *_: self.note("sql", (statement,)))

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        what = written(event, args)
        if what is not None:
            (self.within if self._inside() else self.outside).append(Seen(event, what, _ours()))


def written(event: str, args: tuple[Any, ...]) -> str | None:
    """What an audit event writes to; None when it changes nothing."""
    if event == "open":
        path, _, flags = args
        writes = isinstance(flags, int) and flags & _WRITING
        return os.fsdecode(path) if writes and isinstance(path, str | bytes) and path != "/dev/null" else None
    if event == "subprocess.Popen":
        return " ".join(os.fsdecode(word) for word in args[1])
    if event == "os.posix_spawn":
        return str(args[0])
    if event == "http.client.send":
        data = args[1]
        started = isinstance(data, bytes) and re.match(rb"[A-Z]+ /\S* HTTP/", data)
        return data.split(b"\r\n")[0].decode() if started and not _SAFE.match(data) else None
    if event == "sql":
        return None if _READING_SQL.match(args[0]) else args[0][:80]
    return " ".join(str(one) for one in args[:2]) if event in _PATHS else None


def _ours() -> str:
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/coordinator/" in name and not name.endswith("/seam.py"):
            return f"coordinator/{name.rpartition('/coordinator/')[2]}"
        frame = frame.f_back
    return "elsewhere"


def allowed(one: Seen, rows: Sequence[Exempt] = EXCEPTIONS) -> int | None:
    """The number of the exception that covers it."""
    for number, (where, event, what, _) in enumerate(rows):
        if (re.fullmatch(f"coordinator/{where}", one.where) and re.fullmatch(event, one.event)
                and re.fullmatch(what, bare(one), re.DOTALL)):
            return number
    return None


def bare(one: Seen) -> str:
    """Without the options before git's command, the mode or descriptor that some events name beside the path."""
    if one.event == "subprocess.Popen":
        return re.sub(r"^git( -c \S+| --\S+)* ", "git ", one.what)
    return re.sub(r" -?\d+$", "", one.what) if one.event.startswith("os.") else one.what


def bypasses(outside: Iterable[Seen], life: str = "") -> list[str]:
    """Of what was written outside of crossings in a life of this name, what no exception covers, once each; and its
    exceptions that it did not meet."""
    rows, left = OTHERS.get(life, ()), [one for one in outside if allowed(one) is None]
    met = {allowed(one, rows) for one in left}
    return [*dict.fromkeys(str(one) for one in left if allowed(one, rows) is None),
            *(f"never met: {row}" for number, row in enumerate(rows) if number not in met)]
