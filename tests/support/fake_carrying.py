"""The part of a repository in memory that never finds anything: commits there carry no files."""

from __future__ import annotations

from coordinator.domain.cargo import Cargo, Search


class Clean:
    """No secret, no protected file, nothing planted."""

    def put_back(self, task_id: str, attempt: int) -> tuple[tuple[str, ...], str]:
        return (), ""

    def planted(self, task_id: str) -> dict[str, str]:
        return {}

    def cargo(self, head: str, search: Search) -> Cargo:
        return Cargo(head)
