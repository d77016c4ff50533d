"""Where things stand in a plan file: its headings, tasks and fields as ranges of lines. It judges nothing; reading and
writing both look here, so that what was read is what is changed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from coordinator.wording.escape import clean

KNOWN = ("depends_on", "repo", "location", "description", "validation", "status", "log", "files edited", "beads")
"""The fields of a task, in the order in which they are written."""

TAB = 4
_LINE = re.compile(r"([^\r\n]*)(\r\n|\n|\r|\Z)")
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_FENCE = re.compile(r"[ \t]*(?P<bullet>[-*+][ \t]+)?(?P<bar>`{3,}|~{3,})(?P<rest>.*)$")
_FIELD = re.compile(
    r"(?P<lead>(?P<indent>[ \t]*)(?P<bullet>[-*+][ \t]+)?(?P<open>\*\*|__|`|)(?P<key>[^\W\d_][\w ./()-]{0,40}?)"
    r"(?:[ \t]*:[ \t]*(?P=open)|(?P=open)[ \t]*:))(?P<gap>[ \t]*)(?P<value>.*)$"
)
_NAMED = re.compile(r"(?P<id>\S+?)[ \t]*(?::|：|[ \t][-–—](?=[ \t]))[ \t]*(?P<name>.*)$")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")


class Kind(Enum):
    """What a line is to us: text that may have a meaning, code that has none, a comment that is not there."""

    PLAIN = "plain"
    FENCED = "fenced"
    HIDDEN = "hidden"


@dataclass(frozen=True)
class Heading:
    index: int
    level: int
    text: str


@dataclass(frozen=True)
class Field:
    """One field of a task: lines `index` to before `end`. `key` is one of KNOWN, or as written for another. `lead` is
    all before the value on its first line, without the blanks of `gap`."""

    key: str
    index: int
    end: int
    indent: str
    lead: str
    gap: str
    value: str
    written: str


@dataclass(frozen=True)
class Block:
    """A task: its heading at `index`, all up to before `end`. `title` is the heading as written; `id` is "" for a
    heading that names no task."""

    id: str
    name: str
    title: str
    index: int
    end: int
    fields: tuple[Field, ...] = ()

    def field(self, key: str) -> Field | None:
        return next((field for field in self.fields if field.key == key), None)


@dataclass(frozen=True)
class Sheet:
    """A text as lines and what ends each; joined again they are the text. `unclosed` is the line on which a code fence
    or a comment opens that never ends."""

    lines: tuple[str, ...]
    ends: tuple[str, ...]
    kinds: tuple[Kind, ...]
    headings: tuple[Heading, ...]
    unclosed: int | None = None

    def section(self, name: str) -> tuple[Heading, int] | None:
        """The heading of a section of level 2 with this name, and the line before which it ends."""
        for place, heading in enumerate(self.headings):
            if heading.level == 2 and heading.text.rstrip(": ").lower() == name:
                return heading, self._end(place, 2)
        return None

    def blocks(self) -> tuple[Block, ...]:
        """The headings of level 3 in the section Tasks, with their fields."""
        section = self.section("tasks")
        if section is None:
            return ()
        first, last = section[0].index, section[1]
        return tuple(
            self._block(heading, self._end(place, 3))
            for place, heading in enumerate(self.headings)
            if heading.level == 3 and first < heading.index < last
        )

    def _end(self, place: int, level: int) -> int:
        following = (heading.index for heading in self.headings[place + 1:] if heading.level <= level)
        return next(following, len(self.lines))

    def _block(self, heading: Heading, end: int) -> Block:
        task_id, name = named(heading.text)
        starts = list(self._starts(heading.index + 1, end))
        edges = [start for start, _ in starts[1:]] + [end]
        fields = tuple(_field(match, start, edge) for (start, match), edge in zip(starts, edges, strict=False))
        return Block(task_id, name, heading.text, heading.index, end, fields)

    def _starts(self, first: int, end: int) -> Iterator[tuple[int, re.Match[str]]]:
        """The lines on which a field begins: not deeper than a nested list of the field before."""
        limit: int | None = None
        for index in range(first, end):
            match = _FIELD.match(self.lines[index]) if self.kinds[index] is Kind.PLAIN else None
            if match is None or not _is_field(match):
                continue
            width = len(match["indent"].expandtabs(TAB))
            if limit is None or width < limit:
                limit = width + 2
                yield index, match

    def content_end(self, index: int, end: int) -> int:
        """The line before which the words of this range end: blank lines, comments and rules after them are not
        theirs."""
        while end > index + 1 and self._idle(end - 1):
            end -= 1
        return end

    def _idle(self, index: int) -> bool:
        kind, line = self.kinds[index], self.lines[index]
        return kind is Kind.HIDDEN or (kind is Kind.PLAIN and (not line.strip() or bool(_RULE.match(line))))


def scan(text: str) -> Sheet:
    """The lines of the text and what they are. A byte order mark is no part of the first line's words."""
    pairs = [(match[1], match[2]) for match in _LINE.finditer(text) if match[0] or match.start() == 0]
    lines, ends = tuple(line for line, _ in pairs), tuple(end for _, end in pairs)
    kinds, unclosed = _kinds(lines)
    headings = tuple(
        Heading(index, len(match[1]), _closed(match[2] or ""))
        for index, line in enumerate(lines)
        if kinds[index] is Kind.PLAIN and (match := _HEADING.match(line.removeprefix("\ufeff")))
    )
    return Sheet(lines, ends, kinds, headings, unclosed)


def _kinds(lines: tuple[str, ...]) -> tuple[tuple[Kind, ...], int | None]:
    kinds: list[Kind] = []
    bar, opened = "", None
    for index, line in enumerate(lines):
        fence = _FENCE.match(line)
        if bar == "-->":
            kinds.append(Kind.HIDDEN)
            bar = "" if bar in line else bar
        elif bar:
            kinds.append(Kind.FENCED)
            bar = "" if fence and _closes(fence, bar) else bar
        elif line.lstrip().startswith("<!--"):
            kinds.append(Kind.HIDDEN)
            bar, opened = ("" if "-->" in line else "-->"), index
        elif fence and not (fence["bar"][0] == "`" and "`" in fence["rest"]):
            kinds.append(Kind.FENCED)
            bar, opened = fence["bar"], index
        else:
            kinds.append(Kind.PLAIN)
    return tuple(kinds), opened if bar else None


def _closes(fence: re.Match[str], bar: str) -> bool:
    return fence["bar"].startswith(bar) and not fence["bullet"] and not fence["rest"].strip()


def _closed(text: str) -> str:
    """A heading's words without the closing signs that some write."""
    return re.sub(r"(^|[ \t])#+[ \t]*$", "", text.rstrip()).strip()


def named(title: str) -> tuple[str, str]:
    """Id and name in a task's heading; ("", "") when it names none."""
    found = _NAMED.match(title)
    if found:
        return known_id(found["id"]), clean(found["name"]).strip()
    alone = known_id(title)
    return (alone, "") if re.fullmatch(r"\S*\d\S*", alone) else ("", "")


def known_id(text: str) -> str:
    """An id without the signs people set it off by, in one form for each letter."""
    return unicodedata.normalize("NFC", clean(text).strip().strip("`*[]"))


def _is_field(match: re.Match[str]) -> bool:
    bold = match["open"] in ("**", "__")
    return bold or (bool(match["bullet"]) and known_key(match["key"]) in KNOWN)


def known_key(written: str) -> str:
    """The field's name as KNOWN has it, whatever its letters and dashes."""
    plain = re.sub(r"[\s_-]+", " ", written).strip().lower()
    return "depends_on" if plain == "depends on" else plain


def _field(match: re.Match[str], index: int, end: int) -> Field:
    return Field(
        known_key(match["key"]), index, end, match["indent"], match["lead"], match["gap"], match["value"], match["key"]
    )
