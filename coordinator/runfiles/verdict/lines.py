"""One line of an agent's stdout as a JSON object, and the lines of a log without reading gigabytes.

It must never raise for any bytes whatever: a line may be torn, huge, not UTF-8, not JSON or not an object.
"""

from __future__ import annotations

import json
import os
from math import isfinite

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, Mapping, Optional, Tuple

_ENDED_ANEW = ("assistant", "user")
DEEPEST = 100
"""Levels of nesting; whoever walks through a value of more would run out of stack."""
HEAD = 64 << 10
TAIL = 4 << 20


def parse(line: bytes) -> Optional[Dict[str, Any]]:
    """The JSON object of a line; None for anything else, one that is nested without end included. Undecodable bytes
    become U+FFFD."""
    text = line.decode("utf-8", "replace").strip()
    if not text.startswith("{"):
        return None
    try:
        value = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None
    if text.count("{") + text.count("[") > DEEPEST and _too_deep(value):
        return None
    return value if isinstance(value, dict) else None


def _too_deep(value: object) -> bool:
    level = [value]
    for _ in range(DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list))]
        level = [one for many in inner for one in many]
    return bool(level)


def number(value: object) -> Optional[float]:
    """A finite JSON number as float; None for anything else, bools included."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def goes_on(body: Mapping[str, Any]) -> bool:
    """Whether this object shows that the session went on (so that a result before it was not the last word)."""
    return body.get("type") in _ENDED_ANEW


def both_ends(log: str, head: int = HEAD, tail: int = TAIL) -> Tuple[Iterator[bytes], bool]:
    """(lines, whether they are all of the log): of a long one those of its first and its last bytes: who the
    agent is stands first, how it ended last. Raises OSError."""
    fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    size = os.fstat(fd).st_size
    return _lines(fd, size, head, tail), size <= head + tail


def _lines(fd: int, size: int, head: int, tail: int) -> Iterator[bytes]:
    with os.fdopen(fd, "rb") as stream:
        if size > head + tail:
            yield from stream.read(head).splitlines()[:-1]
            stream.seek(size - tail)
            stream.readline(tail)
        yield from stream
