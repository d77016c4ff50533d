"""What a far shell prints around one command, so that its words and its end are told from those of ssh. Pure."""

from __future__ import annotations

import shlex
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
