"""docs/providers.md tells what the real CLIs are held to."""

from __future__ import annotations

from pathlib import Path

from coordinator.adapters.providers import PROVIDERS
from tests.support.conformance import expected

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text("utf-8")


def test_the_table_of_ends_is_the_one_that_the_real_clis_are_held_to() -> None:
    assert expected() in PAGE


def test_every_provider_has_its_place_on_the_page() -> None:
    assert [name for name in PROVIDERS if f"`{name}`" not in PAGE] == []
