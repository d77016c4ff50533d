"""Agent CLIs: settings in, argv and env out; transcript in, events and an outcome out. They start no process.

A new provider is a module of its own and one line below.
"""

from __future__ import annotations

from coordinator.adapters.providers.cc_glm import CcGlm
from coordinator.adapters.providers.claude import Claude
from coordinator.adapters.providers.codex import Codex
from coordinator.adapters.providers.command import CommandProvider
from coordinator.adapters.providers.gemini import Gemini
from coordinator.adapters.providers.opencode import OpenCode
from coordinator.ports import Provider

PROVIDERS: dict[str, type[Provider]] = {
    "cc-glm": CcGlm,
    "claude": Claude,
    "codex": Codex,
    "command": CommandProvider,
    "gemini": Gemini,
    "opencode": OpenCode,
}


class UnknownProvider(ValueError):
    """No provider of this name: the words list those that exist."""


def provider(name: str) -> Provider:
    """A provider by its name. Raises UnknownProvider."""
    try:
        return PROVIDERS[name]()
    except KeyError:
        raise UnknownProvider(f"unknown provider {name!r}; there are: {', '.join(sorted(PROVIDERS))}") from None
