"""What two errors have in common: the last line that tells of one, without what differs from task to task.

It sees words of agents and tools, so every step takes time in proportion to what it reads, and it reads little.
"""

from __future__ import annotations

import re

LONGEST_TEXT, LONGEST_LINE, LONGEST = 16_384, 1_000, 160
"""Characters that are read of a text's end, of its telling line, and that a signature keeps."""
LINES_SEARCHED = 20

_TELLS = re.compile(r"(?i)error|exception|fail|fatal|panic|denied|not found|cannot|refused|killed|abort")
_ASIDE = re.compile(r"(?i)^\W*(?:(?:npm err!|npm error|error:)\s*)?(?:a complete log|see |for more|at\s|run\s)")
"""Lines that only point to where more is said."""

_HEAD = re.compile(r"(?i)[\w.]{0,60}(?:error|exception|fatal|panic|failed)\b[^:\s]{0,20}:")
"""Where the telling part of several lines that were run together begins."""
_LONG_LINE = 160

_ESCAPE = re.compile(r"\x1b\[[0-9;]{0,20}[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_STEPS = (
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)?"), "<time>"),
    (re.compile(r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?"), "<time>"),
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,9}://\S+", re.IGNORECASE), "<address>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}"), "<address>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), "<address>"),
    (re.compile(r'"[^"]{1,200}"|`[^`]{1,200}`|‘[^’]{1,200}’|“[^”]{1,200}”'), "<name>"),
    (re.compile(r"(?<!\w)'[^']{1,200}'(?!\w)"), "<name>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b(?=[0-9a-f]{0,63}\d)[0-9a-f]{7,64}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"[\w.~-]{0,80}:?[\\/][^\s:;,()\[\]<>]{1,300}"), "<path>"),
    (re.compile(r"\b[\w-]{1,60}\.(?:py|js|ts|tsx|go|rs|c|cc|cpp|h|java|rb|sh|json|toml|ya?ml|md|txt|log)\b"), "<path>"),
    (re.compile(r"\d+(?:[.,]\d+)*"), "<n>"),
    (re.compile(r"\s+"), " "),
)


def last_error(text: str) -> str:
    """The last line that tells of an error, else the last one that says anything; ""."""
    lines = [_ESCAPE.sub("", line).strip() for line in text[-LONGEST_TEXT:].splitlines()]
    spoken = [line[:LONGEST_LINE] for line in lines if line][-LINES_SEARCHED:]
    telling = [line for line in spoken if _TELLS.search(line) and not _ASIDE.match(line)]
    return _telling_part((telling or spoken or [""])[-1])


_TROUBLE = re.compile(
    r"(?:^|\s)(?:[\w.]{0,60}(?:Error|Exception)|error|fatal|panic):|Traceback \(most recent|out of memory|OOM|oom.kill"
    r"|Segmentation fault|core dumped|^Killed\b|No space left|Input/output error|command not found|Permission denied"
    r"|loss\s{0,4}[=:]?\s{0,4}nan\b|NCCL (?:error|WARN)|srun: error|slurmstepd: error", re.MULTILINE | re.IGNORECASE)
"""What a program that goes on says of real trouble: a count of errors, or a measure of them, is none."""


def trouble(text: str) -> str:
    """The last line that tells of real trouble, though its program goes on; ""."""
    lines = [_ESCAPE.sub("", line).strip()[:LONGEST_LINE] for line in text[-LONGEST_TEXT:].splitlines()]
    return next((_telling_part(line) for line in reversed(lines) if _TROUBLE.search(line)), "")


def _telling_part(line: str) -> str:
    if len(line) <= _LONG_LINE:
        return line
    heads = [found.start() for found in _HEAD.finditer(line)]
    return line[heads[-1] :] if heads else line


def signature(text: str) -> str:
    """The telling line without paths, numbers, ids, addresses, quoted names and times; at most `LONGEST` letters."""
    line = last_error(text)
    for pattern, word in _STEPS:
        line = pattern.sub(word, line)
    return line.strip()[:LONGEST]
