"""What a field's lines say: a text, or a list however it was written (in brackets, with commas, as bullets)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

from coordinator.wording.plan_md.scan import Field, Kind, Sheet, known_id

NOTHING = frozenset({"", "none", "(none)", "n/a", "-", "—", "–", "[]", "null", "nil", "tbd"})
"""What people write into a field that has no value."""

LONGEST_ITEM = 4096
_BOX = r"\[[ xX]\][ \t]+"
_SIGN = rf"[ \t]*(?:[-*+]|\d{{1,3}}[.)])[ \t]+(?:{_BOX})?"
_BULLET, _BULLETS = re.compile(rf"^{_SIGN}"), re.compile(rf"^(?:{_SIGN}|{_BOX})+")
_TICKS = re.compile(r"`+")
_REMARK = re.compile(r"\s+(?:\(.*\)|[-–—]\s.*)$")
_LINES = re.compile(r":L?\d+(?:[-–]L?\d+)?$")


def text_of(sheet: Sheet, field: Field) -> str:
    """The field's words: those on its own line, and all below without their common indentation."""
    end = sheet.content_end(field.index, field.end)
    below = [sheet.lines[at] for at in range(field.index + 1, end) if sheet.kinds[at] is not Kind.HIDDEN]
    first = field.value.strip()
    if below and first in ("|", ">", "|-", ">-"):
        first = ""
    return "\n".join(part for part in (first, dedent("\n".join(below))) if part).strip()


def is_nothing(text: str) -> bool:
    return visible(text).strip("_*").lower() in NOTHING


def visible(text: str) -> str:
    """The text without comments."""
    first, *others = text.split("<!--")
    kept = [first]
    for part in others:
        _, end, after = part.partition("-->")
        kept.append(after if end else f"<!--{part}")
    return "".join(kept).strip()


def entries(text: str) -> tuple[str, ...]:
    """The lines of a text that have words, without bullets: what a log's entries are."""
    lines = (_BULLETS.sub("", line, count=1).strip() for line in visible(text).splitlines())
    return tuple(line for line in lines if not is_nothing(line) and any(map(str.isalnum, line)))


def bullet(line: str) -> str:
    """What a line of a list has before its words, "" for another line."""
    found = _BULLET.match(line)
    return found[0] if found else ""


def items(text: str) -> tuple[str, ...]:
    """The items of a list, each once, in order; remarks behind them are left out."""
    found: dict[str, None] = {}
    for piece in _pieces(visible(text)):
        item = _item(piece)
        if item:
            found[item] = None
    return tuple(found)


def ids(text: str) -> tuple[str, ...]:
    """The task ids of a depends_on."""
    words = (word for item in items(text) for word in re.split(r"[\s;&]+", item))
    return tuple(dict.fromkeys(known_id(word) for word in words if word.lower() not in ("", "and")))


def paths(text: str) -> tuple[str, ...]:
    """The paths of a location, without the line numbers some put behind them."""
    plain = (_LINES.sub("", item).removeprefix("./") or item for item in items(text))
    return tuple(dict.fromkeys(plain))


def bracketed(text: str) -> bool:
    """Whether the whole text stands in one pair of brackets."""
    text = visible(text)
    depth = at = 0
    while text.startswith("[") and at < len(text):
        if text[at] == "`":
            at = _span(text, at)[1]
        else:
            depth += (text[at] == "[") - (text[at] == "]")
            at += 1
        if not depth:
            return at > 1 and at == len(text)
    return False


def _pieces(text: str) -> Iterator[str]:
    if bracketed(text):
        yield from _split(" ".join(text[1:-1].splitlines()))
        return
    for line in text.splitlines():
        bare = _BULLET.sub("", line, count=1).strip()
        yield from _split(bare[1:-1] if bracketed(bare) else bare)


def _split(text: str) -> Iterator[str]:
    """At commas that stand neither in a code span nor in parentheses."""
    start = depth = at = 0
    while at < len(text):
        if text[at] == "`":
            at = _span(text, at)[1]
            continue
        depth = max(0, depth + (text[at] == "(") - (text[at] == ")"))
        if text[at] == "," and not depth:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]


def _span(text: str, at: int) -> tuple[str, int]:
    """What stands in the code span that opens here, and where it ends; "" and the end of the signs for none."""
    opened = _TICKS.match(text, at)
    assert opened
    for shut in _TICKS.finditer(text, opened.end()):
        if shut[0] == opened[0]:
            return text[opened.end():shut.start()], shut.end()
    return "", opened.end()


def code_span(text: str) -> str:
    """What stands in the code span that the text begins with; "" when it begins with none."""
    inner = _span(text, 0)[0] if text.startswith("`") else ""
    padded = len(inner) > 2 and inner[0] == inner[-1] == " " and bool(inner.strip())
    return inner[1:-1] if padded else inner


def _item(piece: str) -> str:
    piece = piece.strip()[:LONGEST_ITEM]
    if is_nothing(piece):
        return ""
    return code_span(piece) or _REMARK.sub("", piece).strip().strip("\"'").strip()
