"""Which parts of a Markdown text are surely code, as GitHub shows it (CommonMark, GitHub's dialect); all else is text.

Only what is code beyond doubt is left as it is: where two readings are possible, what hides in one of them must not
reach an agent as code of the other. So after the first line that might open or close a fence and is not understood,
nothing counts as code any more.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape
from typing import NamedTuple

from coordinator.wording.shown.formulas import formulas
from coordinator.wording.shown.marks import ALL_MARKS
from coordinator.wording.shown.tables import Table
from coordinator.wording.shown.unseen import Unseen

COMMENTS, INFOS = "HTML comments", "words behind a fence"
CELLS, DRAWINGS, FORMULAS = "cells beyond a table's columns", "diagrams", "formulas"
_OPENS = re.compile(r"( {0,3})(?:(`{3,})([^`]*)|(~{3,})(.*))$")
_LANGUAGE = re.compile(r"[ \t]*[A-Za-z0-9+#._-]{0,20}[ \t]*$")
_LIKE = re.compile(r"`{3}|~{3}")
_DRAWN = re.compile(r"(?<![a-z])(?:mermaid|math|geojson|topojson|stl)(?![a-z])", re.IGNORECASE)
"""What GitHub draws in place of showing its code.
https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/creating-diagrams"""
_MARKS = re.compile(ALL_MARKS)
_COMMENT = "<!--"
"""At the very begin of a line it stands in no list, and ends where it says so and nowhere else."""
_RAW = re.compile(r"<(?:!|\?|/?(?:pre|script|style|textarea)\b)", re.IGNORECASE)
"""HTML that goes on over blank lines until its own end."""
_SPECIAL = re.compile(r"\\.|`+|<(?=[A-Za-z/!?])|\$")


@dataclass(frozen=True)
class Part:
    """Whole lines. Of a text, `spans` are the places of inline code, `plain` those that are surely read as Markdown,
    `unseen` those that are shown nowhere, though what begins there may reach further. `removed` is the kind of what was
    left out of it."""

    text: str
    code: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    plain: tuple[tuple[int, int], ...] = ()
    unseen: tuple[Unseen, ...] = ()
    removed: str = ""


class _Line(NamedTuple):
    """A line, whether its inline code may be believed, and from where on it is shown nowhere (-1: all of it is)."""

    text: str
    plain: bool
    unseen: int = -1
    kind: str = ""
    said: str = ""


def parts(text: str) -> Iterator[Part]:
    """The text in order, without block comments: fenced code, and what lies between."""
    return _Reader(text.split("\n")).read()


class _Reader:
    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self._sure = True
        self._raw = False
        self._infos = False

    def read(self) -> Iterator[Part]:
        lines: list[_Line] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            sure = self._sure and not self._raw
            opens = _OPENS.match(line) if sure else None
            if drawn := self._drawing(line):
                if self._sure and drawn[0].unseen == 0:
                    yield _words(lines)
                    lines = []
                    yield Part(drawn[0].said, code=True, removed=DRAWINGS)
                else:
                    lines += drawn
            elif opens:
                yield _words(lines)
                lines = []
                yield self._fenced(opens)
            elif sure and (rest := self._commented()) is not None:
                yield _words(lines)
                lines = [_Line(rest, False)]
                yield Part("", removed=COMMENTS)
            else:
                lines.append(self._plain(line))
                self._at += 1
        yield _words(lines)
        if self._infos:
            yield Part("", removed=INFOS)

    def _plain(self, line: str) -> _Line:
        """Takes note of what a line means for those after it."""
        if not line.strip():
            self._raw = False
        content = _content(line)
        if content.startswith("<"):
            self._raw = True
            self._sure = self._sure and not _RAW.match(content)
        if _LIKE.search(line):
            self._sure = False
        opens = _OPENS.match(content)
        info = (opens[3] or opens[5] or "") if opens else ""
        if opens and not _LANGUAGE.match(info):
            line = line[:len(line) - len(content)] + (opens[2] or opens[4])
            self._infos = True
            if "<" in info:   # or HTML, which may hide all that follows
                del self._lines[self._at + 1:]
        return _Line(line, self._sure and not self._raw)

    def _drawing(self, line: str) -> list[_Line]:
        """The lines of a fence that GitHub draws; none where no such fence begins. It ends at its like in the same
        place; where another fence stands in it, nobody can tell what follows, and it goes on to the end."""
        content = _content(line)
        opens = _OPENS.match(content)
        told = _DRAWN.search(unescape(opens[3] or opens[5] or "").replace("\\", "")) if opens else None
        if opens is None or told is None:
            return []
        bar, before = opens[2] or opens[4], line[:len(line) - len(content)]
        place = re.escape(re.sub(r"[^>\s]", " ", before))
        closes = re.compile(rf"{place}{re.escape(bar[0])}{{{len(bar)},}}[ \t]*$")
        self._sure = self._sure and not self._raw and not before
        begin = self._at
        self._at += 1
        while self._at < len(self._lines):
            self._at += 1
            if _LIKE.search(self._lines[self._at - 1]):
                if not closes.match(self._lines[self._at - 1]):
                    self._at = len(self._lines)
                break
        first = _Line(line, False, len(before), DRAWINGS, f"({told[0].lower()}, not shown here)")
        return [first, *(_Line(inside, False, 0) for inside in self._lines[begin + 1:self._at])]

    def _fenced(self, opens: re.Match[str]) -> Part:
        indent, bar, info = len(opens[1]), opens[2] or opens[4], opens[3] or opens[5] or ""
        told = _LANGUAGE.match(info) is not None   # more than a language is shown nowhere
        closes = re.compile(rf" {{0,3}}{re.escape(bar[0])}{{{len(bar)},}}[ \t]*$")
        begin = self._at
        self._at += 1
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and len(line) - len(line.lstrip(" ")) < indent:
                self._sure = False   # in a list the fence ends here, elsewhere it does not
                break
            self._at += 1
            if closes.match(line):
                break
        inside = self._lines[begin + 1:self._at]
        first = self._lines[begin] if told else opens[1] + bar
        return Part("\n".join([first, *inside]), code=True, removed="" if told else INFOS)

    def _commented(self) -> str | None:
        """Passes over a comment that begins a line; what stands behind its end, "" where it has none. None where there
        is no comment, or one of which HTML says that it ended before (`<!-->`, `--!>`)."""
        line = self._lines[self._at]
        if not line.startswith(_COMMENT) or line.startswith(("<!-->", "<!--->")):
            return None
        first, at = len(_COMMENT), self._at
        while at < len(self._lines):
            line = self._lines[at]
            if "--!>" in line:
                return None
            end = line.find("-->", first)
            first, at = 0, at + 1
            if end >= 0:
                self._at = at
                return line[end + 3:]
        self._at = at
        return ""


def _content(line: str) -> str:
    return _MARKS.sub("", line, count=1)


def _words(lines: Iterable[_Line]) -> Part:
    spans: list[tuple[int, int]] = []
    plain: list[tuple[int, int]] = []
    unseen: list[Unseen] = []
    at, believed, table = 0, True, Table()
    for line in lines:
        if line.unseen >= 0:
            unseen.append(Unseen(at + line.unseen, at + len(line.text), line.kind, line.said))
        elif (surplus := table.row(line.text)) >= 0:
            unseen.append(Unseen(at + surplus, at + len(line.text), CELLS))
        if not line.text.strip():
            believed = True
        elif believed:
            found, doubt = _inline(line.text) if line.plain else ([], 0)
            spans += [(at + begin, at + end) for begin, end in found]
            before = line.text[:len(line.text) - len(_content(line.text))]
            if "    " not in before and "\t" not in before:   # or the line may be code
                plain.append((at, at + doubt))
            believed = doubt == len(line.text)
        at += len(line.text) + 1
    text = "\n".join(line.text for line in lines)
    unseen += [Unseen(*place, FORMULAS, "(formula, not shown here)") for place in formulas(text, spans)]
    return Part(text, spans=tuple(spans), plain=tuple(plain), unseen=tuple(sorted(unseen)))


def _inline(line: str) -> tuple[list[tuple[int, int]], int]:
    """The inline code of a line, and up to where it is beyond doubt; where that is its end, the next begins as if this
    were not there. A run of backticks without its like, a cell of a table, a tag or a formula make it doubtful."""
    runs: dict[int, list[int]] = {}
    for match in re.finditer(r"`+", line):
        runs.setdefault(len(match[0]), []).append(match.start())
    spans: list[tuple[int, int]] = []
    at = 0
    while (found := _SPECIAL.search(line, at)) is not None:
        at = found.end()
        if found[0][0] == "\\":
            continue
        if found[0][0] != "`":
            return spans, found.start()
        same = runs.get(len(found[0]), [])
        after = bisect_right(same, found.start())
        whole = after > 0 and same[after - 1] == found.start()   # not what a backslash left of a longer run
        if not whole or after >= len(same) or "|" in line[found.start():same[after]]:
            return spans, found.start()
        at = same[after] + len(found[0])
        spans.append((found.start(), at))
    return spans, len(line)
