"""Where in a text something comes next. Each kind is looked for once, so that asking costs next to nothing."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from coordinator.wording.shown.marks import MARKS

_BLANK = re.compile(r"\n[ \t]*\n")
_UNESCAPED = re.compile(r"\\.|[\"')]", re.DOTALL)
_RAW_LINE = re.compile(rf"(?m)^{MARKS}<(!|\?|/?[A-Za-z][A-Za-z0-9-]*)")
_RAW_FOR_LONG = frozenset({"!", "?", "pre", "script", "style", "textarea"})


class Ends:
    """The ends that may come in one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._known: dict[str, list[int]] = {}
        self._closing: dict[str, list[int]] | None = None
        self._raws: list[int] | None = None
        self._raw_for_long = 0
        self._blanks = [match.start() for match in _BLANK.finditer(text)]
        self._behind_quotes: dict[int, int] = {}

    def next(self, words: str, at: int) -> int:
        """-1 where there is none."""
        known = self._known.get(words)
        if known is None:
            known = self._known[words] = [match.start() for match in re.finditer(re.escape(words), self._text)]
        index = bisect_left(known, at)
        return known[index] if index < len(known) else -1

    def unescaped(self, sign: str, at: int) -> int:
        """The next quote or closing bracket without a backslash before it; -1."""
        if self._closing is None:
            self._closing = {}
            for found in _UNESCAPED.finditer(self._text):
                self._closing.setdefault(found[0], []).append(found.start())
        known = self._closing.get(sign, [])
        index = bisect_left(known, at)
        return known[index] if index < len(known) else -1

    def unquoted(self, at: int) -> int:
        """The next `>` outside of quotes; -1 where there is none, or a quote before it does not end. What is behind a
        quote is kept: all tags before it share the answer."""
        passed: list[int] = []
        while True:
            end = self.next(">", at)
            quotes = [place for sign in "\"'" if 0 <= (place := self.next(sign, at)) < end]
            if not quotes:
                break
            opens = min(quotes)
            if opens in self._behind_quotes:
                end = self._behind_quotes[opens]
                break
            passed.append(opens)
            closes = self.next(self._text[opens], opens + 1)
            if closes < 0:
                end = -1
                break
            at = closes + 1
        self._behind_quotes.update(dict.fromkeys(passed, end))
        return end

    def raw(self, at: int) -> bool:
        """Whether this may stand in HTML that is not read as Markdown: from a line that begins with a tag on."""
        if self._raws is None:
            found = [(match.start(), match[1].strip("/").lower() in _RAW_FOR_LONG)
                     for match in _RAW_LINE.finditer(self._text)]
            self._raws = [start for start, _ in found]
            self._raw_for_long = next((start for start, long in found if long), len(self._text))
        index = bisect_right(self._raws, at)
        return self._raw_for_long <= at or (index > 0 and self.blank(self._raws[index - 1]) >= at)

    def blank(self, at: int) -> int:
        """The next empty line, or the end."""
        index = bisect_left(self._blanks, at)
        return self._blanks[index] if index < len(self._blanks) else len(self._text)

    def paragraph(self, at: int) -> int:
        """Where the paragraph of this place begins, or the empty line before it."""
        index = bisect_left(self._blanks, at)
        return self._blanks[index - 1] if index else 0
