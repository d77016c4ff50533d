"""The one clock of the coordinator. Tests pass another."""

from __future__ import annotations

from datetime import UTC, datetime


class SystemClock:
    """Wall time, aware, UTC; `local` converts into the host's zone."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone()
