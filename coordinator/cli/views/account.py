"""A transcript's account: what it took and what became of it, in numbers. Pure; objects in, facts out.

However many objects it is fed with, it stays as small: of ids only the last are remembered, of names the first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any

from coordinator.cli.events import Event, Failure, Usage
from coordinator.cli.views.frame import Facts, header
from coordinator.cli.views.harmless import harmless
from coordinator.cli.views.names import NAMELESS, Names
from coordinator.runfiles import transcript as shape
from coordinator.runfiles.verdict.lines import number
from coordinator.runfiles.verdict.tally import Tally, key_of

CALLS_REMEMBERED = 4096


class Account:
    """Fed with one event after the other, None for a line that is none. `unknown` are events of kinds that nobody knows
    and lines of the agent's output that were no events; `unreadable` are lines of the transcript itself."""

    def __init__(self) -> None:
        self.events = self.messages = self.retries = self.denied = self.unreadable = 0
        self.tools, self.failed, self.errors, self.unknown = Names(), Names(), Names(), Names()
        self.tally = Tally()
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._calls: OrderedDict[int, str] = OrderedDict()

    def feed(self, event: Event | None) -> None:
        if event is None:
            self.unreadable += 1
            return
        self.events += 1
        if event.timestamp is not None:
            self.last = event.timestamp
            if self.first is None:
                self.first = event.timestamp
        match event.type:
            case "assistant":
                self._assistant(event)
            case "user":
                self._user(event)
            case "system":
                self._system(event.subtype)
            case "error":
                # The transcript has one such line for each failure, whatever else told of it.
                self.errors.add(event.error.type if isinstance(event.error, Failure) else None)
            case "result":
                self._result(event)
            case "rate_limit_event":
                pass
            case _:
                self.unknown.add(event.type)

    def _assistant(self, event: Event) -> None:
        message = event.message
        if message is not None and message.usage is not None:
            self.tally.spent(message.id, *_tokens(message.usage))
        for block in event.blocks:
            if block.type == "tool_use":
                self._calls[key_of(block.id)] = self.tools.add(block.name)
                if len(self._calls) > CALLS_REMEMBERED:
                    self._calls.popitem(last=False)
            elif block.type == "text" and not event.error:
                self.messages += 1

    def _user(self, event: Event) -> None:
        for block in event.blocks:
            if block.is_error and block.type == "tool_result":
                self.failed.add(self._calls.get(key_of(block.tool_use_id), NAMELESS))

    def _system(self, subtype: object) -> None:
        if subtype == "api_retry":
            self.retries += 1
        elif subtype == shape.OUTPUT:
            self.unknown.add(shape.OUTPUT)

    def _result(self, event: Event) -> None:
        got, gave = _tokens(event.usage) if event.usage is not None else (None, None)
        self.tally.concluded(got, gave, number(event.total_cost_usd))
        self.denied = len(event.permission_denials) if isinstance(event.permission_denials, list) else 0


def _tokens(usage: Usage) -> tuple[int, int]:
    cached = usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    return usage.input_tokens + cached, usage.output_tokens


def as_data(facts: Facts, account: Account) -> dict[str, Any]:
    """For programs: ISO times, tokens and money null where nobody told."""
    tokens_in, tokens_out, cost = account.tally.use
    failed = account.failed.counts
    names = [*account.tools.counts, *(name for name in failed if name not in account.tools.counts)]
    return {
        "task": facts.task, "provider": facts.provider, "model": facts.model, "session_id": facts.session,
        "attempt": facts.attempt, "how": facts.how, "first": _iso(account.first), "last": _iso(account.last),
        "events": account.events, "messages": account.messages,
        "tokens_in": tokens_in, "tokens_out": tokens_out, "cost_usd": cost,
        "tools": {name: {"calls": account.tools.counts.get(name, 0), "failed": failed.get(name, 0)} for name in names},
        "errors": account.errors.counts, "retries": account.retries, "denied": account.denied,
        "unknown": account.unknown.counts, "unreadable": account.unreadable,
    }  # fmt: skip


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None


def lines(facts: Facts, account: Account, zone: tzinfo | None = None) -> Iterator[str]:
    """For people."""
    yield header(facts, zone)
    yield from _row("tokens", _used(account))
    yield from _row("events", f"{account.events:,}{_span(account, zone)}")
    yield from _row("messages", f"{account.messages:,}")
    failed = f" · {account.failed.total:,} failed" if account.failed.total else ""
    yield from _row("tools", f"{account.tools.total:,}{failed}", _tools(account))
    yield from _row("errors", f"{account.errors.total:,}", _ranked(account.errors))
    yield from _row("retries", f"{account.retries:,}")
    yield from _row("denied", f"{account.denied:,}")
    yield from _row("unknown", f"{account.unknown.total:,}", _ranked(account.unknown))
    if account.unreadable:
        yield from _row("unreadable", f"{account.unreadable:,} lines")


def _row(title: str, text: str, below: Iterable[tuple[str, str]] = ()) -> Iterator[str]:
    yield f"{title:<12}{text}"
    for number_of, words in below:
        yield f"{'':<12}{number_of:>9}  {shape.one_line(harmless(words))}"


def _ranked(names: Names) -> Iterator[tuple[str, str]]:
    return ((f"{number_of:,}", name) for name, number_of in names.ranked())


def _tools(account: Account) -> Iterator[tuple[str, str]]:
    failed = account.failed.counts
    for name, calls in account.tools.ranked():
        yield f"{calls:,}", f"{name} · {failed[name]:,} failed" if name in failed else name
    if NAMELESS in failed and NAMELESS not in account.tools.counts:
        yield "", f"{failed[NAMELESS]:,} failed, of no call that is known"


def _used(account: Account) -> str:
    tokens_in, tokens_out, cost = account.tally.use
    told = f"{tokens_in:,} in · {tokens_out:,} out" if tokens_in is not None else "nobody told"
    return f"{told} · ${cost:.2f}" if cost is not None else told


def _span(account: Account, zone: tzinfo | None) -> str:
    if account.first is None or account.last is None:
        return ""
    first, last = (at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") for at in (account.first, account.last))
    return f" · {first} → {last}"
