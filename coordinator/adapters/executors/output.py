"""The end of what a run printed."""

from __future__ import annotations

import os
from pathlib import Path


def both(log: Path, err: Path, limit: int) -> bytes:
    """The log's end, then stderr's, together at most `limit` bytes: stderr is short and tells more."""
    last = _tail(err, limit // 2)
    return _tail(log, limit - len(last)) + last


def _tail(target: Path, limit: int) -> bytes:
    try:
        with target.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - limit))
            return stream.read(limit)
    except OSError:
        return b""
