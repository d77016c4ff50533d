"""Tokens and money of a run: the result's own totals where there is one, else the sum over its messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coordinator.adapters.providers.stream import number
from coordinator.domain.outcome import Usage

_IN = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Tally:
    """Fed with every object of a stream in turn. A message comes in several lines, each with its usage so
    far: it is counted once, by its id."""

    def __init__(self) -> None:
        self._messages: dict[str, tuple[int, int]] = {}
        self._total: Usage | None = None

    def feed(self, body: Mapping[str, Any]) -> None:
        if body.get("type") == "result":
            self._total = _usage_of(body)
        elif body.get("type") == "assistant" and isinstance(body.get("message"), Mapping):
            self._feed_message(body["message"])

    def _feed_message(self, message: Mapping[str, Any]) -> None:
        usage = message.get("usage")
        if not isinstance(usage, Mapping):
            return
        known = self._messages.get(str(message.get("id")), (0, 0))
        now = (sum(_count(usage, key) for key in _IN), _count(usage, "output_tokens"))
        self._messages[str(message.get("id"))] = (max(known[0], now[0]), max(known[1], now[1]))

    @property
    def usage(self) -> Usage:
        if self._total is not None and self._total.tokens_in is not None:
            return self._total
        cost = self._total.cost_usd if self._total is not None else None
        if not self._messages:
            return Usage(cost_usd=cost)
        counts = self._messages.values()
        return Usage(sum(one for one, _ in counts), sum(two for _, two in counts), cost)


def _usage_of(result: Mapping[str, Any]) -> Usage:
    usage = result.get("usage")
    cost = number(result.get("total_cost_usd"))
    if not isinstance(usage, Mapping):
        return Usage(cost_usd=cost)
    return Usage(sum(_count(usage, key) for key in _IN), _count(usage, "output_tokens"), cost)


def _count(usage: Mapping[str, Any], key: str) -> int:
    return int(number(usage.get(key)) or 0)
