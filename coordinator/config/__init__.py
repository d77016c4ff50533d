"""coordinator.toml, environment and command line as one frozen Config: a wrong word is named, not dropped.

Holds no secret: where GitHub's token comes from stands in app/credentials.py alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.config.loading import ConfigError, Entry, entries, load
    from coordinator.config.quantities import parse_duration, parse_size, show_duration, show_size
    from coordinator.config.rooting import find_root
    from coordinator.config.sections import (
        Caps,
        Config,
        Floors,
        Host,
        Labels,
        Notify,
        Poll,
        ProviderSection,
        Repository,
        Retention,
        Retry,
        Slurm,
        Trust,
        Workers,
        Worktree,
    )

__all__ = [
    "Caps",
    "Config",
    "ConfigError",
    "Entry",
    "Floors",
    "Host",
    "Labels",
    "Notify",
    "Poll",
    "ProviderSection",
    "Repository",
    "Retention",
    "Retry",
    "Slurm",
    "Trust",
    "Workers",
    "Worktree",
    "entries",
    "find_root",
    "load",
    "parse_duration",
    "parse_size",
    "show_duration",
    "show_size",
]

_HOMES = ("rooting", "quantities", "sections", "loading")


def __getattr__(name: str) -> object:
    """Each name when it is first asked for: a command that only looks for the repository loads no TOML reader."""
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"{__name__}.{home}")
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
