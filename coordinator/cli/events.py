"""One line of a transcript as the few fields that its account needs. A typed decoder takes them and passes over the
rest, which is nearly all of a long line; what is JSON but not of the known shape is read the slow way, to the same end.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from coordinator.cli.views.conversation import moment
from coordinator.runfiles.verdict.lines import parse
from coordinator.runfiles.verdict.tally import TOO_MANY, count

LONGEST_SLOW = 1 << 20
"""Of a longer line that is not of the known shape the kind and the time count alone: the slow way makes objects of all
that it holds."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=TOO_MANY)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Usage(msgspec.Struct, gc=False):
    input_tokens: Count = 0
    cache_creation_input_tokens: Count = 0
    cache_read_input_tokens: Count = 0
    output_tokens: Count = 0


class Block(msgspec.Struct, gc=False):
    type: Any = None
    name: Any = None
    id: Any = None
    tool_use_id: Any = None
    is_error: Any = None


class Message(msgspec.Struct, gc=False):
    id: Any = None
    content: list[Block] | None = None
    usage: Usage | None = None


class Failure(msgspec.Struct, gc=False):
    type: Any = None


class Head(msgspec.Struct, gc=False):
    type: Any = None
    subtype: Any = None
    timestamp: Moment | None = None


class Event(Head, gc=False):
    message: Message | None = None
    error: Failure | str | None = None
    usage: Usage | None = None
    total_cost_usd: Any = None
    permission_denials: Any = None

    @property
    def blocks(self) -> list[Block]:
        return self.message.content or [] if self.message is not None else []


_Shape = TypeVar("_Shape", bound=msgspec.Struct)
_REFUSED = (msgspec.MsgspecError, ValueError, RecursionError)
_TEXT = Block(type="text")
_decode, _decode_head = msgspec.json.Decoder(Event).decode, msgspec.json.Decoder(Head).decode


def event(line: bytes | bytearray | memoryview) -> Event | None:
    """None where the line is no JSON object."""
    try:
        return _decode(line)
    except _REFUSED:
        return _long(line) if len(line) > LONGEST_SLOW else _leniently(parse(bytes(line)))


def _long(line: bytes | bytearray | memoryview) -> Event | None:
    try:
        head = _decode_head(line)
    except _REFUSED:
        return None
    return Event(head.type, head.subtype, head.timestamp, Message(content=[_TEXT]))


def _leniently(body: dict[str, Any] | None) -> Event | None:
    """What is of another type than expected is as if it were not there."""
    if body is None:
        return None
    error = body.get("error")
    return Event(
        body.get("type"), body.get("subtype"), moment(body.get("timestamp")), _message(body.get("message")),
        _taken(Failure, error) if isinstance(error, dict) else "?" if error else None,
        _usage(body.get("usage")), body.get("total_cost_usd"), body.get("permission_denials"),
    )  # fmt: skip


def _message(value: object) -> Message:
    found = value if isinstance(value, dict) else {"content": value}
    return Message(found.get("id"), _content(found.get("content")), _usage(found.get("usage")))


def _content(value: object) -> list[Block] | None:
    """Words that stand by themselves are a block of text."""
    if isinstance(value, list):
        return [_taken(Block, one) if isinstance(one, dict) else _TEXT for one in value]
    return [_TEXT] if isinstance(value, str) else None


def _usage(value: object) -> Usage | None:
    return Usage(*(count(value.get(name)) for name in Usage.__struct_fields__)) if isinstance(value, dict) else None


def _taken(shape: type[_Shape], found: dict[str, Any]) -> _Shape:
    return shape(**{name: found[name] for name in shape.__struct_fields__ if name in found})
