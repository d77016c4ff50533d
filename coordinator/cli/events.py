"""One line of a transcript as the few fields that its account needs. A typed decoder takes them and passes over the
rest, which is nearly all of a long line; what is JSON but not of the known shape is read the slow way, to the same end.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from coordinator.runfiles.verdict.lines import parse

LONGEST_SLOW = 1 << 20
"""Longer lines are no events unless the typed decoder takes them: the slow way makes objects of all that they hold."""


class Usage(msgspec.Struct, gc=False):
    input_tokens: Any = 0
    cache_creation_input_tokens: Any = 0
    cache_read_input_tokens: Any = 0
    output_tokens: Any = 0


class Block(msgspec.Struct, gc=False):
    type: Any = None
    name: Any = None
    id: Any = None
    tool_use_id: Any = None
    is_error: Any = None


class Message(msgspec.Struct, gc=False):
    id: Any = None
    content: str | list[Block | str] | None = None
    usage: Usage | None = None

    @property
    def blocks(self) -> list[Block]:
        """Words that stand by themselves are a block of text."""
        if isinstance(self.content, list):
            return [one if isinstance(one, Block) else _TEXT for one in self.content]
        return [] if self.content is None else [_TEXT]


class Failure(msgspec.Struct, gc=False):
    type: Any = None


class Event(msgspec.Struct, gc=False):
    type: Any = None
    subtype: Any = None
    timestamp: Any = None
    message: Message | None = None
    error: Failure | str | None = None
    usage: Usage | None = None
    total_cost_usd: Any = None
    permission_denials: Any = None


_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_TEXT = Block(type="text")
_decode = msgspec.json.Decoder(Event).decode


def event(line: bytes | bytearray) -> Event | None:
    """None where the line is no JSON object."""
    try:
        return _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        body = parse(bytes(line)) if len(line) <= LONGEST_SLOW else None
        return _leniently(body) if body is not None else None


def _leniently(body: dict[str, Any]) -> Event:
    """What is of another type than expected is as if it were not there."""
    error = body.get("error")
    return Event(
        body.get("type"), body.get("subtype"), body.get("timestamp"), _message(body.get("message")),
        _taken(Failure, error) if isinstance(error, dict) else "?" if error else None,
        _usage(body.get("usage")), body.get("total_cost_usd"), body.get("permission_denials"),
    )  # fmt: skip


def _message(value: object) -> Message:
    found = value if isinstance(value, dict) else {"content": value}
    content = found.get("content")
    if isinstance(content, list):
        content = [_taken(Block, one) if isinstance(one, dict) else "" for one in content]
    return Message(found.get("id"), content if isinstance(content, list | str) else None, _usage(found.get("usage")))


def _usage(value: object) -> Usage | None:
    return _taken(Usage, value) if isinstance(value, dict) else None


def _taken(shape: type[_Shape], found: dict[str, Any]) -> _Shape:
    return shape(**{name: found[name] for name in shape.__struct_fields__ if name in found})
