"""What a task's commits must be like: only its own files, with their trailers, and pushed by nobody but us."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.domain.planfile import PlanTask
from coordinator.planning.plans.overlap import covers, plain

MOST_LINES = 190
"""Changed lines above which a task was larger than one that a reviewer takes in at once."""
TRAILERS = ("Feature-Key", "Agent")
_TRAILER = re.compile(r"^([A-Za-z][A-Za-z-]{0,40}):[ \t]*(\S.*)$")
WARN, REFUSE = "warn", "refuse"


@dataclass(frozen=True)
class Strictness:
    """What becomes of each fault of a commit: `warn` or `refuse`."""

    outside: str = WARN
    trailers: str = WARN
    pushed: str = WARN


@dataclass(frozen=True)
class Fault:
    """Something about a task's commits. `reason` is the reason code it is refused with, "" for a mere note."""

    words: str
    reason: str = ""


def faults(
    one: PlanTask, key: str, files: Sequence[str], lines: int, messages: Sequence[tuple[str, str]], pushed: str,
    strict: Strictness,
) -> Iterator[Fault]:
    """`key` is what Feature-Key must be, `messages` are (sha, message) of each commit, `pushed` the commit that the
    remote has of the task's branch, "" for none."""
    outside = [file for file in files if not within(file, one.location)]
    if one.location and outside:
        words = f"touches {', '.join(outside[:5])}" + (f" and {len(outside) - 5} more" if len(outside) > 5 else "")
        yield Fault(f"{words}: not among its locations", _reason(strict.outside, "outside_location"))
    bad = [f"{sha[:8]} {missing}" for sha, message in messages if (missing := _missing(message, key))]
    if bad:
        yield Fault("; ".join(bad[:5]), _reason(strict.trailers, "trailers_missing"))
    if pushed:
        yield Fault(f"its branch stands on the remote at {pushed[:8]}, and nobody but the agent can have pushed it",
                    _reason(strict.pushed, "pushed_by_agent"))
    if lines > MOST_LINES:
        yield Fault(f"changes {lines} lines, more than {MOST_LINES}: a smaller task is easier to review")


def within(file: str, locations: Sequence[str]) -> bool:
    """Whether a file is one of the locations, lies in one, or fits one that is a pattern."""
    return any(covers(plain(location), file) for location in locations)


def trailers(message: str) -> Mapping[str, str]:
    """The trailers of a commit: `Key: value` lines of its last paragraph, as git has them."""
    last = re.split(r"\n[ \t]*\n", message.strip())[-1]
    found = (_TRAILER.match(line) for line in last.splitlines())
    return {match[1].lower(): match[2].strip() for match in found if match}


def _missing(message: str, key: str) -> str:
    there = trailers(message)
    lacks = [name for name in TRAILERS if name.lower() not in there]
    if lacks:
        return f"lacks {' and '.join(lacks)}"
    named = there["feature-key"]
    return "" if named == key else f"names {named!r} as Feature-Key, not {key!r}"


def _reason(how: str, code: str) -> str:
    return code if how == REFUSE else ""
