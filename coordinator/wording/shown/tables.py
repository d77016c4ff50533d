"""The cells of a table that GitHub drops: a row has no more of them than the head, whatever is written there.

https://github.github.com/gfm/#tables-extension-: a bar behind a backslash ends no cell, and code hides no bar.
"""

from __future__ import annotations

import re

from coordinator.wording.shown.marks import ALL_MARKS

_BAR = re.compile(r"(?<!\\)\|")
_QUOTES = re.compile(r"[ \t>]*")
_MARKS = re.compile(ALL_MARKS)


class Table:
    """Reads the lines of a text one after the other, and knows how many cells the table has that it may stand in."""

    def __init__(self) -> None:
        self._before = ""
        self._columns = 0

    def row(self, line: str) -> int:
        """The place in this line from which it is shown nowhere; -1 if all of it is shown. What only may be a table
        counts as one, and of two that may go on here the one with fewer cells."""
        content = _QUOTES.sub("", line, count=1)
        if not content:
            self._before, self._columns = "", 0
            return -1
        delimits = not content.strip("|:- \t") and "-" in content and ("|" in content or ":" in content)
        columns = _cells(content) if delimits else 0
        if columns and columns in (_cells(self._before), _cells(_MARKS.sub("", self._before, count=1))):
            self._columns = min(columns, self._columns or columns)
        self._before = content
        return self._surplus(line, len(line) - len(content)) if self._columns else -1

    def _surplus(self, line: str, at: int) -> int:
        bars = [found.start() for found in _BAR.finditer(line, at)]
        last = self._columns - 1 + line.startswith("|", at)
        begin = bars[last] + 1 if last < len(bars) else len(line)
        return begin if line[begin:].strip("| \t") else -1


def _cells(content: str) -> int:
    """How many cells there are in a row without what stands before it; of none, 0."""
    bars = len(_BAR.findall(content))
    ends = content.startswith("|") + bool(re.search(r"(?<!\\)\|[ \t]*\Z", content) if bars > 1 else 0)
    return bars - ends + 1 if content else 0
