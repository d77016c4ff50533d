"""config show, config check: what is in force, and where each value came from."""

from __future__ import annotations

import os
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="What is configured, and where it came from.", no_args_is_help=True, rich_markup_mode=None)
    group.command()(show)
    group.command()(check)
    app.add_typer(group, name="config")


def show(as_json: Annotated[bool, typer.Option("--json", help="A list of key, value, origin.")] = False) -> None:
    """Print each value with where it came from. No token stands in a configuration."""
    from coordinator import app
    from coordinator.config import entries

    found = entries(app.configuration(app.place(), os.environ))
    if as_json:
        import json

        rows = [{"key": one.key, "value": one.value, "origin": one.origin} for one in found]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    from coordinator.cli.views.fitting import clean, columns, cut, width_of

    cells = [(one.key, cut(clean(one.value), 60), clean(one.origin)) for one in found]
    widths = [max(width_of(row[column]) for row in cells) for column in range(3)]
    print("\n".join(columns(cells, widths)))


def check() -> None:
    """Say whether the configuration can be used; exit 64 and the reason when not."""
    from coordinator import app
    from coordinator.app.config_checks import check_addresses, check_provider_names

    place = app.place()
    config = app.configuration(place, os.environ)
    check_provider_names(config)
    check_addresses(config, os.environ)
    source = str(place.config) if place.config.exists() else f"no {place.config.name}: defaults"
    print(f"the configuration is good ({source})")
