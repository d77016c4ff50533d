"""What one look at a command's output means for whoever waits for it: done, failed, used up, or look again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

NO_ANSWER = 124
"""The code of a check that was ended because it took too long."""
LONGEST_LINE = 200

_FAILING = (
    r"(?:fail(?:ed|ures?|s|ing)?|err(?:or(?:s|ed)?|s)?|exceptions?|crash(?:es|ed)?|fatals?|aborted|problems?|timeouts?"
    r"|timed[ -]out|killed|lost|broken|blocked)"
)
_COUNTED = r"(?:tests?|jobs?|tasks?|cases?|checks?|items?|suites?|files?|steps?|examples?|assertions?|specs?)"
_NUMBERED = (
    "attempt", "code", "exit", "gpu", "host", "id", "index", "job", "line", "node", "number", "pid", "rank", "shard",
    "stage", "status", "step", "task", "worker",
)  # fmt: skip
# "step 0 failed" tells which one failed; "0 failed" tells that none did.
_NO_NUMBER = "".join(rf"(?<!\b{word}[ #=:])" for word in _NUMBERED)
_SP = r"[ \t]"
_NO_VALUE = rf"(?![\"']?{_SP}*[:=])"
_ZERO_BEFORE = (
    rf"(?<![\w.,#/-])(?<!\d:){_NO_NUMBER}(?:0+|no|zero){_SP}+(?:of{_SP}+\d+{_SP}+)?(?:{_COUNTED}{_SP}+)?"
    rf"{_FAILING}\b{_NO_VALUE}"
)
_ZERO_AFTER = (
    rf"\b(?:{_COUNTED}[ \t_-]+)?{_FAILING}(?:[ \t_-]+{_COUNTED})?[\"']?"
    rf"(?:{_SP}*[:=]{_SP}*[\"']?0{{1,9}}(?![.,]?\d|\w)|{_SP}0+{_SP}*$)(?:{_SP}+{_FAILING}\b{_NO_VALUE})?"
)
_NONE_FAILED = re.compile(f"{_ZERO_BEFORE}|{_ZERO_AFTER}", re.IGNORECASE | re.MULTILINE)


class End(IntEnum):
    """The exit code of a wait that is over."""

    DONE = 0
    USED_UP = 1
    FAILED = 2


@dataclass(frozen=True)
class Rules:
    """What is waited for. Without `success` an exit of 0 is enough; seconds for `interval` and `timeout`;
    `max_attempts` 0 = as many as fit."""

    success: re.Pattern[str] | None
    failures: tuple[re.Pattern[str], ...]
    retry_on_nonzero: bool
    interval: float
    timeout: float
    max_attempts: int = 0


@dataclass(frozen=True)
class Look:
    """One check: the how-manieth, the seconds since the first began, its exit code and what it printed."""

    attempt: int
    elapsed: float
    code: int
    text: str


@dataclass(frozen=True)
class Verdict:
    """`end` None = look again after `pause` seconds."""

    end: End | None
    words: str
    pause: float = 0.0


def judge(rules: Rules, look: Look) -> Verdict:
    """A failure is seen before a success, and a success only of a check that ended well."""
    failed = _failure(rules, look.text)
    if failed:
        return Verdict(End.FAILED, f"failure pattern: {failed}")
    if look.code == 0:
        found = rules.success.search(look.text) if rules.success is not None else None
        if rules.success is None or found is not None:
            return Verdict(End.DONE, f"done: {_line(look.text, found) or 'the check ended with 0'}")
        return _again(rules, look, "not yet")
    if look.code == NO_ANSWER:
        return _again(rules, look, "the check gave no answer in time")
    if rules.retry_on_nonzero:
        return _again(rules, look, f"the check ended with {look.code}")
    return Verdict(End.FAILED, f"the check ended with {look.code}: {_last(look.text)}")


def check_limit(rules: Rules, elapsed: float) -> float:
    """Seconds that the next check may take: up to the end, and for the last look at most a tenth of the time beyond it
    (1 s to 10 s)."""
    last = min(10.0, max(1.0, rules.timeout / 10))
    return max(last, min(max(60.0, rules.interval), rules.timeout - elapsed))


def _again(rules: Rules, look: Look, words: str) -> Verdict:
    if rules.max_attempts and look.attempt >= rules.max_attempts:
        return Verdict(End.USED_UP, f"{words} after {look.attempt} checks, and no more were allowed")
    left = rules.timeout - look.elapsed
    if left <= 0:
        return Verdict(End.USED_UP, f"{words} when the time was up ({rules.timeout:g} s)")
    return Verdict(None, words, min(rules.interval, left))


def _failure(rules: Rules, text: str) -> str:
    """The line that a failure pattern found; "" for none. A count of zero is taken out first: it says that nothing
    failed."""
    plain = _NONE_FAILED.sub("", text)
    found = next((match for one in rules.failures if (match := one.search(plain)) is not None), None)
    return _line(plain, found) if found is not None else ""


def _line(text: str, found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    start = text.rfind("\n", 0, found.start()) + 1
    end = text.find("\n", found.end())
    return text[start : end if end >= 0 else len(text)].strip()[:LONGEST_LINE] or repr(found.re.pattern)


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:LONGEST_LINE] if lines else "it printed nothing"
