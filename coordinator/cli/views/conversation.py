"""A transcript as a conversation: objects in, lines out. Pure; what it does not know it counts and passes
over.

A tool's result belongs on the line of its call. So a line waits for it, with those behind it, until the
result is there or the wait becomes too long; with `hold` off (following a live worker) results get a line
of their own.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from typing import Any

from coordinator.cli.views import toolwords
from coordinator.cli.views.harmless import harmless
from coordinator.cli.views.names import Names
from coordinator.runfiles import transcript as shape
from coordinator.runfiles.verdict.tally import Tally, key_of

LONGEST_WAIT = 200
REMEMBERED = 1000
_EXIT_CODE = re.compile(r"Exit code (\d+)")


@dataclass
class Line:
    """One thing that happened. `kind` is text, tool, error or note; `tail` a tool's result; `more` lies
    below."""

    kind: str
    icon: str
    text: str
    at: datetime | None = None
    tail: str = ""
    more: list[str] = field(default_factory=list)
    failed: bool = False
    waiting: bool = False


@dataclass(frozen=True)
class Choice:
    """What is wanted: `detailed` all parameters and results; `tools`, `errors` only those."""

    detailed: bool = False
    tools: bool = False
    errors: bool = False
    hold: bool = True

    def wants(self, line: Line) -> bool:
        if not (self.tools or self.errors):
            return True
        return (self.tools and line.kind == "tool") or (self.errors and line.failed)


@dataclass
class Totals:
    """Counted as the conversation goes by."""

    messages: int = 0
    tools: Names = field(default_factory=Names)
    tally: Tally = field(default_factory=Tally)
    denied: int = 0
    unknown: int = 0


class Conversation:
    """Fed with one transcript object after the other; each call gives the lines that are now complete."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.totals = Totals()
        self._waiting: deque[Line] = deque()
        self._calls: OrderedDict[int, Line] = OrderedDict()
        self._failures: deque[int] = deque(maxlen=REMEMBERED)
        self._at: datetime | None = None

    def feed(self, body: object) -> Iterator[Line]:
        """`body` is a JSON value of the transcript, or None for a line that was none."""
        if not isinstance(body, Mapping):
            self.totals.unknown += 1
            return
        self._at = moment(body.get("timestamp")) or self._at
        self.totals.tally.feed(body)
        for line in self._lines(body):
            line.at = line.at or self._at
            self._waiting.append(line)
        yield from self._ready()

    def end(self) -> Iterator[Line]:
        """What still waited for a result."""
        for line in self._waiting:
            line.waiting = False
        yield from self._ready()

    def _ready(self) -> Iterator[Line]:
        while self._waiting and (not self._waiting[0].waiting or len(self._waiting) > LONGEST_WAIT):
            line = self._waiting.popleft()
            if self.choice.wants(line):
                yield line

    def _lines(self, body: Mapping[str, Any]) -> Iterable[Line]:
        match body.get("type"):
            case "assistant":
                return self._assistant(body)
            case "user":
                return self._user(body)
            case "system":
                return self._system(body)
            case "error":
                return self._error(body)
            case "result":
                return self._result(body)
            case "rate_limit_event":
                return ()
        self.totals.unknown += 1
        return ()

    def _assistant(self, body: Mapping[str, Any]) -> Iterator[Line]:
        if body.get("error"):
            yield from self._failure(" ".join(str(block.get("text", "")) for block in shape.blocks(body)))
            return
        for block in shape.blocks(body):
            if block.get("type") == "tool_use":
                yield self._call(block)
            elif block.get("type") == "text" and str(block.get("text", "")).strip():
                self.totals.messages += 1
                self._failures.clear()
                yield _spoken("text", "💬", str(block["text"]))
            elif block.get("type") == "thinking" and self.choice.detailed:
                yield _spoken("note", "💭", str(block.get("thinking", "")))

    def _call(self, block: Mapping[str, Any]) -> Line:
        self.totals.tools.add(block.get("name"))
        self._failures.clear()
        line = Line("tool", toolwords.icon(block), _flat(toolwords.words(block)), waiting=self.choice.hold)
        if self.choice.detailed:
            line.more = [harmless(text) for text in toolwords.parameters(block)]
        if block.get("id"):
            self._calls[key_of(block["id"])] = line
            if len(self._calls) > REMEMBERED:
                self._calls.popitem(last=False)
        return line

    def _user(self, body: Mapping[str, Any]) -> Iterator[Line]:
        for block in shape.blocks(body):
            if block.get("type") == "tool_result":
                yield from self._returned(block)
            elif block.get("type") == "text" and self.choice.detailed:
                yield _spoken("note", "👤", str(block.get("text", "")))

    def _returned(self, block: Mapping[str, Any]) -> Iterator[Line]:
        call = self._calls.pop(key_of(block.get("tool_use_id")), None)
        text, failed = shape.text_of(block.get("content")), bool(block.get("is_error"))
        took = (self._at - call.at).total_seconds() if call and call.at and self._at else None
        tail = _result_words(text, took, failed=failed)
        more = [f"│ {line}" for line in harmless(text).split("\n")] if self.choice.detailed and text else []
        if call is None or not call.waiting:
            name = f"{call.text}  " if call else ""
            yield Line("tool", "↳", f"{name}{tail}", more=more, failed=failed)
            return
        call.tail, call.failed, call.waiting = tail, failed, False
        call.more += more

    def _system(self, body: Mapping[str, Any]) -> Iterator[Line]:
        subtype = body.get("subtype")
        if subtype == "api_retry":
            yield from self._failure(shape.retry_words(body), icon="⚠️")
        elif subtype == "informational" and body.get("level") in ("warning", "error"):
            yield from self._failure(shape.text_of(body.get("content")), icon="⚠️")
        elif subtype == shape.OUTPUT:
            self.totals.unknown += 1
            if self.choice.detailed:
                yield _spoken("note", "·", shape.text_of(body.get("content")))

    def _error(self, body: Mapping[str, Any]) -> Iterator[Line]:
        yield from self._failure(shape.text_of(body.get("error") or body.get("message")))

    def _result(self, body: Mapping[str, Any]) -> Iterator[Line]:
        denied = denied_tools(body)
        self.totals.denied = len(denied)
        for name in denied:
            yield from self._failure(f"refused tool: {name}", icon="🚫")
        if body.get("is_error") is not False or body.get("subtype") != "success":
            text = shape.text_of(body.get("result")) or ", ".join(
                str(body[key]) for key in ("subtype", "terminal_reason") if body.get(key)
            )
            yield from self._failure(text)

    def _failure(self, text: str, icon: str = "❌") -> Iterator[Line]:
        """The transcript tells a failure twice, as claude did and as `type=error`: people read it once."""
        words = text.strip() or "failed, without words"
        if key_of(words) not in self._failures:
            self._failures.append(key_of(words))
            line = _spoken("error", icon, words)
            line.failed = True
            yield line


def moment(value: object) -> datetime | None:
    """An ISO time with its zone; None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def denied_tools(body: Mapping[str, Any]) -> list[str]:
    listed = body.get("permission_denials")
    denials = listed if isinstance(listed, list) else []
    return [str(one.get("tool_name", "?")) if isinstance(one, Mapping) else str(one) for one in denials]


def _spoken(kind: str, icon: str, text: str) -> Line:
    first, *rest = harmless(text).strip("\n").split("\n")
    return Line(kind, icon, first, more=[line.rstrip() for line in rest])


def _flat(text: str) -> str:
    return shape.one_line(harmless(text), 240)


def _result_words(text: str, took: float | None, *, failed: bool) -> str:
    spent = f"{took:.1f} s" if took is not None and took >= 0 else ""
    if not failed:
        return f"✓ {spent}".rstrip()
    exit_code = _EXIT_CODE.match(text)
    lines = [line for line in harmless(text).split("\n") if line.strip() and not _EXIT_CODE.fullmatch(line)]
    parts = [f"exit {exit_code.group(1)}" if exit_code else "", spent]
    quoted = f'"{shape.one_line(lines[-1], 100)}"' if lines else ""
    return "   ".join(part for part in (f"✗ {' · '.join(filter(None, parts))}".rstrip(), quoted) if part)


def clock(at: datetime | None, zone: tzinfo | None) -> str:
    """Time of day in `zone` (None: the host's); blanks when unknown."""
    return at.astimezone(zone).strftime("%H:%M:%S") if at else " " * 8


def plain(line: Line, zone: tzinfo | None = None) -> str:
    """A line with all that lies below it, as text."""
    head = f"{clock(line.at, zone)}  {line.icon}  {line.text}"
    head += f"   {line.tail}" if line.tail else ""
    return "\n".join([head, *(f"{' ' * 14}{more}".rstrip() for more in line.more)])
