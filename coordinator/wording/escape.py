"""Make strangers' words harmless: titles, bodies, logs and agents' summaries pass here before we say them.

Text goes in, text comes out; nothing here knows what a task is. What we write ourselves is never escaped.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

ELLIPSIS = "…"
INVISIBLE = "&#8203;"
"""Breaks a mention or a reference for GitHub's parser and is not seen by a reader."""

GITHUB_LIMIT = 65_536
"""GitHub refuses a longer body of a comment, an issue or a pull request."""

_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?|[@-Z\\^_])|\x9b[0-?]*[ -/]*[@-~]"
)
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_BREAKS = re.compile(r"\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_KEYWORD = re.compile(
    r"\b(clo|fi|resol)(se[sd]?|xe[sd]|x|ve[sd]?)\b(?=[\s:*_`~\[(<]{1,20}(?:#|gh-|https?://|[\w.-]{1,100}/[\w.-]{1,100}#))",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(?<!&)#(?=\d)")
_GH_REFERENCE = re.compile(r"\b(GH)-(?=\d)", re.IGNORECASE)
_HTML = re.compile(r"<(?=[A-Za-z/!?])")
_TICKS = re.compile(r"`+")


def _visible(char: str) -> bool:
    return char in "\n\t" or unicodedata.category(char) not in _DROPPED


def clean(text: str) -> str:
    """The text without terminal sequences, control, bidi and zero-width characters; every break is `\\n`."""
    text = _BREAKS.sub("\n", _ANSI.sub("", text))
    if text.isascii() and text.isprintable():
        return text
    return "".join(filter(_visible, text))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis if something was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def one_line(text: str, limit: int = 200) -> str:
    """One visible line of at most `limit` characters; empty when nothing visible is left.

    Only the first 16 `limit` characters are looked at, so that a title of a megabyte costs nothing.
    """
    return cut(" ".join(clean(text[: limit * 16]).split()), limit)


def defuse(text: str) -> str:
    """Markdown that shows the same words but pings nobody, closes nothing and hides no HTML in our page."""
    text = _HTML.sub("&lt;", clean(text).replace("&", "&amp;"))
    text = _KEYWORD.sub(rf"\1{INVISIBLE}\2", text)
    text = _REFERENCE.sub(f"#{INVISIBLE}", text)
    text = _GH_REFERENCE.sub(rf"\1{INVISIBLE}-", text)
    return text.replace("@", f"@{INVISIBLE}").replace("![", f"!{INVISIBLE}[")


def unclosing(text: str) -> str:
    """The same words without the power to close an issue, for a title: it becomes the message of a merge, where
    no markup would be read, so the dash that parts keyword and number is seen."""
    return _KEYWORD.sub(r"\1\2 –", text)


def fence(text: str, info: str = "") -> str:
    """A fenced block that nothing in `text` can close; a hidden marker inside is broken: we look for ours."""
    text = clean(text).replace("<!--", "<! --")
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    bar = "`" * max(3, longest + 1)
    return f"{bar}{info}\n{text.rstrip()}\n{bar}"


def fenced_words(text: str) -> str:
    """The text between two lines that do not occur in it, whatever it holds."""
    salt = 0
    while True:
        name = hashlib.sha256(f"{salt}\0{text}".encode("utf-8", "replace")).hexdigest()[:16]
        if name not in text:
            return f"----- begin {name} -----\n{text}\n----- end {name} -----"
        salt += 1


def quote(text: str) -> str:
    """A block quote of defused words: whatever they open (fence, list, table) ends with the quote."""
    lines = defuse(text).strip().split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def code(text: str, limit: int = 200) -> str:
    """Inline code on one line; backticks inside become quotes."""
    return f"`{one_line(text, limit).replace('`', chr(39)) or '-'}`"


def tail(text: str, lines: int, limit: int = 6000) -> str:
    """The last `lines` lines, at most `limit` characters, cut at the front."""
    kept = "\n".join(clean(text).rstrip().split("\n")[-lines:])
    return kept if len(kept) <= limit else ELLIPSIS + kept[-(limit - 1):]


def marker(task_id: str, *parts: str) -> str:
    """The hidden mark by which we find again what we wrote; `defuse` makes it impossible to forge."""
    return f"<!-- coordinator:{':'.join((task_id, *parts))} -->"
