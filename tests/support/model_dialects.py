"""How a scripted model answers in each API that an agent CLI speaks: Anthropic's Messages, OpenAI's Chat Completions
and Responses, Google's generateContent. A dialect knows its paths, counts the tool results of a request, and writes an
answer as the bytes of an event stream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

TOKENS_IN, TOKENS_OUT = 100, 10
"""What every answer claims to have taken."""
SHELLS = ("Bash", "bash", "shell", "run_shell_command", "exec_command", "shell_command", "local_shell")

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Turn:
    """One answer of the model: text, then perhaps one call of a tool: a command for the shell, an address for
    WebFetch."""

    text: str = ""
    bash: str = ""
    fetch: str = ""


@dataclass(frozen=True)
class Refusal:
    """An HTTP error in the API's own shape; `more` goes into its error object."""

    status: int
    kind: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Json = field(default_factory=dict)


class Dialect(Protocol):
    torn: bytes

    def speaks(self, path: str) -> bool: ...

    def results(self, body: Json) -> int:
        """Tool results in the conversation so far."""

    def frames(self, turn: Turn, body: Json, ids: Iterator[int]) -> Iterator[bytes]: ...

    def refusal(self, refusal: Refusal) -> Json: ...


def _frame(data: Json | str, name: str = "") -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()


# --- Anthropic --------------------------------------------------------------------------------------


class Messages:
    torn = (
        b"event: message_start\n"
        b'data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m",'
        b'"content":[],"stop_reason":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n'
        b'event: content_block_start\ndata: {"type":"content_block_st'
    )

    def speaks(self, path: str) -> bool:
        return path == "v1/messages"

    def results(self, body: Json) -> int:
        contents = [message.get("content") for message in body.get("messages", [])]
        return sum(block.get("type") == "tool_result" for one in contents if isinstance(one, list) for block in one)

    def frames(self, turn: Turn, body: Json, ids: Iterator[int]) -> Iterator[bytes]:
        return (_frame(event, event["type"]) for event in _message(_blocks(turn), str(body.get("model")), ids))

    def refusal(self, refusal: Refusal) -> Json:
        return {"type": "error", "error": {"type": refusal.kind, "message": refusal.message, **refusal.more}}


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    if turn.bash:
        call = {"command": turn.bash, "description": "scripted"}
        found.append({"type": "tool_use", "name": "Bash", "input": call})
    if turn.fetch:
        wish = {"url": turn.fetch, "prompt": "scripted"}
        found.append({"type": "tool_use", "name": "WebFetch", "input": wish})
    return found


def _message(blocks: Sequence[Json], model: str, ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    usage = {
        "input_tokens": TOKENS_IN,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
    }
    message = {"id": f"msg_{next(ids):06d}", "type": "message", "role": "assistant", "model": model, "content": []}
    yield {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}}
    for index, block in enumerate(blocks):
        yield from _block_events(index, block, ids)
    stop = "tool_use" if blocks and blocks[-1]["type"] == "tool_use" else "end_turn"
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop, "stop_sequence": None},
        "usage": {"output_tokens": TOKENS_OUT},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: Json, ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        start: dict[str, Any] = {"type": "text", "text": ""}
        delta = {"type": "text_delta", "text": block["text"]}
    else:
        start = {"type": "tool_use", "id": f"toolu_{next(ids):06d}", "name": block["name"], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


# --- OpenAI -----------------------------------------------------------------------------------------


class _OpenAi:
    def refusal(self, refusal: Refusal) -> Json:
        error = {"message": refusal.message, "type": refusal.kind, "code": refusal.kind, **refusal.more}
        return {"error": error}


class Completions(_OpenAi):
    torn = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"ind'

    def speaks(self, path: str) -> bool:
        return path.endswith("chat/completions")

    def results(self, body: Json) -> int:
        return sum(message.get("role") == "tool" for message in body.get("messages", []))

    def frames(self, turn: Turn, body: Json, ids: Iterator[int]) -> Iterator[bytes]:
        base = {"id": f"chatcmpl-{next(ids)}", "object": "chat.completion.chunk", "created": 1,
                "model": body.get("model")}  # fmt: skip
        call = _call(turn, body)
        if turn.text or call is None:
            yield _frame({**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": turn.text}}]})
        if call is not None:
            name, given = call
            asked = {"index": 0, "id": f"call_{next(ids)}", "type": "function",
                     "function": {"name": name, "arguments": json.dumps(given)}}  # fmt: skip
            yield _frame({**base, "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [asked]}}]})
        usage = {"prompt_tokens": TOKENS_IN, "completion_tokens": TOKENS_OUT, "total_tokens": TOKENS_IN + TOKENS_OUT}
        finish = "stop" if call is None else "tool_calls"
        yield _frame({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage})
        yield _frame("[DONE]")


class Responses(_OpenAi):
    torn = b'event: response.created\ndata: {"type":"response.created","respo'

    def speaks(self, path: str) -> bool:
        return path.endswith("responses")

    def results(self, body: Json) -> int:
        given = body.get("input") or []
        return sum(isinstance(one, dict) and str(one.get("type", "")).endswith("_output") for one in given)

    def frames(self, turn: Turn, body: Json, ids: Iterator[int]) -> Iterator[bytes]:
        call = _call(turn, body)
        items: list[dict[str, Any]] = []
        if turn.text or call is None:
            part = {"type": "output_text", "text": turn.text, "annotations": []}
            items.append({"type": "message", "id": f"msg_{next(ids)}", "role": "assistant", "status": "completed",
                          "content": [part]})  # fmt: skip
        if call is not None:
            items.append({"type": "function_call", "id": f"fc_{next(ids)}", "call_id": f"call_{next(ids)}",
                          "name": call[0], "arguments": json.dumps(call[1]), "status": "completed"})  # fmt: skip
        response = {"id": f"resp_{next(ids)}", "object": "response", "created_at": 1, "model": body.get("model"),
                    "status": "in_progress", "output": []}  # fmt: skip
        number = itertools.count()

        def event(kind: str, **more: object) -> bytes:
            return _frame({"type": kind, "sequence_number": next(number), **more}, kind)

        yield event("response.created", response=response)
        for index, item in enumerate(items):
            yield event("response.output_item.added", output_index=index, item=item)
            yield event("response.output_item.done", output_index=index, item=item)
        usage = {"input_tokens": TOKENS_IN, "input_tokens_details": {"cached_tokens": 0},
                 "output_tokens": TOKENS_OUT, "output_tokens_details": {"reasoning_tokens": 0},
                 "total_tokens": TOKENS_IN + TOKENS_OUT}  # fmt: skip
        done = {**response, "status": "completed", "output": items, "usage": usage}
        yield event("response.completed", response=done)


# --- Google -----------------------------------------------------------------------------------------


class GenerateContent:
    torn = b'data: {"candidates":[{"content":{"role":"model","par'

    def speaks(self, path: str) -> bool:
        return "enerateContent" in path

    def results(self, body: Json) -> int:
        return sum("functionResponse" in part for one in body.get("contents", []) for part in one.get("parts", []))

    def frames(self, turn: Turn, body: Json, ids: Iterator[int]) -> Iterator[bytes]:
        call = _call(turn, body)
        parts: list[dict[str, Any]] = [{"text": turn.text}] if turn.text or call is None else []
        if call is not None:
            parts.append({"functionCall": {"name": call[0], "args": call[1]}})
        usage = {"promptTokenCount": TOKENS_IN, "candidatesTokenCount": TOKENS_OUT,
                 "totalTokenCount": TOKENS_IN + TOKENS_OUT}  # fmt: skip
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}
        yield _frame({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "scripted"})

    def refusal(self, refusal: Refusal) -> Json:
        return {"error": {"code": refusal.status, "message": refusal.message, "status": refusal.kind, **refusal.more}}


DIALECTS: tuple[Dialect, ...] = (Messages(), Completions(), Responses(), GenerateContent())


# --- the shell of the agent that asks ---------------------------------------------------------------


def _call(turn: Turn, body: Json) -> tuple[str, dict[str, Any]] | None:
    """The shell tool that the request offers, and its parameters for the command; None when nothing is to be called."""
    if not turn.bash:
        return None
    offered = dict(_tools(body))
    name = next((one for one in SHELLS if one in offered), None)
    if name is None:
        return None
    schema = offered[name]
    wanted = schema.get("required") or []
    return name, {
        key: _value(key, about, turn.bash)
        for key, about in (schema.get("properties") or {}).items()
        if key in ("command", "cmd") or key in wanted
    }


def _tools(body: Json) -> Iterator[tuple[str, Json]]:
    for tool in body.get("tools") or []:
        if "functionDeclarations" in tool:
            for one in tool["functionDeclarations"]:
                yield one["name"], one.get("parameters") or one.get("parametersJsonSchema") or {}
        else:
            about = tool.get("function", tool)
            yield str(about.get("name") or about.get("type")), about.get("parameters") or {}


def _value(key: str, about: Json, command: str) -> object:
    if key in ("command", "cmd"):
        return ["bash", "-lc", command] if about.get("type") == "array" else command
    kind = str(about.get("type", "string")).lower()
    return {"string": "scripted", "boolean": False}.get(kind, 1)
