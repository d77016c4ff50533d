"""What may stand before the words of a line: quotes and items of lists, one in the other as often as one likes."""

from __future__ import annotations

MARKS = r"(?:[ \t>]|[*+-][ \t]|\d{1,9}[.)][ \t])*+"
"""Each sign of it is read in one way, and none is given back: the time grows with the line and no faster."""
ALL_MARKS = r"(?:[ \t>]|[*+-][ \t]|\d{1,9}[.)][ \t]|\[\^[^\]\s]{1,999}\]:)*+"
"""And the begin of a footnote, which holds blocks as they do."""
