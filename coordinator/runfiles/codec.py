"""key=value text, one pair a line: the form of every run file. Pure; a torn or foreign line does no harm."""

from __future__ import annotations

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Dict, List, Optional

_ESCAPES = {"n": "\n", "r": "\r", "\\": "\\"}


def _line(key: str, value: str) -> str:
    if not key or key != key.strip() or key[0] == "#" or "=" in key or "\n" in key or "\r" in key:
        raise ValueError("a run file cannot hold the key %r" % key[:80])
    return key + "=" + value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r") + "\n"


def encode(pairs: Mapping[str, str]) -> bytes:
    """Raises ValueError for a key that a line cannot hold."""
    return "".join(_line(key, value) for key, value in pairs.items()).encode("utf-8", "surrogateescape")


def decode(data: bytes) -> Dict[str, str]:
    """Every readable pair; of a repeated key the last. Lines without a key are passed over."""
    pairs: Dict[str, str] = {}
    for line in _lines(data):
        key = _key(line)
        if key is not None:
            pairs[key] = _unescape(line.partition("=")[2])
    return pairs


def merge(data: bytes, changes: Mapping[str, str]) -> bytes:
    """`data` with these pairs set. Unknown keys, comments and their order stay: people edit these files."""
    kept: List[str] = []
    left = dict(changes)
    for line in reversed(_lines(data)):
        key = _key(line)
        if key is None or key not in changes:
            kept.append(line + "\n")
        elif key in left:
            kept.append(_line(key, left.pop(key)))
    text = "".join(reversed(kept)) + "".join(_line(key, value) for key, value in left.items())
    return text.encode("utf-8", "surrogateescape")


def number(text: str, default: float = 0.0) -> float:
    """A number out of a file that anybody may have written; `default` for anything else."""
    try:
        value = float(text)
    except ValueError:
        return default
    return value if abs(value) < float("inf") else default   # not a number is not less than anything


def whole(text: str, default: int = 0) -> int:
    return int(number(text, float(default)))


def _lines(data: bytes) -> List[str]:
    """Lines end at a newline alone; a carriage return before it is an editor's, ours are escaped."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line[:-1] if line.endswith("\r") else line for line in lines]


def _key(line: str) -> Optional[str]:
    key, equals, _ = line.partition("=")
    key = key.strip()
    return key if equals and key and key[0] != "#" and "\r" not in key else None


def _unescape(value: str) -> str:
    if "\\" not in value:
        return value
    out: List[str] = []
    at = 0
    while at < len(value):
        following = value[at + 1:at + 2]
        if value[at] == "\\" and following in _ESCAPES and following:
            out.append(_ESCAPES[following])
            at += 2
        else:
            out.append(value[at])
            at += 1
    return "".join(out)
