"""What `gemini --output-format stream-json` prints, measured on 0.61.0.

It names no class of a failure: an HTTP status is told where the API's own JSON stands in the words, a 429 by the
advice behind them, a 404 on stderr alone. So words count only inside `[API Error: ...]`, never a tool's or a model's.
"""

from __future__ import annotations

import re
from datetime import datetime

from coordinator.runfiles.tongues import shapes
from coordinator.runfiles.verdict.lines import parse

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Mapping, Optional, Tuple

    Body = Mapping[str, Any]

_STATUS = {
    401: "auth_blocked", 403: "auth_blocked", 404: "model_unavailable", 429: "capacity_exhausted",
    499: "capacity_exhausted", 500: "network", 502: "network", 503: "capacity_exhausted", 504: "network",
    529: "capacity_exhausted",
}
"""With 499 and 503 the CLI deals as with 429."""

_OWN_CODES = {41: "auth_missing", 42: "launch_failed", 44: "launch_failed", 52: "config_error", 53: "max_turns",
              54: "disk_full", 55: "config_error"}
_CODES = {**{status % 256: cause for status, cause in _STATUS.items()}, **_OWN_CODES}
"""An HTTP status leaves as exit code what a byte holds of it: 401 as 145, 429 as 173."""

_KINDS = {"FatalAuthenticationError": "auth_missing", "FatalInputError": "launch_failed",
          "FatalConfigError": "config_error", "FatalTurnLimitedError": "max_turns", "no_space_left": "disk_full"}
"""Of the errors that are its own."""

_API_ERROR = re.compile(r"\[API Error: (.*)\](\n.*)?\s*\Z", re.DOTALL)
_WORDS = (
    (r"api key not valid|api key (?:has )?expired|API_KEY_INVALID|api key not found", "auth_blocked"),
    (r"token count .{0,200}exceeds|maximum number of tokens", "context_exhausted"),
    (r"is not found for API version|not supported for generateContent", "model_unavailable"),
    (r"overloaded|high demand|no capacity available", "capacity_exhausted"),
    (r"incomplete json segment", "protocol_error"),
)
_DAILY = r"daily (?:quota|limit)|per ?day|quota will reset|\blimit: 0(?![\d.])"
_AFTER = re.compile(r"(?:retry|reset) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST_WAIT, _FARTHEST = 300, 40 * 86_400
"""Seconds: what the CLI itself would wait for a limit to pass; what no limit lasts."""

_CHANGING = ("run_shell_command", "write_file", "replace")
"""The tools that it has only when it may use them unasked."""

_TALK = re.compile(r"^Error when talking to Gemini API .*? (\w+Error):", re.MULTILINE)
_TALKED = {"ModelNotFoundError": "model_unavailable", "TerminalQuotaError": "usage_limited",
           "RetryableQuotaError": "capacity_exhausted"}
_ATTEMPT = re.compile(r"^Attempt \d+ failed with status (\d{3})\. Retrying with backoff\.\.\.", re.MULTILINE)


def normal(body: Body) -> Tuple[Body, ...]:
    reader = _READERS.get(str(body.get("type")))
    return reader(body) if reader else (body,)


def ended(code: Optional[int], stderr: str) -> str:
    """The class of an end that the stream does not explain. Exit code 0 is what signals that ask it to stop leave."""
    if code == 0:
        return "manual_stop"
    talked = [_TALKED[name] for name in _TALK.findall(stderr) if name in _TALKED]
    if talked:
        return talked[-1]
    return _CODES.get(code or 0) or refused(stderr)


def refused(stderr: str) -> str:
    """Why its requests were refused that it goes on asking in silence, for minutes."""
    attempts = _ATTEMPT.findall(stderr)
    return _STATUS.get(int(attempts[-1]), "") if attempts else ""


def _message(body: Body) -> Tuple[Body, ...]:
    if body.get("role") != "assistant":   # the prompt, which nobody said
        return ()
    return (shapes.said(body.get("content") or ""),)


def _returned(body: Body) -> Tuple[Body, ...]:
    output, error = body.get("output"), body.get("error")
    if not output and isinstance(error, dict):
        output = error.get("message")
    bad = body.get("status") != "success"
    return (shapes.returned(body.get("tool_id"), output or "", bad=bad, refused=_refused_tool(body) if bad else ""),)


def _refused_tool(body: Body) -> str:
    """The tool that a policy forbids, or that it does without since nobody is there to be asked; its name begins the
    id of the call."""
    error, name = body.get("error"), str(body.get("tool_id")).partition("__")[0]
    kind = error.get("type") if isinstance(error, dict) else ""
    return name if kind == "policy_violation" or (kind == "tool_not_registered" and name in _CHANGING) else ""


def _error(body: Body) -> Tuple[Body, ...]:
    words = str(body.get("message") or "")
    return (shapes.troubled("gemini", words) if body.get("severity") == "error" else shapes.noticed(words),)


def _result(body: Body) -> Tuple[Body, ...]:
    usage = _usage(body.get("stats"))
    if body.get("status") == "success":
        return (shapes.ended_well("", usage),)
    error = body.get("error")
    kind, said = (error.get("type"), error.get("message")) if isinstance(error, dict) else ("", error)
    if kind == "FatalCancellationError":
        return ({**shapes.ended_badly(said or "cancelled", usage=usage), "terminal_reason": "aborted"},)
    own, found = _KINDS.get(str(kind), ""), _API_ERROR.match(str(said or ""))
    if not found:
        return (shapes.ended_badly(said or "", cause=own or ("process_exit" if said else ""), usage=usage),)
    status, words = _told(found.group(1), 429 if found.group(2) else 0)
    wait = _wait(words) if status == 429 else None
    return (shapes.ended_badly(words, status=status, cause=own or _cause(status, words, wait), usage=usage,
                               resets_at=_moment(body.get("timestamp"), wait)),)


def _told(text: str, status: int) -> Tuple[int, str]:
    """(HTTP status, words) of an API error, whose words may be the API's own JSON, once more within its message."""
    error = (parse(text.encode("utf-8", "replace")) or {}).get("error")
    if not isinstance(error, dict):
        return status, text
    code = error.get("code")
    return _told(str(error.get("message") or ""), code if isinstance(code, int) else status)


def _cause(status: int, words: str, wait: Optional[float]) -> str:
    if status == 429 and (re.search(_DAILY, words, re.IGNORECASE) or (wait or 0) > _LONGEST_WAIT):
        return "usage_limited"
    said = next((cause for pattern, cause in _WORDS if re.search(pattern, words, re.IGNORECASE)), "")
    return _STATUS.get(status) or said


def _wait(words: str) -> Optional[float]:
    """Seconds until a limit is over."""
    found = _AFTER.search(words)
    return sum(float(many) * _SECONDS[unit] for many, unit in _PART.findall(found.group(1))) if found else None


def _moment(stamp: object, wait: Optional[float]) -> Optional[float]:
    """Unix seconds of what comes `wait` seconds after this ISO time."""
    if not wait or wait > _FARTHEST:
        return None
    try:
        return datetime.fromisoformat(str(stamp).replace("Z", "+00:00")).timestamp() + wait
    except (ValueError, OverflowError):
        return None


def _usage(stats: object) -> Optional[Dict[str, int]]:
    """Its input holds what came from the cache, its output not what was thought: only the total does."""
    if not isinstance(stats, dict):
        return None
    tokens = [stats.get(key) for key in ("input_tokens", "cached", "output_tokens", "total_tokens")]
    taken, cached, given, total = (one if isinstance(one, int) else 0 for one in tokens)
    return shapes.used(taken - cached, cached, max(given, total - taken))


_READERS: Dict[str, Callable[[Body], Tuple[Body, ...]]] = {
    "init": lambda body: (shapes.began(body.get("session_id"), body.get("model")),),
    "message": _message,
    "tool_use": lambda body: (shapes.called(body.get("tool_name"), body.get("tool_id"), body.get("parameters")),),
    "tool_result": _returned,
    "error": _error,
    "result": _result,
}
