"""One message between the coordinator and the far end: a line that marks its beginning, its head as JSON, its blobs.

The mark lets a reader pass over whatever a login shell printed before.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False   # one habit in this room
if TYPE_CHECKING:
    from typing import Any, Dict, List, Sequence, Tuple

MARK = b"\n\x01coordinator far end 1\n"
_DIGITS = 12


class Torn(Exception):
    """What came is no whole message; `words` hold the end of what came instead."""

    def __init__(self, data: bytes) -> None:
        self.words = data[-600:].decode("utf-8", "replace").strip() or "nothing came"
        super().__init__(self.words)


def pack(head: Dict[str, Any], blobs: Sequence[bytes] = ()) -> bytes:
    """The head must hold nothing but what JSON knows, and no key `blobs`."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode("ascii")
    return b"".join([MARK, b"%0*d" % (_DIGITS, len(text)), text, *blobs])


def unpack(data: bytes) -> Tuple[Dict[str, Any], List[bytes]]:
    """(head, blobs). Raises Torn."""
    _, mark, rest = data.partition(MARK)
    try:
        size = int(rest[:_DIGITS]) if mark else -1
        head = json.loads(rest[_DIGITS:_DIGITS + size].decode("ascii"))
        at, blobs = _DIGITS + size, []
        for length in head.pop("blobs"):
            blobs.append(rest[at:at + length])
            at += length
        if at > len(rest):
            raise ValueError("cut short")
        return head, blobs
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Torn(data) from None
