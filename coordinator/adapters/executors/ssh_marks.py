"""What a far shell prints around one command, so that its words and its end are told from those of ssh. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Heard:
    """What came on stderr: `err` without our marks; `code` the command's own, None when its end was not heard; `leader`
    the far process that all of it runs under, 0 before it began."""

    err: str
    code: int | None
    leader: int

    @property
    def begun(self) -> bool:
        return self.leader > 0


class Marks:
    """On stdout that the command begins, on stderr that it begins, under which process, and how it ended. `nonce` is a
    word that nothing else prints."""

    def __init__(self, nonce: str) -> None:
        self.begin, self.end = f"<begun {nonce} ", f"<ended {nonce} "

    def around(self, remote: str, *, on_stdout: bool = True) -> str:
        """The line for whatever shell the far user has; it hands `remote` to that same shell."""
        out = f"printf %s '{self.begin}'; " if on_stdout else ""
        script = (
            f"{out}printf '%s%s>' '{self.begin}' $$ >&2; "
            f'"${{SHELL:-/bin/sh}}" -c "$1"; printf \'%s%s>\' \'{self.end}\' $? >&2'
        )
        return f"exec /bin/sh -c {shlex.quote(script)} sh {shlex.quote(remote)}"

    def read(self, err: str) -> Heard:
        before, begun, rest = err.partition(self.begin)
        leader, _, rest = rest.partition(">")
        if not begun or not leader.isdecimal():
            return Heard(before, None, 0)
        said, ended, tail = rest.rpartition(self.end)
        code, _, after = tail.partition(">")
        if not ended or not code.isdecimal():
            return Heard(before + (said or tail), None, int(leader))
        return Heard(before + said + after, int(code), int(leader))


def with_path(folders: Sequence[str], remote: str) -> str:
    """The line with these folders of the host (`~/` is its home) put before its PATH; still for any shell."""
    if not folders:
        return remote
    first = ":".join(at_home(each) for each in folders)
    script = f'PATH={first}:"$PATH"; export PATH; exec "${{SHELL:-/bin/sh}}" -c "$1"'
    return f"exec /bin/sh -c {shlex.quote(script)} sh {shlex.quote(remote)}"


def at_home(path: str) -> str:
    """Quoted for a shell, a leading ~/ still meaning the far home."""
    return f'"$HOME"/{shlex.quote(path[2:])}' if path.startswith("~/") else shlex.quote(path)


class Sieve:
    """Takes the marks out of a stderr that is passed on as it comes. What was said before the command began is kept
    back: it is ssh's, and belongs into an error when nothing comes after it."""

    def __init__(self, marks: Marks) -> None:
        self._begin, self._end = marks.begin.encode(), marks.end.encode()
        self._kept = b""
        self.leader = 0
        self.code: int | None = None

    def feed(self, data: bytes) -> bytes:
        """What of it can be shown already."""
        self._kept += data
        shown = b""
        if not self.leader:
            before, begun, rest = self._kept.partition(self._begin)
            number, closed, rest = rest.partition(b">")
            if not begun or not closed or not number.isdigit():
                return b""
            self.leader, self._kept, shown = int(number), rest, before
        said, ended, rest = self._kept.partition(self._end)
        if ended:
            number, closed, rest = rest.partition(b">")
            if closed and number.isdigit():
                self.code, self._kept = int(number), b""
                return shown + said + rest
            self._kept = self._kept[len(said):]
            return shown + said
        whole = len(self._kept) - _overlap(self._kept, self._end)
        shown, self._kept = shown + self._kept[:whole], self._kept[whole:]
        return shown

    def rest(self) -> bytes:
        """What was kept back, at the end."""
        kept, self._kept = self._kept, b""
        return kept


def _overlap(data: bytes, mark: bytes) -> int:
    """Bytes at the end of `data` that a mark may begin with."""
    return next((size for size in range(min(len(mark) - 1, len(data)), 0, -1) if data.endswith(mark[:size])), 0)
