"""Tokens and money of a run: the result's own totals where there is one, else the sum over its messages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from coordinator.runfiles.verdict.lines import number

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Optional, Tuple

    Use = Tuple[Optional[int], Optional[int], Optional[float]]

REMEMBERED = 4096
_TOO_MANY = 1 << 50
_IN = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


class Tally:
    """Fed with every object of a stream in turn. A message comes in several lines, each with its usage so far: it is
    counted once, by its id. Its lines stand together, with those of agents at work beside it at most between them, so
    the last REMEMBERED messages are known and a stream without end takes no more memory than a long one."""

    def __init__(self) -> None:
        self._recent: OrderedDict[int, Tuple[int, int]] = OrderedDict()
        self._in = self._out = 0
        self._total: Optional[Use] = None

    def feed(self, body: Mapping[str, Any]) -> None:
        kind, usage = body.get("type"), body.get("usage")
        if kind == "result":
            got, gave = _tokens(usage) if isinstance(usage, dict) else (None, None)
            self.concluded(got, gave, number(body.get("total_cost_usd")))
        elif kind == "assistant":
            message = body.get("message")
            if isinstance(message, dict) and isinstance(message.get("usage"), dict):
                self.spent(message.get("id"), *_tokens(message["usage"]))

    def spent(self, ident: object, got: int, gave: int) -> None:
        """What a message took by one of its lines."""
        key = key_of(ident)
        was_got, was_gave = self._recent.pop(key, (0, 0))
        got, gave = max(was_got, got), max(was_gave, gave)
        self._recent[key] = got, gave
        self._in += got - was_got
        self._out += gave - was_gave
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def concluded(self, got: Optional[int], gave: Optional[int], cost: Optional[float]) -> None:
        """What the result says; None where it does not."""
        self._total = got, gave, cost

    @property
    def said(self) -> Use:
        """(tokens in, tokens out, US dollars) by the result alone, None where it does not say."""
        return self._total or (None, None, None)

    @property
    def use(self) -> Use:
        """The same, the messages' own tokens added up where the result does not say."""
        if self.said[0] is not None or not self._recent:
            return self.said
        return self._in, self._out, self.said[2]


def key_of(ident: object) -> int:
    """A thing's id in the same few bytes, however long it is; what can be no id is like none."""
    return hash(ident) if isinstance(ident, (str, int)) else 0


def _tokens(usage: Mapping[str, Any]) -> Tuple[int, int]:
    """(in, out) of a message or of a result."""
    return sum(count(usage.get(key)) for key in _IN), count(usage.get("output_tokens"))


def count(value: object) -> int:
    """A number of tokens; 0 for what can be none."""
    if type(value) is not int:
        value = int(number(value) or 0)
    return value if 0 <= value < _TOO_MANY else 0
