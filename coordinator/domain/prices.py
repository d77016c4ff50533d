"""What tokens cost, for agents that count them and tell no money. A model outside the table has no price: its tokens
are counted and nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from coordinator.domain.outcome import Usage

MILLION = 1_000_000
_EXTRAS = re.compile(r"(\[[^\]]*\]|[-@]\d{8}|-latest)$")
"""What stands behind a model's name without changing its price: a context size, a date of release."""


FOREIGN = frozenset({"cc-glm"})
"""Providers whose CLI does not know its model: claude counts dollars for GLM as if the model were one of its own."""


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens: sent, written, and sent again out of the provider's cache."""

    sent: float
    written: float
    cached: float


@dataclass(frozen=True)
class Prices:
    """A table of prices as they stood on a day."""

    dated: str = ""
    models: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """The price of a model under any of its names: with the provider before it, with a date behind."""
        name = model.rpartition("/")[2].strip().lower()
        while name not in self.models:
            shorter = _EXTRAS.sub("", name)
            if shorter == name:
                return None
            name = shorter
        return self.models[name]

    def priced(self, usage: Usage, model: str, provider: str) -> Usage:
        """The usage with its money; what the agent told itself stays, where it can know."""
        if provider in FOREIGN:
            usage = replace(usage, cost_usd=None)
        price = self.of(model)
        if usage.cost_usd is not None or price is None or usage.tokens_in is None:
            return usage
        cached = min(usage.tokens_cached or 0, usage.tokens_in)
        fresh = usage.tokens_in - cached
        dollars = (fresh * price.sent + cached * price.cached + (usage.tokens_out or 0) * price.written) / MILLION
        return replace(usage, cost_usd=round(dollars, 6))
