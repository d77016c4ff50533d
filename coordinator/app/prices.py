"""The table of prices that stands beside the providers, read once, and which caps cannot see what is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.config import Config
    from coordinator.domain.prices import Prices


def prices() -> Prices:
    """The prices of the models that are known."""
    import tomllib
    from importlib.resources import files

    from coordinator.domain.prices import Price, Prices

    table = tomllib.loads(files("coordinator.adapters.providers").joinpath("prices.toml").read_text("utf-8"))
    return Prices(table["dated"], {name: Price(*row) for name, row in table["models"].items()})


def blind_caps(config: Config) -> Iterator[tuple[str, str]]:
    """(words, cure) for each provider in use of which the caps that are set cannot see everything in time."""
    from coordinator.runfiles.tongues import CLAUDE, LATE

    names = [f"caps.{key}" for key in ("tokens_per_task", "money_per_task", "money_per_day")
             if getattr(config.caps, key)]
    caps, money = " and ".join(names), " and ".join(name for name in names if "money" in name)
    cure = "keep caps.sessions_per_task, caps.sessions_per_day and workers.timeout set"
    first = config.workers.provider
    for name in dict.fromkeys((first, *config.fallback.get(first, ()))) if names else ():
        if name in LATE:
            yield (f"{name} tells its tokens when a session ends well or badly by itself, and none of one that is "
                   f"stopped: {caps} end none in the middle"), cure
        elif name == "command":
            yield f"a command tells tokens in claude's stream alone: without, {caps} count nothing of it", cure
        model = section.model if (section := config.providers.get(name)) is not None else ""
        if money and model and name != CLAUDE and prices().of(model) is None:   # claude prices its own by itself
            yield (f"no price is known for {model} ({name}): {money} count nothing of it",
                   "set caps.tokens_per_task or caps.sessions_per_day")
