"""The table of prices that stands beside the providers, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.domain.prices import Prices


def prices() -> Prices:
    """The prices of the models that are known."""
    import tomllib
    from importlib.resources import files

    from coordinator.domain.prices import Price, Prices

    table = tomllib.loads(files("coordinator.adapters.providers").joinpath("prices.toml").read_text("utf-8"))
    return Prices(table["dated"], {name: Price(*row) for name, row in table["models"].items()})
