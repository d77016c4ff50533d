"""What several scenarios tell with: a worker that waits for a sign, and a clock of ours that can be put forward."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

import pytest

from coordinator.adapters.system.clock import SystemClock
from tests.support.yard import Yard

Later = Callable[[float], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Lets our clock, and not GitHub's, run ahead."""
    ahead, now = [timedelta()], SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + ahead[0])

    def pass_by(seconds: float) -> None:
        ahead[0] += timedelta(seconds=seconds)

    return pass_by


def waiting(yard: Yard) -> str:
    """A script that commits, waits for the file `go` and ends well."""
    return f"commit()\nwhile not os.path.exists({str(yard.folder / 'go')!r}): time.sleep(0.05)\nresult()"


def go(yard: Yard) -> None:
    (yard.folder / "go").touch()


def completions(yard: Yard, number: int) -> int:
    return sum("coordinator:gh-" in body and ":completed:" in body for body in yard.comments(number))


def restart(yard: Yard) -> None:
    """A coordinator that knows of nothing but what is on disk."""
    yard.close()
    yard.start()


def bury(yard: Yard) -> None:
    """Reaps wrappers begun before a restart: here they are still our children, in truth they would be init's."""
    for history in yard.engine.world.store.attempts().values():
        for attempt in history:
            try:
                os.waitpid(attempt.pid or 0, 0)
            except ChildProcessError:
                continue
