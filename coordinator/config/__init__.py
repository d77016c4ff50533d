"""coordinator.toml, environment and command line as one frozen Config: a wrong word is named, not dropped.

Holds no secret: GitHub's token comes from GITHUB_TOKEN, GH_TOKEN or `gh auth token` alone.
"""

from __future__ import annotations

from coordinator.config.loading import ConfigError, Entry, entries, find_root, load
from coordinator.config.quantities import parse_duration, parse_size, show_duration, show_size
from coordinator.config.sections import (
    Caps,
    Config,
    Floors,
    Labels,
    Notify,
    Poll,
    ProviderSection,
    Repository,
    Retention,
    Retry,
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
    "Labels",
    "Notify",
    "Poll",
    "ProviderSection",
    "Repository",
    "Retention",
    "Retry",
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
