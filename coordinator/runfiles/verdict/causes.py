"""Why a run ended badly: claude's own error class, the HTTP status, and words, in this order of trust.

The classes are those of domain/reasons.py, with or without a provider's name before them.
"""

from __future__ import annotations

import re

from coordinator.runfiles.tongues import CLAUDE, EITHER
from coordinator.runfiles.verdict.resets import in_words

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Optional, Tuple

    from coordinator.runfiles.verdict.reading import Reading

OF_A_PROVIDER = frozenset((
    "binary_missing", "auth_missing", "auth_blocked", "model_unavailable", "model_unsupported", "rate_limited",
    "usage_limited", "capacity_exhausted", "context_exhausted", "permission_denied", "protocol_error",
))
"""The classes that are written with the provider's name."""

# claude's own classes of API errors (`assistant.error`); rate_limit and server_error need a second look.
_CLASSES = {
    "authentication_failed": "auth_blocked",
    "oauth_org_not_allowed": "auth_blocked",
    "billing_error": "no_credit",
    "model_not_found": "model_unavailable",
    "overloaded": "overloaded",
}

_STATUS = {
    401: "auth_blocked",
    402: "no_credit",
    403: "auth_blocked",
    404: "model_unavailable",
    408: "network",
    413: "context_exhausted",
    529: "overloaded",
}

_NO_LOGIN = (
    r"invalid (?:x-)?api[ -]?key|not logged in|please run /login|failed to authenticate"
    r"|token (?:has |is )?expired|authentication[_ ](?:error|failed)|oauth token|unauthorized"
)
_UNREACHABLE = (
    r"unable to connect|connection ?(?:refused|reset|error|closed|timed out)|econn|enotfound|etimedout"
    r"|stream (?:disconnected|closed)"
    r"|eai_again|socket hang up|fetch failed|getaddrinfo|request timed out|self[- ]signed|unable to verify"
)
_BAD_START = r"unknown option|unknown argument|session id .{0,200} (?:is already|not a valid)|no conversation found"

_LONGEST_WORDS = 20_000
"""A maker says what is wrong at once. More than that is looked at by no pattern: a failed result may hold megabytes."""

# Words of results and of stderr, most telling first; compiled only when a run failed. What may stand between two words
# is bounded: a hostile text must not make the search quadratic.
_WORDS: Tuple[Tuple[str, str], ...] = (
    (r"cannot be used with root", "permission_denied"),
    (_BAD_START, "launch_failed"),
    (r"credit balance|insufficient (?:funds|credit|quota|balance)|payment required", "no_credit"),
    (_NO_LOGIN, "auth_blocked"),
    (r"prompt is too long|context (?:window|length|limit)|input is too long|exceeded the token limit",
     "context_exhausted"),
    (r"usage limit|(?:session|weekly|daily|hourly) limit|hit your .{0,200}limit|limit reached", "usage_limited"),
    (r"overloaded|high demand", "overloaded"),
    (r"rate.?limit|too many requests", "rate_limited"),
    (r"empty (?:or malformed|response)|unexpected end of (?:json|stream)", "protocol_error"),
    (_UNREACHABLE, "network"),
    (r"no space left|enospc", "disk_full"),
    (r"heap out of memory|cannot allocate memory", "oom_killed"),
    (r"issue with the selected model|unknown model|model .{0,200}not (?:found|exist|available)", "model_unavailable"),
)
_API_ERROR = r"(?i)\s*\[?API Error(?::| \()"
# How claude begins the one line that it prints of a failure in text mode.
_PLAIN_ERROR = (
    r"(?i)\s*(?:API Error\b|Failed to authenticate\b|Invalid API key\b|Not logged in\b|Please run /login"
    r"|Credit balance is too low|Prompt is too long|There's an issue with the selected model"
    r"|Claude (?:AI )?usage limit)"
)
_STATUS_IN_TEXT = r"API Error:?\s*\(?([45]\d\d)\b|\(([45]\d\d)\)|\bstatus(?: code)?:? ([45]\d\d)\b"


def code_of(provider: str, suffix: str) -> str:
    """The reason code of a class; `cc-glm` is written `cc_glm`."""
    return "%s_%s" % (provider.replace("-", "_"), suffix) if suffix in OF_A_PROVIDER else suffix


def is_api_error(text: str) -> bool:
    """Whether a result's text is an API error in disguise: some CLIs call that a success."""
    return re.match(_API_ERROR, text) is not None


def failure(reading: Reading) -> str:
    """The class of a failure from what the stream was sure of, the CLI's own error class, the HTTP status, then words;
    "" when none tells."""
    if reading.text("cause"):
        return reading.text("cause")
    text = reading.text("result") or reading.error_text
    status = _status(reading, text)
    if not status and re.match(r"(?i)\s*not logged in", text):
        return "auth_missing"
    if status == 429 or reading.error == "rate_limit":
        return _limited(reading, text)
    found = _STATUS.get(status) or _CLASSES.get(reading.error) or by_words(text)
    return found or ("network" if 500 <= status <= 599 else "")


def plain_failure(reading: Reading) -> str:
    """The class of a failure that claude told in plain words, on its last line; "" for what is no such line: anything
    may be said in a text, an error's number or name included."""
    line = reading.last_line.decode("utf-8", "replace").strip()
    if not re.match(_PLAIN_ERROR, line):
        return ""
    reading.error_text = line
    return failure(reading)


def _limited(reading: Reading, text: str) -> str:
    """A limit that claude did not even wait for is longer than it waits: a usage limit. Some makers say by the same
    status that the account is empty."""
    if by_words(text) == "no_credit":
        return "no_credit"
    of_claude = reading.speaks == CLAUDE or (reading.speaks == EITHER and reading.started)
    unwaited = of_claude and reading.retries == 0
    if reset_of(reading) is not None or unwaited or by_words(text) == "usage_limited":
        return "usage_limited"
    return "rate_limited"


def _status(reading: Reading, text: str) -> int:
    said = (reading.result or {}).get("api_error_status")
    if isinstance(said, int) and not isinstance(said, bool):
        return said
    found = re.search(_STATUS_IN_TEXT, text)
    if found:
        return int(next(group for group in found.groups() if group))
    return reading.retry_status if reading.retries and reading.result is None else 0


def by_words(text: str) -> str:
    text = text[:_LONGEST_WORDS]
    return next((suffix for pattern, suffix in _WORDS if re.search(pattern, text, re.IGNORECASE)), "")


def reset_of(reading: Reading, now: Optional[float] = None) -> Optional[float]:
    """Unix seconds, when a limit ends; `now` is when the run ended, which times of day are counted from."""
    return reading.reset_at or in_words(reading.text("result") or reading.error_text, now)
