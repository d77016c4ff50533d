"""Tokens and money of a run: the result's own totals where there is one, else the sum over its messages."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.runfiles.verdict.lines import number

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    Use = Tuple[Optional[int], Optional[int], Optional[float]]

_IN = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Tally:
    """Fed with every object of a stream in turn. A message comes in several lines, each with its usage so
    far: it is counted once, by its id."""

    def __init__(self) -> None:
        self._messages: Dict[str, Tuple[int, int]] = {}
        self._total: Optional[Use] = None

    def feed(self, body: Mapping[str, Any]) -> None:
        if body.get("type") == "result":
            self._total = _use_of(body)
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
    def said(self) -> Use:
        """(tokens in, tokens out, US dollars) by the result alone, None where it does not say."""
        return self._total or (None, None, None)

    @property
    def use(self) -> Use:
        """The same, the messages' own tokens added up where the result does not say."""
        if self.said[0] is not None or not self._messages:
            return self.said
        counts = self._messages.values()
        return sum(one for one, _ in counts), sum(two for _, two in counts), self.said[2]


def _use_of(result: Mapping[str, Any]) -> Use:
    usage = result.get("usage")
    cost = number(result.get("total_cost_usd"))
    if not isinstance(usage, Mapping):
        return None, None, cost
    return sum(_count(usage, key) for key in _IN), _count(usage, "output_tokens"), cost


def _count(usage: Mapping[str, Any], key: str) -> int:
    return int(number(usage.get(key)) or 0)
