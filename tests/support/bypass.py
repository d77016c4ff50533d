"""Sees every write that a process makes, by the interpreter's own audit events, and whether it is made in a crossing.

What Python does not announce is seen elsewhere: SQL by an event of sqlalchemy, signals by pidfd in the source.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
          "os.chown", "os.utime", "os.kill", "os.killpg", "os.putenv")
_SAFE = re.compile(rb"(GET|HEAD|OPTIONS) ")
_READING_SQL = re.compile(r"\s*(SELECT|PRAGMA|BEGIN|COMMIT|ROLLBACK|WITH)\b", re.IGNORECASE)


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
