"""Tokens and money of a run: the result's own totals where there is one, else the sum over its messages."""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.runfiles.verdict.lines import number

TYPE_CHECKING = False   # the typing module costs time at every end of a run
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple

    Use = Tuple[Optional[int], Optional[int], Optional[float]]
    Spent = Tuple[int, int, int]

REMEMBERED = 4096
TOO_MANY = 1 << 50
_CACHED = "cache_read_input_tokens"
_IN = ("input_tokens", "cache_creation_input_tokens", _CACHED)


class Tally:
    """Fed with every object of a stream in turn. A message comes in several lines, each with its usage so far: it is
    counted once, by its id. Its lines stand together, with those of agents at work beside it at most between them, so
    at least the last REMEMBERED messages are known, at most twice as many: a stream without end takes no more memory
    than a long one."""

    def __init__(self) -> None:
        self._recent: Dict[int, Spent] = {}
        self._before: Dict[int, Spent] = {}
        self._in = self._out = self._cached = 0
        self._total: Optional[Use] = None
        self._total_cached: Optional[int] = None

    def feed(self, body: Mapping[str, Any]) -> None:
        kind, usage = body.get("type"), body.get("usage")
        if kind == "result":
            got, gave, cached = _tokens(usage) if isinstance(usage, dict) else (None, None, None)
            self.concluded(got, gave, number(body.get("total_cost_usd")), cached)
        elif kind == "assistant":
            message = body.get("message")
            if isinstance(message, dict) and isinstance(message.get("usage"), dict):
                self.spent(message.get("id"), *_tokens(message["usage"]))

    def spent(self, ident: object, got: int, gave: int, cached: int = 0) -> None:
        """What a message took by one of its lines; `cached` of `got` came out of the provider's cache."""
        key = key_of(ident)
        was = self._recent.get(key) or self._before.get(key)
        if was is not None:
            got, gave, cached = max(was[0], got), max(was[1], gave), max(was[2], cached)
            self._in, self._out, self._cached = self._in - was[0], self._out - was[1], self._cached - was[2]
        self._in, self._out, self._cached = self._in + got, self._out + gave, self._cached + cached
        self._recent[key] = got, gave, cached
        if len(self._recent) >= REMEMBERED:
            self._before, self._recent = self._recent, {}

    def concluded(self, got: Optional[int], gave: Optional[int], cost: Optional[float],
                  cached: Optional[int] = None) -> None:
        """What the result says; None where it does not."""
        self._total, self._total_cached = (got, gave, cost), cached

    @property
    def said(self) -> Use:
        """(tokens in, tokens out, US dollars) by the result alone, None where it does not say."""
        return self._total or (None, None, None)

    @property
    def use(self) -> Use:
        """The same, the messages' own tokens added up where the result does not say."""
        return (self._in, self._out, self.said[2]) if self._summed else self.said

    @property
    def cached(self) -> Optional[int]:
        """Those of the tokens in that came out of the provider's cache and cost less."""
        return self._cached if self._summed else self._total_cached

    @property
    def _summed(self) -> bool:
        return self.said[0] is None and bool(self._recent or self._before)


def key_of(ident: object) -> int:
    """A thing's id in the same few bytes, however long it is; what can be no id is like none."""
    return hash(ident) if isinstance(ident, (str, int)) else 0


def _tokens(usage: Mapping[str, Any]) -> Spent:
    """(in, out, of those in out of the cache) of a message or of a result."""
    got = sum(count(usage.get(key)) for key in _IN)
    return got, count(usage.get("output_tokens")), count(usage.get(_CACHED))


def count(value: object) -> int:
    """A number of tokens; 0 for what can be none."""
    if type(value) is not int:
        value = int(number(value) or 0)
    return value if 0 <= value < TOO_MANY else 0
