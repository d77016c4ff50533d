"""The objects of claude's stream that other streams are turned into."""

from __future__ import annotations

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Dict, Mapping, Optional

    Shaped = Dict[str, Any]


def began(session: object, model: object = "") -> Shaped:
    return {"type": "system", "subtype": "init", "session_id": str(session or ""), "model": str(model or "")}


def said(text: object, ident: object = "", usage: Optional[Mapping[str, int]] = None) -> Shaped:
    """A message of the agent; with usage, what it took."""
    return _assistant([{"type": "text", "text": str(text)}] if text else [], ident, usage)


def thought(text: object, ident: object = "") -> Shaped:
    return _assistant([{"type": "thinking", "thinking": str(text)}], ident)


def called(tool: object, ident: object, given: object) -> Shaped:
    """A call of a tool; `given` are its parameters."""
    block = {"type": "tool_use", "id": str(ident), "name": str(tool), "input": given}
    return _assistant([block], "")


def returned(ident: object, content: object, *, bad: bool, refused: str = "") -> Shaped:
    """`refused` names the tool where the agent was not allowed to use it."""
    block = {"type": "tool_result", "tool_use_id": str(ident), "content": content, "is_error": bad}
    if refused:
        block["refused_tool"] = refused
    return {"type": "user", "message": {"role": "user", "content": [block]}}


def waited(why: str, attempt: object, most: object, status: Optional[int]) -> Shaped:
    """It asks its provider again."""
    found = {"type": "system", "subtype": "api_retry", "attempt": attempt, "max_retries": most, "error": why}
    return {**found, "error_status": status} if status else found


def noticed(text: object) -> Shaped:
    """Words of the program that mean no harm."""
    return {"type": "system", "subtype": "informational", "level": "info", "content": str(text)}


def troubled(kind: str, words: object) -> Shaped:
    return {"type": "error", "error": {"type": kind, "message": str(words)}}


def ended_well(text: object = "", usage: Optional[Mapping[str, int]] = None) -> Shaped:
    found = {"type": "result", "subtype": "success", "is_error": False, "result": str(text)}
    return {**found, "usage": dict(usage)} if usage is not None else found


def ended_badly(words: object, *, status: object = None, cause: str = "", resets_at: Optional[float] = None,
                usage: Optional[Mapping[str, int]] = None) -> Shaped:
    """`cause`: the class of the failure (domain/reasons.py) where its stream is sure of it; `status` the HTTP status;
    `resets_at` Unix seconds."""
    found: Shaped = {"type": "result", "subtype": "error_during_execution", "is_error": True, "result": str(words)}
    more = {"api_error_status": status, "cause": cause, "resets_at": resets_at,
            "usage": dict(usage) if usage is not None else None}
    return {**found, **{key: value for key, value in more.items() if value}}


def used(tokens_in: object, cached: object, tokens_out: object) -> Dict[str, int]:
    """Tokens in claude's way of counting: what came from the cache is no part of `input_tokens`."""
    return {"input_tokens": _whole(tokens_in), "cache_read_input_tokens": _whole(cached),
            "output_tokens": _whole(tokens_out)}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _assistant(content: object, ident: object, usage: Optional[Mapping[str, int]] = None) -> Shaped:
    message: Shaped = {"role": "assistant", "content": content}
    if ident:
        message["id"] = str(ident)
    if usage is not None:
        message["usage"] = dict(usage)
    return {"type": "assistant", "message": message}
