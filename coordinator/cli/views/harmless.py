"""Foreign text made harmless for a terminal: nothing in it may move the cursor, change colours or reorder
words."""

from __future__ import annotations

import re

_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\Z)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"
    r"|[\x0e\x0f]",  # shifts of the character set, which a program sends when it lets go of its terminal
    re.DOTALL,
)
# C0 and C1 controls, DEL, bidirectional marks, line and paragraph separators, tag characters, lone surrogates
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\U000e0000-\U000e007f\ud800-\udfff\ufeff]"
)


def harmless(text: str) -> str:
    """Escape sequences are taken out, every other control character is shown as its code. Newlines stay, a
    carriage return before one goes, tabs become spaces."""
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n").expandtabs(4)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", plain)
