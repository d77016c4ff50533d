"""Which parts of a Markdown text are surely code, as GitHub shows it (CommonMark, GitHub's dialect); all else is text.

Only what is code beyond doubt is left as it is: where two readings are possible, what hides in one of them must not
reach an agent as code of the other. So after the first line that might open or close a fence and is not understood,
nothing counts as code any more.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

COMMENTS, INFOS = "HTML comments", "words behind a fence"
_OPENS = re.compile(r"( {0,3})(?:(`{3,})([^`]*)|(~{3,})(.*))$")
_LANGUAGE = re.compile(r"[ \t]*[A-Za-z0-9+#._-]{0,20}[ \t]*$")
_LIKE = re.compile(r"`{3}|~{3}")
_MARKS = re.compile(r"[ \t>]*(?:(?:[*+-]|\d{1,9}[.)])[ \t]+)*[ \t>]*")
"""What may stand before the words of a line: quotes and list items."""
_COMMENT = "<!--"
"""At the very begin of a line it stands in no list, and ends where it says so and nowhere else."""
_RAW = re.compile(r"<(?:!|\?|/?(?:pre|script|style|textarea)\b)", re.IGNORECASE)
"""HTML that goes on over blank lines until its own end."""
_SPECIAL = re.compile(r"\\.|`+|<(?=[A-Za-z/!?])|\$")


@dataclass(frozen=True)
class Part:
    """Whole lines. `spans` are the places of inline code in a text, `removed` the kind of what was left out of it."""

    text: str
    code: bool = False
    spans: tuple[tuple[int, int], ...] = ()
    removed: str = ""


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
        words: list[tuple[str, bool]] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            opens = _OPENS.match(line) if self._sure and not self._raw else None
            if opens:
                yield _words(words)
                words = []
                yield self._fenced(opens)
            elif self._sure and not self._raw and (rest := self._commented()) is not None:
                yield _words(words)
                words = [(rest, False)]
                yield Part("", removed=COMMENTS)
            else:
                words.append(self._plain(line))
                self._at += 1
        yield _words(words)
        if self._infos:
            yield Part("", removed=INFOS)

    def _plain(self, line: str) -> tuple[str, bool]:
        """Takes note of what a line means for those after it; the line, and whether its inline code may be believed."""
        if not line.strip():
            self._raw = False
        marks = _MARKS.match(line)
        content = line[marks.end():] if marks else line
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
        return line, self._sure and not self._raw

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


def _words(lines: list[tuple[str, bool]]) -> Part:
    spans: list[tuple[int, int]] = []
    at, believed = 0, True
    for line, plain in lines:
        if not line.strip():
            believed = True
        elif believed:
            found, believed = _inline(line) if plain else ([], False)
            spans += [(at + begin, at + end) for begin, end in found]
        at += len(line) + 1
    return Part("\n".join(line for line, _ in lines), spans=tuple(spans))


def _inline(line: str) -> tuple[list[tuple[int, int]], bool]:
    """The inline code of a line, and whether the next one begins as if this were not there. A run of backticks without
    its like, a cell of a table, a tag or a formula before it make it doubtful."""
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
            return spans, False
        same = runs.get(len(found[0]), [])
        after = bisect_right(same, found.start())
        whole = after > 0 and same[after - 1] == found.start()   # not what a backslash left of a longer run
        if not whole or after >= len(same) or "|" in line[found.start():same[after]]:
            return spans, False
        at = same[after] + len(found[0])
        spans.append((found.start(), at))
    return spans, True
