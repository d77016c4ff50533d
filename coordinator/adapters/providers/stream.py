"""One line of an agent's stdout into events. Claude's shape is the normal form: other streams are put into it first.

It must never raise for any bytes whatever: a line may be torn, huge, not UTF-8, not JSON or not an object.
What it does not know it keeps, as an event of kind "unknown".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from coordinator.ports import Said
from coordinator.runfiles.tongues import CLAUDE, tongue
from coordinator.runfiles.transcript import blocks, output, retry_words, text_of
from coordinator.runfiles.verdict.lines import parse


def events(line: bytes, speaks: str = CLAUDE) -> tuple[Said, ...]:
    """The events of one line of whoever speaks so; an empty line has none, a line that is no JSON object gives one
    "unknown"."""
    body = parse(line)
    if body is not None:
        return tuple(one for shaped in tongue(speaks)(body) for one in said(shaped))
    text = line.decode("utf-8", "replace").strip()
    return (Said("unknown", text, raw=output(text)),) if text else ()


def spoken(text: str) -> Said:
    """A line of plain text as if the agent had said it in claude's shape."""
    message = {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return Said("text", text, raw={"type": "assistant", "message": message})


def said(body: Mapping[str, Any]) -> tuple[Said, ...]:
    """The events of one claude-shaped object: at least one; only the first carries the object."""
    reader = _READERS.get(str(body.get("type", "")))
    found = list(reader(body)) if reader else []
    if not found:
        return (Said("unknown", raw=body),)
    first = found[0]
    return (Said(first.kind, first.text, first.tool, first.is_error, body), *found[1:])


def _system(body: Mapping[str, Any]) -> Iterable[Said]:
    match body.get("subtype"):
        case "init":
            yield Said("init", str(body.get("model", "")))
        case "api_retry":
            yield Said("retry", retry_words(body), is_error=True)
        case "informational" if body.get("level") in ("warning", "error"):
            yield Said("error", text_of(body.get("content")), is_error=True)
        case "informational":
            yield Said("note", text_of(body.get("content")))


def _assistant(body: Mapping[str, Any]) -> Iterable[Said]:
    error = body.get("error")
    if error:
        kind = "limit" if error == "rate_limit" else "error"
        words = " ".join(str(block.get("text", "")) for block in blocks(body)).strip()
        yield Said(kind, words or str(error), is_error=True)
        return
    for block in blocks(body):
        if block.get("type") == "text":
            yield Said("text", str(block.get("text", "")))
        elif block.get("type") == "tool_use":
            yield Said("tool", tool=str(block.get("name", "")))
    message = body.get("message")
    if isinstance(message, Mapping) and not blocks(body) and message.get("usage"):
        yield Said("usage")


def _user(body: Mapping[str, Any]) -> Iterable[Said]:
    for block in blocks(body):
        if block.get("type") == "tool_result":
            yield Said("tool_result", text_of(block.get("content")), is_error=bool(block.get("is_error")))


def _result(body: Mapping[str, Any]) -> Iterable[Said]:
    bad = body.get("is_error") is not False or body.get("subtype") != "success"
    yield Said("result", text_of(body.get("result")), is_error=bad)


def _error(body: Mapping[str, Any]) -> Iterable[Said]:
    yield Said("error", text_of(body.get("error") or body.get("message")), is_error=True)


def _limit(body: Mapping[str, Any]) -> Iterable[Said]:
    info = body.get("rate_limit_info")
    if isinstance(info, Mapping) and info.get("status") == "rejected":
        yield Said("limit", f"{info.get('rateLimitType', 'usage')} limit reached", is_error=True)


_READERS = {
    "system": _system,
    "assistant": _assistant,
    "user": _user,
    "result": _result,
    "error": _error,
    "rate_limit_event": _limit,
}
