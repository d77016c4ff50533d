r"""Formulas that may hide words: what GitHub draws between two `$` need not be what is written there.

Only a `%`, which begins a comment, and commands such as `\phantom` can hide anything; a formula without either shows
all its letters. Where GitHub finds a formula is told nowhere in full. So all counts as one between a sign that
may open and the last in its paragraph that may close, unless a pair of them is one beyond doubt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_SIGN = re.compile(r"\$+|&(?:#0{0,6}36|#[xX]0{0,6}24|dollar);")
_HIDES = re.compile(r"[\\%]|&(?:#|bsol|percnt)")
_BLANK = re.compile(r"(?m)^[ \t>]*$")
_SWALLOWS = re.compile(r"[<`\[]")
"""Behind one of these a sign may belong to a tag, to code, to a title."""
_PARTS = re.compile(r"[<`\[|\n]")
"""Or to another cell or block."""


def formulas(text: str, code: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The places of what may be a formula and may hide words, in order. Inline code is no part of one."""
    pieces, at = [], 0
    for begin, end in code:
        pieces += [text[at:begin], "x" * (end - begin)]
        at = end
    text = "".join((*pieces, text[at:]))
    at, signs = 0, list[tuple[int, int]]()
    blanks = _BLANK.finditer(text)
    blank = next(blanks, None)
    for found in _SIGN.finditer(text):
        while blank is not None and blank.start() <= found.start():
            yield from _of_paragraph(text, at, signs)
            at, signs, blank = blank.end(), [], next(blanks, None)
        signs.append(found.span())
    yield from _of_paragraph(text, at, signs)


def _of_paragraph(text: str, at: int, signs: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    opens, closes, length = -1, -1, 0
    sure = doubt = False
    for start, end in signs:
        left, right = text[start - 1:start] if start else "", text[end:end + 1]
        coded = opens >= 0 and left == "`" == text[at] and at < start - 1
        doubt = doubt or (_SWALLOWS if opens < 0 else _PARTS).search(text, at + coded, start - coded) is not None
        if opens < 0:
            if end - start > 1 or right.strip():
                opens, length, sure = start, end - start, not (left.isalnum() or left == "\\")
        elif end - start > 1 or left.strip():
            closes = end
            if sure and not doubt and end - start == length and not right.isalnum():
                yield from _if_it_hides(text, opens, closes)
                opens = closes = -1
        sure = sure and opens == start   # of a pair nothing stands between
        at = end
    if closes >= 0:
        yield from _if_it_hides(text, opens, closes)


def _if_it_hides(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    if _HIDES.search(text, begin, end):
        yield begin, end
