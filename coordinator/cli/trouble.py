"""An expected error as people see it: what was wrong, what to do, which exit code. Never a traceback."""

from __future__ import annotations

import re

GENERAL, NO_AUTH, NO_PROVIDER, NOT_READY, NO_CLAIM, USAGE, BUG = 1, 10, 20, 21, 29, 64, 70
"""Exit codes as docs/operations.md lists them."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Trouble(Exception):
    """Raised where a command cannot go on. `cure` are lines below the first."""

    def __init__(self, words: str, *cure: str, code: int = GENERAL) -> None:
        super().__init__(words)
        self.words = words
        self.cure = cure
        self.code = code


def told(trouble: Trouble) -> str:
    """The text for stderr; nothing in it can move the cursor or hide a line."""
    lines = [line for part in trouble.cure for line in part.splitlines() if line.strip()]
    text = [f"error: {_visible(trouble.words.strip())}", *(f"  {_visible(line.strip())}" for line in lines)]
    text[-1] += f"   (exit {trouble.code})"
    return "\n".join(text)


def _visible(text: str) -> str:
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text).replace("\n", "\n  ")
