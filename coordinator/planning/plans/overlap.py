"""Which files a task is expected to change, and whether two tasks are in each other's way. A guess that costs at most
a wait: what really conflicts is found when it is merged."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import TypeVar

K = TypeVar("K", bound=Hashable)

LONGEST_TEXT = 100_000
ENDINGS = re.compile(
    r"py|pyi|[mc]?js|tsx?|jsx|vue|svelte|html|css|scss|less|jsonc?|toml|ya?ml|ini|cfg|conf|env|md|rst|txt|sql|sh|bash|"
    r"zsh|fish|ps1|rb|php|java|kts?|scala|go|rs|c|h|cc|[ch]pp|cs|swift|mm?|exs?|erl|hs|ml|clj|lua|pl|r|jl|dart|proto|"
    r"graphql|tf|xml|lock|gradle|csv|tsv|ipynb", re.IGNORECASE,
)
"""Endings by which a name without a folder is taken for a file."""
NAMES = frozenset({"Makefile", "Dockerfile", "Jenkinsfile", "Procfile", "Gemfile", "Rakefile", "CODEOWNERS"})

_TOKEN = re.compile(r"`(?P<span>[^`\n]{1,300})`|(?P<word>[^\s`,;'\"<>|]{1,300})")
_ENDING = re.compile(r"\.([A-Za-z][A-Za-z0-9]{0,9})$")
_BRAND = re.compile(r"[A-Z][a-z]+\.(?:js|io|ai|net|py)$")
_LINES = re.compile(r"[:#]L?\d+(?:-L?\d+)?$")
_PATH = re.compile(r"(?:\.{1,2}/)?[\w.@+\[\]()*-]+(?:/[\w.@+\[\]()*-]+)*/?")


def predict(text: str, locations: Iterable[str] = (), history: Iterable[str] = ()) -> frozenset[str]:
    """The files a task will change, as far as one can tell: its locations, else paths named in its text, else those
    that `history` tells of. Folders and patterns stand for what is in them."""
    named = frozenset(filter(None, map(plain, locations)))
    return named or frozenset(_named(text[:LONGEST_TEXT])) or frozenset(filter(None, map(plain, history)))


def _named(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        word = found["span"] or found["word"].strip("()[]{}*_").rstrip(".:!?)")
        path = _LINES.sub("", word.strip())
        if _is_path(path, quoted=found["span"] is not None):
            yield plain(path)


def _is_path(word: str, *, quoted: bool) -> bool:
    if not _PATH.fullmatch(word) or word.startswith("../") or not any(map(str.isalpha, word)):
        return False
    ending = _ENDING.search(word)
    if "/" in word:
        return bool(ending) or quoted or word.endswith("/") or word.rsplit("/", 1)[-1] in NAMES
    return word in NAMES or bool(ending and ENDINGS.fullmatch(ending[1]) and not _BRAND.fullmatch(word))


def plain(location: str) -> str:
    """A location in one form: no `./`, no slash at its end; "." for the whole repository, "" for nothing."""
    return posixpath.normpath(location.strip()) if location.strip() else ""


def overlaps(one: Collection[str], other: Collection[str]) -> frozenset[str]:
    """What both touch, named by the narrower of the two; empty when they are apart."""
    return frozenset(narrow for a in one for b in other if (narrow := _both(a, b)))


def _both(a: str, b: str) -> str:
    return b if covers(a, b) else a if covers(b, a) else ""


def covers(location: str, file: str) -> bool:
    """Whether a file is the location, lies in it, or fits it as a pattern."""
    if location in (file, ".") or file.startswith(f"{location}/"):
        return True
    return _is_pattern(location) and any(one.match(file) for one in _compiled(location))


@lru_cache(4096)
def _compiled(pattern: str) -> tuple[re.Pattern[str], ...]:
    """`**/` stands for no folder, too."""
    return tuple(re.compile(translate(one)) for one in dict.fromkeys((pattern, pattern.replace("**/", ""))))


def _is_pattern(location: str) -> bool:
    return any(sign in location for sign in "*?[")


def crowds(files: Mapping[K, Collection[str]]) -> dict[tuple[K, ...], tuple[str, ...]]:
    """Those that are in each other's way, in the mapping's order, each group once with the locations that all of it
    touch."""
    holders: dict[str, list[K]] = {}
    for key, locations in files.items():
        for location in locations:
            holders.setdefault(location, []).append(key)
    patterns = [location for location in holders if _is_pattern(location)]
    order = {key: place for place, key in enumerate(files)}
    found: dict[tuple[K, ...], tuple[str, ...]] = {}
    for location in sorted(holders):
        wider = [*_above(location), *(one for one in patterns if one != location and covers(one, location))]
        keys = {key for one in (location, *wider) for key in holders.get(one, ())}
        if len(keys) > 1:
            group = tuple(sorted(keys, key=order.__getitem__))
            found[group] = (*found.get(group, ()), location)
    return found


def _above(location: str) -> Iterator[str]:
    """The folders that a location lies in."""
    parts = location.split("/")
    yield from ("/".join(parts[:count]) for count in range(1, len(parts)))
    if location != ".":
        yield "."
