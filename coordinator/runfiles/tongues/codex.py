"""What `codex exec --json` prints, measured on 0.169.0: items begin and end, a turn ends or fails.

An item of type error means no harm ("Model metadata not found"), and so does a top-level `error` that says
"Reconnecting... 1/5": only `turn.failed` ends a run, and only `turn.completed` ends it well.
"""

from __future__ import annotations

import re

from coordinator.runfiles.tongues import shapes
from coordinator.runfiles.verdict.tally import count

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Mapping, Tuple

    Body = Mapping[str, Any]

_RETRY = re.compile(r"Reconnecting\.\.\. (?:(\d+)/(\d+)|waiting for network)(?: \((.*)\))?", re.DOTALL)
_STATUS = re.compile(r"\bstatus:? ([45]\d\d)\b")


def normal(body: Body) -> Tuple[Body, ...]:
    kind = body.get("type")
    if kind in ("item.started", "item.updated", "item.completed"):
        item = body.get("item")
        return _item(str(kind), item, body) if isinstance(item, dict) else (body,)
    reader = _READERS.get(str(kind))
    return reader(body) if reader else (body,)


def _item(kind: str, item: Body, body: Body) -> Tuple[Body, ...]:
    what, ident = str(item.get("type")), item.get("id")
    if what in _TOOLS:
        name, telling = _TOOLS[what]
        given = {key: item[key] for key in telling if item.get(key)}
        call = shapes.called(name, ident, given)
        if kind != "item.completed":
            return (call,) if kind == "item.started" else ()
        back = shapes.returned(ident, _output(item), bad=item.get("status") in ("failed", "declined"))
        return (call, back) if what in _AT_ONCE else (back,)
    if kind != "item.completed":
        return () if what in _WORDS else (body,)
    reader = _WORDS.get(what)
    return (reader(item),) if reader else (body,)


def _output(item: Body) -> str:
    for key in ("aggregated_output", "error", "result"):
        if item.get(key):
            return str(item[key])
    changes = item.get("changes")
    return ", ".join(_change(one) for one in changes) if isinstance(changes, list) else ""


def _change(one: object) -> str:
    return "%s %s" % (one.get("kind"), one.get("path")) if isinstance(one, dict) else str(one)


def _many(items: object) -> object:
    return len(items) if isinstance(items, list) else "?"


def _error(body: Body) -> Tuple[Body, ...]:
    words = str(body.get("message") or "")
    again = _RETRY.match(words)
    if not again:
        return (shapes.troubled("codex", words),)
    why = again.group(3) or "the connection was lost"
    status = _STATUS.search(why)
    attempt, most = again.group(1) or "?", again.group(2) or "?"
    return (shapes.waited(why, attempt, most, int(status.group(1)) if status else None),)


def _completed(body: Body) -> Tuple[Body, ...]:
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return (shapes.ended_well(),)
    taken, cached = count(usage.get("input_tokens")), count(usage.get("cached_input_tokens"))
    return (shapes.ended_well("", shapes.used(taken - cached, cached, usage.get("output_tokens"))),)


def _failed(body: Body) -> Tuple[Body, ...]:
    error = body.get("error")
    words = str((error.get("message") if isinstance(error, dict) else error) or "the turn failed")
    return (shapes.ended_badly(words, cause="no_credit" if words.startswith("Quota exceeded") else ""),)


_READERS: Dict[str, Callable[[Body], Tuple[Body, ...]]] = {
    "thread.started": lambda body: (shapes.began(body.get("thread_id")),),
    "turn.started": lambda _: (),
    "turn.completed": _completed,
    "turn.failed": _failed,
    "error": _error,
}

_TOOLS = {
    "command_execution": ("shell", ("command",)),
    "mcp_tool_call": ("mcp", ("server", "tool", "arguments")),
    "web_search": ("web_search", ("query",)),
    "file_change": ("edit", ("changes",)),
}
_AT_ONCE = ("file_change",)
"""Announced by their end alone."""

_WORDS: Dict[str, Callable[[Body], Body]] = {
    "agent_message": lambda item: shapes.said(item.get("text"), item.get("id")),
    "reasoning": lambda item: shapes.thought(item.get("text"), item.get("id")),
    "todo_list": lambda item: shapes.noticed("a list of %s things to do" % _many(item.get("items"))),
    "error": lambda item: shapes.noticed(item.get("message")),
}
