"""What a configuration names that only the adapters can tell to be there: providers and addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from coordinator.app import notifier, provider_names
from coordinator.config import ConfigError

if TYPE_CHECKING:
    from coordinator.config import Config


def check_provider_names(config: Config) -> None:
    """Raises ConfigError for a provider that is configured and that nobody knows."""
    known = provider_names()
    named = [("workers.provider", config.workers.provider), *((f"providers.{name}", name) for name in config.providers)]
    for key, name in named:
        if name not in known:
            raise ConfigError(f"{key}: there is no provider {name!r}", f"Known are {', '.join(known)}.")
    check_ladders(config)


def check_ladders(config: Config) -> None:
    """Raises ConfigError for a provider in [fallback] that nobody knows: it would never stand in for any."""
    known = provider_names()
    for provider, ladder in config.fallback.items():
        for name in (provider, *ladder):
            if name not in known:
                words = f"fallback.{provider}: there is no provider {name!r}"
                raise ConfigError(words, f"Known are {', '.join(known)}.")


def check_addresses(config: Config, environ: Mapping[str, str]) -> None:
    """Raises ConfigError for an address of `[notify]` that nobody could be told at."""
    wrong = notifier(environ).wrong(config.notify.urls) if config.notify.urls else ""
    if wrong:
        cure = "Write it as apprise's documentation has it, such as ntfy://topic; `coordinator config check` tries it."
        raise ConfigError(f"{config.origins['notify.urls']}: {wrong}", cure)
