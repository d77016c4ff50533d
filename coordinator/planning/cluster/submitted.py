"""The line a job was submitted with, as the books keep it: sbatch's options, the script with its arguments. Pure.

The books join the words by blanks; what stood in quotes is only told apart where no blank was in it.
"""

from __future__ import annotations

from dataclasses import dataclass

_LONG = {"-a": "--array", "-d": "--dependency", "-o": "--output", "-e": "--error", "-M": "--clusters", "-W": "--wait",
         "-Q": "--quiet"}  # fmt: skip
_FLAGS = frozenset((
    "-H", "-O", "-Q", "-V", "-W", "-h", "-k", "-s", "-v", "-vv", "-vvv", "--contiguous", "--exclusive",
    "--get-user-env", "--help", "--hold", "--ignore-pbs", "--nice", "--no-kill", "--no-requeue", "--overcommit",
    "--oversubscribe", "--parsable", "--propagate", "--quiet", "--reboot", "--requeue", "--spread-job", "--test-only",
    "--usage", "--use-min-nodes", "--verbose", "--version", "--wait",
))
"""Options whose next word is not their value; some take one behind `=`."""


@dataclass(frozen=True)
class Option:
    """`name` is the long form where it matters here; `words` as they stood."""

    name: str
    value: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """`rest` is the script with its arguments; nothing where it was given as --wrap or on stdin."""

    program: str
    options: tuple[Option, ...]
    rest: tuple[str, ...]

    def value(self, name: str) -> str:
        """Of the last one of that name; ""."""
        return next((one.value for one in reversed(self.options) if one.name == name), "")

    def has(self, name: str) -> bool:
        return any(one.name == name for one in self.options)


def parse(text: str) -> Line:
    words = text.split()
    found: list[Option] = []
    at = 1
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        one = _option(words[at], words[at + 1] if at + 1 < len(words) else "")
        found.append(one)
        at += len(one.words)
        if one.name == "--wrap":   # what follows is a program whose quotes are lost
            return Line(_program(words), tuple(found), ())
    return Line(_program(words), tuple(found), tuple(words[at:]))


def _program(words: list[str]) -> str:
    return words[0].rpartition("/")[2] if words else ""


def _option(word: str, after: str) -> Option:
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        if equals or name in _FLAGS:
            return Option(name, value, (word,))
        return Option(name, after, (word, after))
    short = _LONG.get(word[:2], word[:2])
    if word in _FLAGS:
        return Option(short, "", (word,))
    if len(word) > 2:
        return Option(short, word[2:].removeprefix("="), (word,))
    return Option(short, after, (word, after))
