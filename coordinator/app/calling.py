"""How commands that watch by hand reach the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.engine.batches.batch import Batch, Look


def call(batch: Batch, look: Look, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Calls a person about jobs by hand where this look found that they fail alike. How it failed. Raises
    ConfigError."""
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app import notifier
    from coordinator.app.engines import contacts_of
    from coordinator.app.jobs import configuration
    from coordinator.engine.batches import calling
    from coordinator.engine.contacts import Ways

    return calling.call(batch, look, contacts_of(configuration(environ)),
                        Ways(SystemProbe({}), notifier(environ), environ))
