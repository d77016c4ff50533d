"""Words for people in a fixed width: ages, sizes, columns that never wrap. Pure, standard library only."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.cli.views.harmless import harmless

DASH = "–"


@dataclass(frozen=True)
class Line:
    """One line of an answer. `kind` says how it is shown: head, warning, title, quiet, or the state in it."""

    kind: str
    text: str


def width_of(text: str) -> int:
    """Cells that a terminal gives to the text."""
    if text.isascii():
        return len(text)
    return sum(_cells(letter) for letter in text)


def _cells(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def clean(text: object) -> str:
    """Foreign text on one line, harmless to a terminal."""
    return " ".join(harmless(str(text)).split())


def folded(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` cells, a word longer than that cut: of a trouble the cure stands last."""
    lines, line = [], ""
    for word in text.split(" "):
        longer = f"{line} {word}" if line else word
        if line and width_of(longer) > width:
            lines.append(line)
            longer = f"  {word}"
        line = longer
    return [cut(one, width) for one in (*lines, line)]


def cut(text: str, width: int) -> str:
    """At most `width` cells, with an ellipsis where something was left out."""
    if width_of(text) <= width:
        return text
    kept, used = [], 0
    for letter in text:
        cells = _cells(letter)
        if used + cells > max(0, width - 1):
            break
        kept.append(letter)
        used += cells
    return ("".join(kept).rstrip() + "…") if width > 0 else ""


def pad(text: str, width: int) -> str:
    short = cut(text, width)
    return short + " " * (width - width_of(short))


def age(seconds: float) -> str:
    """`6s`, `12m04s`, `2h11m`, `3d4h`."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left}s"
    if left < 3600:
        return f"{left // 60}m{left % 60:02d}s"
    if left < 86400:
        return f"{left // 3600}h{left % 3600 // 60:02d}m"
    return f"{left // 86400}d{left % 86400 // 3600}h"


def count(number: float | None) -> str:
    """`950`, `18k`, `2.1M`."""
    if number is None:
        return DASH
    if number < 1000:
        return str(int(number))
    if number < 1_000_000:
        return f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.1f}M"


def money(amount: float | None) -> str:
    return DASH if amount is None else f"${amount:.2f}"


def size(number: float) -> str:
    """Bytes for people: `512 B`, `1.2 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def columns(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    """Each row on one line: every cell but the last padded to its width."""
    return [
        "  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
