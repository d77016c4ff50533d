"""What renders nothing where it stands: addresses that links refer to, and footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from coordinator.wording.shown.blocks import Part
from coordinator.wording.shown.marks import ALL_MARKS

DEFINITIONS = "definitions that nothing refers to"
LONGEST_LABEL = 999
"""A limit of CommonMark."""
_DEFINITION = re.compile(ALL_MARKS + r"\[((?:[^\[\]\\]|\\.){1,999})\]:[ \t]*(.*)$")
_LABEL_BEGINS = re.compile(ALL_MARKS + r"\[(?:[^\[\]\\]|\\.)*\\?$")
_DESTINATION = re.compile(r"<([^<>]*)>|(\S+)")
_NOTE = re.compile(r"\[\^([^\]\s]+)\]:")
_BRACKET = re.compile(r"(?<!\\)[\[\]]")
_MARKS = re.compile(ALL_MARKS)


class Note(NamedTuple):
    """A footnote: its labels (one in another has both) and its place."""

    labels: tuple[str, ...]
    begin: int
    end: int


def label(words: str) -> str:
    """As labels are compared."""
    return " ".join(words.casefold().split())


def notes(part: Part) -> Iterator[Note]:
    """The footnotes of a text. Of one in another both are told."""
    lines = part.text.split("\n")
    places = [0]
    for line in lines:
        places.append(places[-1] + len(line) + 1)
    for at, line in enumerate(lines):
        labels = _labels(line)
        if labels:
            yield Note(labels, places[at], places[_after_note(lines, at)] - 1)


def _labels(line: str) -> tuple[str, ...]:
    marks = _MARKS.match(line)
    return tuple(label(found) for found in _NOTE.findall(marks[0])) if marks and "[" in marks[0] else ()


def _after_note(lines: list[str], at: int) -> int:
    """The line behind a footnote: its paragraph, and those that are set in; another one begins behind it if it is not
    set in deeper."""
    deeper = _depth(lines[at]) + 4
    at += 1
    while at < len(lines):
        ahead = at
        while ahead < len(lines) and not lines[ahead].strip():
            ahead += 1
        if ahead == len(lines) or (ahead > at and not lines[ahead].expandtabs(4).startswith("    ")):
            break
        if _labels(lines[ahead]) and _depth(lines[ahead]) < deeper:
            break
        at = ahead + 1
    return at


def _depth(line: str) -> int:
    return len(line.partition("[^")[0].expandtabs(4))


def undefined(part: Part, defined: dict[str, str]) -> Part:
    """Without the lines that define an address, which are noted by their labels. All places are kept in step: such a
    line becomes an empty one of the same length."""
    lines = part.text.split("\n")
    at = 0
    while at < len(lines):
        begun, found = _definition(lines, at)
        end = _after_definition(lines, begun, found[2], found[1], defined) if found else at
        for index in range(at, end):
            lines[index] = " " * len(lines[index])
        at = max(end, at + 1)
    return replace(part, text="\n".join(lines))


def _definition(lines: list[str], at: int) -> tuple[int, re.Match[str] | None]:
    """What may be a definition, and its last line: its label may go over several."""
    found = _DEFINITION.match(lines[at])
    if found or not _LABEL_BEGINS.match(lines[at]):
        return at, found
    pieces, room = [lines[at]], LONGEST_LABEL
    for below in range(at + 1, min(len(lines), at + LONGEST_LABEL)):
        pieces.append(lines[below])
        room -= len(lines[below])
        if not lines[below].strip() or room < 0 or _BRACKET.search(lines[below]):
            break
    return at + len(pieces) - 1, _DEFINITION.match(" ".join(pieces))


def _after_definition(lines: list[str], at: int, rest: str, name: str, defined: dict[str, str]) -> int:
    """The line behind a definition whose label ends on line `at`, and which is noted; 0 where it is none. A title that
    is not seen to end goes on to the next empty line."""
    end = at + 1
    if not rest.strip() and end < len(lines):
        rest, end = lines[end], end + 1
    address = _DESTINATION.match(rest.strip())
    if address is None:
        return 0
    title = rest.strip()[address.end():].strip()
    if title and title[0] not in "\"'(":
        return 0
    if not title and end < len(lines) and lines[end].strip()[:1] in ('"', "'", "("):
        title, end = lines[end].strip(), end + 1
    closing = {"(": ")"}.get(title[:1], title[:1])
    last = title[1:]
    while closing and (not last.endswith(closing) or last.endswith(f"\\{closing}")):
        if end >= len(lines) or not lines[end].strip():
            break
        last, end = lines[end].strip(), end + 1
    words = address[1] if address[1] is not None else address[2]
    defined.setdefault(label(name), "" if re.search(r"\s", words) else words)
    return end
