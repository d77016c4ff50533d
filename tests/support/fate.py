"""When a coordinator dies: at a named write, before it, after it, or within it. Lives in the process that is to die."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import Any

KILLED = 137


@dataclass(frozen=True)
class Write:
    """One external write of a life: the `nth` of its kind and name, so that a faster worker moves nothing."""

    kind: str
    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.kind} {self.what}" + (f" ({self.nth})" if self.nth > 1 else "")


@dataclass(frozen=True)
class Point:
    """Where to die: "before" is intent without effect, "after" is effect without fact, "within" is half of it: a
    temporary file cut in two, a transaction not committed, a request sent and its answer not read, a program started
    that nobody waits for."""

    when: str
    write: Write

    def __str__(self) -> str:
        return f"{self.when} {self.write}"


@dataclass
class Fate:
    """Notes every write of this process and which of them have a middle to die in; ends it at `die`, by no more than
    the kernel would do. `step` goes before the names where a life is several commands."""

    folder: Path
    die: Point | None
    log: list[str]
    step: str = ""
    writes: list[Write] = field(default_factory=list)
    middles: list[Write] = field(default_factory=list)
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _local: local = field(default_factory=local)

    @property
    def _open(self) -> list[Write]:
        """The crossings that this thread is in."""
        if not hasattr(self._local, "open"):
            self._local.open = []
        found: list[Write] = self._local.open
        return found

    def install(self) -> None:
        """For the rest of this process."""
        import http.client
        import subprocess

        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        from coordinator.adapters.system import seam

        seam.watch(self._cross)
        sys.addaudithook(self._moved)
        event.listen(Engine, "commit", lambda _: self._middle("store"))
        _behind(subprocess.Popen, "__init__", lambda: self._middle("git", "process"))
        _before(http.client.HTTPConnection, "getresponse", lambda: self._middle("github"))

    def _cross(self, when: str, kind: str, what: str) -> None:
        name = self.step + name_of(self.folder, what)
        self._seen[when, kind, name] += 1
        write = Write(kind, name, self._seen[when, kind, name])
        if when == "before":
            self.writes.append(write)
            self._open.append(write)
        elif self._open:
            self._open.pop()
        if self.die == Point(when, write):
            self._end()

    def _moved(self, event: str, args: tuple[Any, ...]) -> None:
        """A file comes in place of another: torn, its temporary one holds half of it."""
        if event == "os.rename" and self._open and self._open[-1].kind == "file":
            if self.die == Point("within", self._open[-1]):
                with suppress(OSError):
                    os.truncate(args[0], Path(args[0]).stat().st_size // 2)
            self._middle("file")

    def _middle(self, *kinds: str) -> None:
        write = self._open[-1] if self._open else None
        if write is None or write.kind not in kinds:
            return
        if write not in self.middles:
            self.middles.append(write)
        if self.die == Point("within", write):
            self._end()

    def _end(self) -> None:
        with (self.folder / "log").open("a") as out:
            out.write("".join(f"{line}\n" for line in [f"--- {os.getpid()}", *self.log, f"died {self.die}"]))
        os._exit(KILLED)


def _behind(kind: type, name: str, then: Any) -> None:
    plain = getattr(kind, name)

    def call(*args: Any, **more: Any) -> Any:
        made = plain(*args, **more)
        then()
        return made

    setattr(kind, name, call)


def _before(kind: type, name: str, first: Any) -> None:
    plain = getattr(kind, name)

    def call(*args: Any, **more: Any) -> Any:
        first()
        return plain(*args, **more)

    setattr(kind, name, call)


def name_of(folder: Path, what: str) -> str:
    """The same name in every plot."""
    short = what.replace(str(folder), "").replace(folder.name, "PLOT").replace("/clone/.coordinator/", "")
    return re.sub(r"comments/\d+", "comments/ID", re.sub(r"[0-9a-f]{12,}|(?<=-)[0-9a-f]{8}(?=/)", "HASH", short))
