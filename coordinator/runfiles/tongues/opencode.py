"""What `opencode run --format json` prints, measured on 1.18.33: steps begin and finish, and no event ends the run. A
step that finished with "stop" was the last one; an `error` ends it badly.

An answer that breaks off finishes its step with "unknown", and the next step asks again, without end: that is a retry.
What it waits for in silence, and that it did not find the model, stands on stderr alone (`--print-logs`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from math import isfinite

from coordinator.runfiles.tongues import shapes
from coordinator.runfiles.verdict.lines import number, parse

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Mapping, Match, Optional, Tuple

    Body = Mapping[str, Any]

LONG_WAIT = 300
"""Seconds; whoever is told to wait longer has met a usage limit, not a rate."""

_NAMES = {
    "ProviderAuthError": "auth_missing", "ProviderModelNotFoundError": "model_unavailable",
    "ModelNotFoundError": "model_unavailable", "ContextOverflowError": "context_exhausted",
    "MessageOutputLengthError": "context_exhausted",
}
"""opencode's own errors."""
_BREAKS = ("MessageAbortedError",)
"""It was interrupted: how it ended tells by whom."""
_CODES = {
    # of OpenAI's kind
    "insufficient_quota": "auth_blocked", "invalid_api_key": "auth_blocked", "model_not_found": "model_unavailable",
    "context_length_exceeded": "context_exhausted", "usage_limit_reached": "usage_limited",
    # of opencode's own gateway
    "FreeUsageLimitError": "usage_limited", "GoUsageLimitError": "usage_limited", "CreditsError": "no_credit",
    # of Zhipu's and Z.ai's (docs.z.ai/api-reference/api-code), most of them sent with status 429
    "1000": "auth_blocked", "1001": "auth_blocked", "1002": "auth_blocked", "1003": "auth_blocked",
    "1004": "auth_blocked", "1110": "auth_blocked", "1111": "auth_blocked", "1112": "auth_blocked",
    "1113": "no_credit", "1121": "auth_blocked", "1211": "model_unavailable", "1220": "auth_blocked",
    "1302": "rate_limited", "1303": "rate_limited", "1304": "usage_limited", "1308": "usage_limited",
    "1309": "no_credit", "1310": "usage_limited", "1316": "usage_limited",
}
"""The code in an API's own body, which knows better than the HTTP status."""
_STATUS = {408: "network", 503: "overloaded", 529: "overloaded"}
_FAR = re.compile(r"(?:usage|session|weekly|daily|monthly|hourly) (?:limit|quota)|limit will reset", re.IGNORECASE)
_QUOTA = re.compile(r"\bquota\b", re.IGNORECASE)
_AT = re.compile(r"\b(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d))?(Z?)")
_THEIRS = timezone(timedelta(hours=8))
"""Zhipu's clock: their moments name no zone."""

_BARRED = re.compile(r"^The user (?:has specified a rule which prevents|rejected permission)")
_LOGGED = re.compile(r'\berror(?:\.error)?="AI_(?:APICall|Retry)Error: ([^\n]*)')
_NOT_FOUND = re.compile(r"\bProviderModelNotFoundError\b")


def normal(body: Body) -> Tuple[Body, ...]:
    part = body.get("part")
    reader = _READERS.get(str(body.get("type")))
    if reader is not None and isinstance(part, dict):
        return reader(body, part)
    return _error(body) if body.get("type") == "error" and isinstance(body.get("error"), dict) else (body,)


def ended(code: Optional[int], stderr: str) -> str:
    """The class of an end that the stream does not explain."""
    return "model_unavailable" if code and _NOT_FOUND.search(stderr) else ""


def refused(stderr: str) -> str:
    """Why its requests were refused that it asks again in silence: nothing but a limit tells it to wait for so long
    that somebody else loses patience."""
    told = _LOGGED.findall(stderr)
    return "usage_limited" if told and "connect" not in told[-1] else ""


def _finished(_: Body, part: Body) -> Tuple[Body, ...]:
    took = shapes.said("", part.get("messageID"), _usage(part.get("tokens")))
    reason = part.get("reason")
    if reason == "tool-calls":
        return (took,)
    if reason == "stop":
        return (took, shapes.ended_well())
    if reason == "length":
        return (took, shapes.ended_badly("the answer outgrew the model's limit of output", cause="context_exhausted"))
    if reason == "unknown":
        return (took, shapes.waited("the model's answer broke off", "?", "?", None))
    return (took, shapes.ended_badly("the last step finished with %r" % str(reason)))


def _usage(tokens: object) -> Optional[Dict[str, int]]:
    """Its input is without what came from the cache or went into it, its output without what was thought."""
    if not isinstance(tokens, dict):
        return None
    cache = tokens.get("cache")
    kept, fed = (cache.get("write"), cache.get("read")) if isinstance(cache, dict) else (0, 0)
    return shapes.used(_sum(tokens.get("input"), kept), fed, _sum(tokens.get("output"), tokens.get("reasoning")))


def _sum(*values: object) -> int:
    return sum(one for one in values if isinstance(one, int) and not isinstance(one, bool) and one > 0)


def _tool(body: Body, part: Body) -> Tuple[Body, ...]:
    """It is printed once it has ended."""
    state, ident = part.get("state"), part.get("callID")
    if not isinstance(state, dict):
        return (body,)
    bad = state.get("status") == "error"
    told = state.get("error") if bad else state.get("output")
    barred = str(part.get("tool")) if bad and _BARRED.search(str(told)) else ""
    back = shapes.returned(ident, told or "", bad=bad, refused=barred)
    return shapes.called(part.get("tool"), ident, state.get("input")), back


def _error(body: Body) -> Tuple[Body, ...]:
    error = body["error"]
    name, data = str(error.get("name") or ""), error.get("data")
    data = data if isinstance(data, dict) else {}
    words = str(data.get("message") or name or "an error without words")
    if name in _BREAKS:
        return (shapes.troubled(name, words),)
    status, stamp = data.get("statusCode"), body.get("timestamp")
    code, said = _answered(data.get("responseBody"))
    wait = _wait(data.get("responseHeaders"))
    cause = _CODES.get(code) or _NAMES.get(name) or _by_status(status, "%s %s" % (words, said), wait)
    until = _until("%s %s" % (words, said), wait, stamp) if cause == "usage_limited" else None
    ends = shapes.ended_badly(words, status=status, cause=cause, resets_at=until)
    return ({**ends, "session_id": str(body.get("sessionID") or "")},)


def _by_status(status: object, words: str, wait: float) -> str:
    """What is left out here, the status and the words tell any judge."""
    if status != 429:
        return _STATUS.get(status, "") if isinstance(status, int) else ""
    if wait > LONG_WAIT or _FAR.search(words):
        return "usage_limited"
    return "auth_blocked" if _QUOTA.search(words) else "rate_limited"


def _answered(text: object) -> Tuple[str, str]:
    """(code, words) of an API's own body, where it is JSON."""
    error = (parse(str(text).encode("utf-8", "replace")) or {}).get("error")
    if not isinstance(error, dict):
        return "", ""
    codes = [str(error.get(key)) for key in ("code", "type")]
    return next((one for one in codes if one in _CODES), ""), str(error.get("message") or "")


def _wait(headers: object) -> float:
    """Seconds that the API asks to wait; 0 for what it does not say."""
    given = headers if isinstance(headers, dict) else {}
    for name, scale in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            found = float(str(given.get(name)))
        except ValueError:
            continue
        return found / scale if isfinite(found) else 0
    return 0


def _until(words: str, wait: float, stamp: object) -> Optional[float]:
    """Unix seconds of the end of a limit. A moment without a zone that would be over on their clock is one of UTC."""
    now = (number(stamp) or 0) / 1000
    found = _AT.search(words)
    told = [_moment(found, zone) for zone in (_THEIRS, timezone.utc)] if found else []
    ahead = [one for one in told if one is not None and one > now]
    if ahead:
        return ahead[0]
    return now + wait if now and wait else None


def _moment(found: Match[str], theirs: timezone) -> Optional[float]:
    *numbers, utc = found.groups()
    year, month, day, hour, minute, second = (int(one or 0) for one in numbers)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc if utc else theirs).timestamp()
    except (ValueError, OverflowError):
        return None


_READERS: Dict[str, Callable[[Body, Body], Tuple[Body, ...]]] = {
    "step_start": lambda body, _: (shapes.began(body.get("sessionID")),),
    "step_finish": _finished,
    "text": lambda _, part: (shapes.said(part.get("text") or "", part.get("messageID")),),
    "reasoning": lambda _, part: (shapes.thought(part.get("text") or "", part.get("messageID")),),
    "tool_use": _tool,
}
