"""Patterns of paths, as in a .gitignore: `*` stays within a name, `**` crosses folders, one without a slash (but at its
end) holds in every folder. Letters count in neither case: some file systems make no difference."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def matching(paths: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Those of the paths that a pattern names, or that stand where a folder of it should be: a link or a submodule
    in place of the folder changes all that is in it."""
    rules = tuple(patterns)
    return tuple(path for path in paths if any(matches(path, rule) for rule in rules))


def matches(path: str, pattern: str) -> bool:
    name = path.casefold()
    return bool(_rule(pattern).fullmatch(name)) or name in _above(pattern)


@lru_cache(1024)
def _above(pattern: str) -> frozenset[str]:
    """The folders that a pattern leads through, as far as it names them."""
    parts = pattern.casefold().strip("/").split("/")
    plain = parts[: next((at for at, part in enumerate(parts) if "*" in part or "?" in part), len(parts) - 1)]
    return frozenset("/".join(plain[: count + 1]) for count in range(len(plain)))


@lru_cache(1024)
def _rule(pattern: str) -> re.Pattern[str]:
    text = pattern.casefold()
    anchored = "/" in text.rstrip("/")
    text = text.lstrip("/")
    text += "**" if text.endswith("/") else ""
    words = "" if anchored else "(?:.*/)?"
    for piece in re.findall(r"\*\*/|/\*\*$|\*\*|\*|\?|[^*?]", text, re.DOTALL):
        words += {"**/": "(?:.*/)?", "/**": "(?:/.*)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}.get(
            piece, re.escape(piece))
    return re.compile(words, re.DOTALL)
