"""Which model opencode is asked for: one of a list that the operator allows, and of those one that opencode itself
lists. What stands in for the first one wanted is said, and nothing outside the list ever does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.domain.reasons import provider_reason
from coordinator.ports import Choice, NoModel, Settings

CANONICAL = "zhipuai-coding-plan/glm-5"
DEFAULTS = (CANONICAL, "zai-coding-plan/glm-5")
UNAVAILABLE = provider_reason("opencode", "model_unavailable")
NOT_ALLOWED, NOT_THERE = 21, 25


@dataclass(frozen=True)
class Wish:
    """`wanted` by name, "" for nobody asked; `allowed` best first."""

    wanted: str
    allowed: tuple[str, ...]

    @property
    def order(self) -> tuple[str, ...]:
        """What may be tried, in this order."""
        return tuple(dict.fromkeys((self.wanted or self.allowed[0], *self.allowed)))


def wish(settings: Settings, environ: Mapping[str, str]) -> Wish:
    """The settings' model, else OPENCODE_MODEL; allowed are OPENCODE_CANONICAL_MODEL and OPENCODE_ALLOWED_MODELS."""
    canonical = environ.get("OPENCODE_CANONICAL_MODEL", "").strip() or CANONICAL
    named = [one.strip() for one in environ.get("OPENCODE_ALLOWED_MODELS", "").split(",")]
    more = [one for one in named if one] or DEFAULTS
    return Wish(
        settings.model.strip() or environ.get("OPENCODE_MODEL", "").strip(), tuple(dict.fromkeys((canonical, *more)))
    )


def choose(asked: Wish, listed: tuple[str, ...] | None) -> Choice:
    """`listed` are the models that opencode has; None when it could not be asked, which says nothing against any.
    Raises NoModel."""
    if asked.wanted and asked.wanted not in asked.allowed:
        raise NoModel(
            provider_reason("opencode", "model_unsupported"),
            f"opencode: model {asked.wanted} is not allowed (allowed: {', '.join(asked.allowed)})",
            f"ask for {asked.allowed[0]}, or allow the other: "
            f"export OPENCODE_ALLOWED_MODELS={','.join((*asked.allowed, asked.wanted))}",
            NOT_ALLOWED,
        )
    first = asked.order[0]
    if listed is None or first in listed:
        return Choice(first)
    for model in asked.order[1:]:
        if model in listed:
            return Choice(model, UNAVAILABLE)
    raise NoModel(
        UNAVAILABLE,
        f"opencode: of {len(listed)} models that it lists none is allowed ({', '.join(asked.order)})",
        "opencode auth login, or another provider: cc-glm, gemini",
        NOT_THERE,
    )


def listed_in(text: str) -> tuple[str, ...]:
    """The models that `opencode models` printed, one a line: provider/model."""
    return tuple(line.strip() for line in text.splitlines() if "/" in line and " " not in line.strip())
