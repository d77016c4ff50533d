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


def even() -> float:
    """Seconds that pass evenly whatever the wall clock is set to, a sleep of the host included; only differences mean
    anything."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def pause(span: timedelta) -> None:
    time.sleep(span.total_seconds())
