"""When to ask GitHub, and what."""

from __future__ import annotations

from collections.abc import Iterator

from coordinator.planning.actions import POLL_LANE, Poll
from coordinator.planning.rules import review
from coordinator.planning.snapshot import Snapshot


def rule(s: Snapshot) -> Iterator[Poll]:
    """One poll when its time has come, none while GitHub asked us to wait; everything anew once a day."""
    if not s.policy.intake or not s.poll_due or not s.github_ok or not s.free(POLL_LANE):
        return
    full = s.listed_at is None or s.now - s.listed_at >= s.policy.relist
    yield Poll(review.awaited(s), full)
