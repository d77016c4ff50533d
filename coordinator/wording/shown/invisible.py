"""Characters that nobody sees: controls, zero width, direction, tags, fillers, unassigned; and how many there were."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]"
)
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Of other categories, and as little to be seen: Unicode's Default_Ignorable_Code_Point, and the empty Braille cell."""
_OF_EMOJI = frozenset("\u200d\ufe0e\ufe0f")
"""A joiner or a selector behind a sign that is no letter belongs to it: it goes, too, but hides nothing."""
ENTITY = re.compile(r"&(?:#[xX][0-9a-fA-F]{1,8}|#[0-9]{1,9}|[A-Za-z][A-Za-z0-9]{1,31});")


def hidden(char: str) -> bool:
    return char not in "\n\t" and (unicodedata.category(char) in _CATEGORIES or bool(_BLANKS.match(char)))


def without(text: str) -> tuple[str, int]:
    """The text without what is not seen, every break as `\\n`, and how many characters or terminal sequences went."""
    text, count = _ANSI.subn("", _BREAKS.sub("\n", text))
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text, count
    kept = []
    before = ""
    for char in text:
        if not hidden(char):
            kept.append(char)
        elif not (char in _OF_EMOJI and before and unicodedata.category(before) in ("So", "Sk", "Sm", "Po", "Nd")):
            count += 1
        before = char
    return "".join(kept), count


def empty_entity(entity: str) -> bool:
    """Whether it stands for nothing but characters that are not seen: `&#x200b;`, `&shy;`, `&ZeroWidthSpace;`."""
    meant = unescape(entity)
    return meant != entity and all(hidden(char) for char in meant)
