"""The rate limit as GitHub last told it, and the rule of the reserve.

The reserve is kept for people who use the same token. Below it what takes up new work waits here, and what would only
tell that work waits or runs is not planned (planning/rules/tell.py); following the issues and pull requests goes on,
since an idle look is a 304 that costs nothing, and so does all that brings started work to its end. Once GitHub itself
refuses, nothing at all is asked until its time has come: asking on lengthens a secondary limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from threading import Lock

from coordinator.adapters.github.failures import wait_until
from coordinator.domain.hub import Budget
from coordinator.ports import Limited, Reserved


class Meter:
    """Counts requests and knows when the next may be sent. Safe to use from several threads."""

    def __init__(self, reserve: int) -> None:
        self._reserve = reserve
        self._budget = Budget()
        self._closed: Limited | None = None
        self._lock = Lock()

    @property
    def budget(self) -> Budget:
        return self._budget

    def check(self, now: datetime, *, new_work: bool) -> None:
        """Raises Limited when this request must not be sent yet."""
        closed, told = self._closed, self._budget
        if closed is not None and now < closed.until:
            raise Limited(closed.words, closed.until)
        if new_work and told.reset_at is not None and now < told.reset_at and self._spent(told):
            raise Reserved(
                f"{told.remaining} of {told.limit} requests are left and {self._reserve} are kept for people "
                f"(poll.reserve): new work waits until {told.reset_at:%H:%M:%S} UTC", told.reset_at)

    def _spent(self, told: Budget) -> bool:
        return told.remaining is not None and told.remaining <= self._reserve

    def note(self, status: int, headers: Mapping[str, str], now: datetime) -> None:
        """Learns from one answer, whatever it was."""
        with self._lock:
            told = replace(self._budget, requests=self._budget.requests + 1,
                           not_modified=self._budget.not_modified + (status == 304))
            remaining, limit = headers.get("x-ratelimit-remaining", ""), headers.get("x-ratelimit-limit", "")
            if remaining.isdecimal() and headers.get("x-ratelimit-resource", "core") == "core":
                told = replace(told, remaining=int(remaining), limit=int(limit) if limit.isdecimal() else None,
                               reset_at=wait_until(headers, now))
            self._budget = told

    def close(self, limited: Limited) -> None:
        """GitHub refused: nothing more until then, nor before what it said to another question under way."""
        with self._lock:
            if self._closed is None or limited.until > self._closed.until:
                self._closed = limited
