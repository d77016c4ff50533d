"""Which repository the memory is of: a worker can change the remote's address, and a daemon that believed it after a
restart would read and push, with its own token, wherever the worker pointed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.ports import Store

_NAME = "repository"


def belongs(store: Store, configured: str, remote: str) -> str:
    """owner/name to work on, remembered from the first time on; "" when nothing names one. Raises NoRepository when
    only the remote names another than before."""
    from coordinator.app import NoRepository

    name, before = configured or remote, store.document(_NAME) or ""
    if not name or name.lower() == before.lower():
        return name
    if before and not configured:
        raise NoRepository(
            f"the remote names {name}, and until now this was {before}: nothing was done."
            f'\n  If it is meant, set repository.name = "{name}" in coordinator.toml;'
            f"\n  if not, set the remote back to {before} (`git remote -v` shows it).")
    store.keep_document(_NAME, name)
    return name
