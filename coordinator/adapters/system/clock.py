"""The one clock of the coordinator. Tests pass another."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Wall time, aware, UTC; `local` converts into the host's zone."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def local(self, moment: datetime) -> datetime:
        return moment.astimezone()


def pause(span: timedelta) -> None:
    time.sleep(span.total_seconds())
