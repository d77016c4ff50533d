"""Parts of files on the cluster in one command: a script for a plain shell, and the reading of what it prints.

Text in, text out. Paths and patterns of other people's jobs stand in it, always quoted: nothing of them is run.
"""

from __future__ import annotations

import base64
import binascii
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WILD = "*?[]"
_MOST_FOUND = 200
"""Files that one pattern may find; more are of no use to anybody who asked for an expected one."""

_TAIL = """\
export LC_ALL=C
t() {
  [ -f "$2" ] && [ -r "$2" ] || return 0
  s=$(($(wc -c < "$2")))
  f=$3
  [ "$s" -lt "$f" ] && f=0
  [ "$s" -gt "$f" ] || return 0
  n=$((s - f))
  [ "$n" -gt "$4" ] && n=$4
  printf '@ %s %s\\n' "$1" "$s"
  tail -c "$n" "$2" | base64
}
"""
_LOOK = """\
export LC_ALL=C
e() {
  [ -e "$2" ] || return 0
  if [ -d "$2" ]; then printf '@ %s %s %s\\n' "$1" 0 d; printf %s "$2" | base64; echo -; return 0; fi
  [ -r "$2" ] && s=$(($(wc -c < "$2"))) || s=1
  printf '@ %s %s %s\\n' "$1" "$s" f
  printf %s "$2" | base64
  echo -
  [ "$s" -le "$3" ] && base64 < "$2"
  return 0
}
"""

_REMOVE = """\
export LC_ALL=C
r() {
  w=$(cd -P -- "$2" && pwd) || return 0
  d=$(cd -P -- "$(dirname -- "$3")" && pwd) || return 0
  case "$d/" in "$w"/*) ;; *) return 0 ;; esac
  rm -rf -- "$3" && [ ! -e "$3" ] && echo "$1"
  return 0
}
"""


@dataclass(frozen=True)
class Part:
    """Of the file asked for as number `number`: its size, and the bytes that were wanted."""

    number: int
    size: int
    content: bytes


@dataclass(frozen=True)
class Found:
    """A file that the pattern asked for as number `number` found; `content` None where it is too large to be read, or
    a folder."""

    number: int
    path: str
    size: int
    content: bytes | None


def tails_script(wanted: Sequence[tuple[str, int, int]]) -> str:
    """(path, start, most): of each file that is longer than `start` the last `most` bytes behind it. One that became
    shorter was written anew and is read from its beginning."""
    lines = (f"t {number} {shlex.quote(path)} {start} {most}" for number, (path, start, most) in enumerate(wanted))
    return _TAIL + "\n".join(lines) + "\n"


def read_tails(out: bytes) -> Iterator[Part]:
    for head, body in _blocks(out):
        if len(head) == 2 and all(one.isdecimal() for one in head):
            yield Part(int(head[0]), int(head[1]), _decoded(body))


def look_script(wanted: Sequence[tuple[str, int]]) -> str:
    """(pattern, most): the files that each absolute pattern finds, with the whole content of those that are no longer
    than `most` bytes."""
    lines = []
    for number, (pattern, most) in enumerate(wanted):
        lines.append(f"i=0; for f in {quoted_pattern(pattern)}; do i=$((i + 1)); [ $i -gt {_MOST_FOUND} ] && break; "
                     f'e {number} "$f" {most}; done')  # fmt: skip
    return _LOOK + "\n".join(lines) + "\n"


def remove_script(wanted: Sequence[tuple[str, str]]) -> str:
    """(folder, path): removes each path that truly lies below its folder, whatever links stand in it; prints the
    numbers of those that are gone."""
    lines = (f"r {number} {shlex.quote(folder)} {shlex.quote(path)}" for number, (folder, path) in enumerate(wanted))
    return _REMOVE + "\n".join(lines) + "\n"


def read_look(out: bytes) -> Iterator[Found]:
    for head, body in _blocks(out):
        if len(head) == 3 and head[0].isdecimal() and head[1].isdecimal():
            name, _, content = body.partition(b"-\n")
            path = _decoded(name).decode("utf-8", "surrogateescape")
            size, whole = int(head[1]), _decoded(content)
            yield Found(int(head[0]), path, size, whole if head[2] == "f" and len(whole) == size else None)


def quoted_pattern(pattern: str) -> str:
    """The pattern as a shell expands it, with nothing else in it that a shell knows."""
    parts = re.split(r"([*?\[\]])", pattern)
    return "".join(part if part in _WILD else _quoted(part) for part in parts if part)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./-]+", text, re.ASCII) else shlex.quote(text)


def _blocks(out: bytes) -> Iterator[tuple[list[str], bytes]]:
    """What stands behind each line that begins with `@ `: base64 has no such sign."""
    for block in re.split(rb"^@ ", out, flags=re.MULTILINE)[1:]:
        head, _, body = block.partition(b"\n")
        yield head.decode("ascii", "replace").split(), body


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()))
    except binascii.Error:
        return b""
