"""Durations and sizes as people write them (`1h30m`, `500ms`, `5GB`), and back, without rounding."""

from __future__ import annotations

import re
from datetime import timedelta

_MICROSECONDS = {
    "d": 86_400_000_000,
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1_000,
    "us": 1,
}
_PIECE = re.compile(r"(\d{1,15})(\.\d{1,6})?(us|ms|d|h|m|s)", re.ASCII)

_BYTES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "K": 1 << 10,
    "M": 1 << 20,
    "G": 1 << 30,
    "T": 1 << 40,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_SIZE = re.compile(r"(\d{1,15})\s*([KMGT]?i?B?)", re.ASCII)

LONGEST = timedelta(days=3650)


def parse_duration(text: str) -> timedelta:
    """`1h30m`, `1.5h`, `2s`, `500ms` or `0` as a timedelta; raises ValueError saying what is wrong."""
    compact = text.strip().replace(" ", "").lower()
    if compact == "0":
        return timedelta(0)
    pieces = list(_PIECE.finditer(compact))
    if not pieces or "".join(piece[0] for piece in pieces) != compact:
        raise ValueError('is no duration; write a number and a unit, such as "20m", "1h30m", "2s" or "500ms"')
    units = [piece[3] for piece in pieces]
    if units != sorted(set(units), key=list(_MICROSECONDS).index):
        raise ValueError('names its units out of order or twice; write the larger first, such as "1h30m"')
    micro = sum(_scaled(piece[1], piece[2] or "", _MICROSECONDS[piece[3]]) for piece in pieces)
    if micro > LONGEST // timedelta(microseconds=1):
        raise ValueError(f"is too long; {show_duration(LONGEST)} is the most")
    return timedelta(microseconds=micro)


def _scaled(whole: str, fraction: str, unit: int) -> int:
    digits = fraction.removeprefix(".")
    return int(whole) * unit + int(digits.ljust(6, "0")) * unit // 1_000_000


def show_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back as the same, non-negative duration."""
    left = duration // timedelta(microseconds=1)
    pieces = []
    for unit, size in _MICROSECONDS.items():
        count, left = divmod(left, size)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces) or "0s"


def parse_size(text: str) -> int:
    """`5GB` (10^9), `5GiB` or `5G` (2^30) as bytes; raises ValueError saying what is wrong."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or found[2] not in _BYTES:
        raise ValueError('is no size; write a whole number and a unit, such as "500MB" or "5GB"')
    return int(found[1]) * _BYTES[found[2]]


def show_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as the same number of bytes."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
