"""What is judged together: one line for each task or job of a batch, whoever runs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Stand(StrEnum):
    """Where a member of a batch stands. `waiting` has not started (a slot, a dependency, a queue), `good` and `bad`
    ended, `stopped` was ended by a person and counts for neither side."""

    WAITING = "waiting"
    RUNNING = "running"
    GOOD = "good"
    BAD = "bad"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Member:
    """One task or job, by its last attempt. `state` is the word people know it by (a task's state or a job's health).
    `reason` is the reason code it ended with (of one that waits: its last attempt failed for it and it is to be tried
    again), `words` the last line of its error, masked; `excluded`: it ended for
    something that is nobody's fault here (an outage, a limit, a queue). `wave` counts from 1. Times are aware UTC;
    `duration_sec` is that of the last attempt. `artefact` says what its result is: "" when nothing is known, "ok", or
    what is wrong with it ("empty", "missing", "unreadable"); one that runs may have it already. `signal` is a line of
    trouble in the log of one that goes on, masked."""

    id: str
    stand: Stand
    state: str
    wave: int = 1
    reason: str = ""
    words: str = ""
    excluded: bool = False
    since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_sec: float = 0.0
    attempts: int = 0
    provider: str = ""
    title: str = ""
    artefact: str = ""
    signal: str = ""
