"""What a person asked of the coordinator from outside: a row in table `requests`, or an edit of tasks.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RequestKind(StrEnum):
    STOP = "stop"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    REBUILD = "rebuild"
    CLEAN = "clean"
    RESET_ERRORS = "reset_errors"
    ADD = "add"
    HOLD_BATCH = "hold_batch"
    RESUME_BATCH = "resume_batch"
    CANCEL_BATCH = "cancel_batch"
    PLAN = "plan"


@dataclass(frozen=True)
class Request:
    """`task_id` is "" for requests about the whole coordinator. `source` is cli or ledger.

    Those about a batch: see planning/rules/batch.py.
    `args` are plain strings: reason (stop), fresh "1", provider, allow "1" (retry), title, priority (add), dry_run "1",
    tasks (clean: the ended tasks whose worktrees go, with blanks between; "" = all that is no longer needed),
    plan (plan: the whole of it as JSON).
    """

    id: int
    kind: RequestKind
    task_id: str
    args: dict[str, str]
    source: str
    asked_at: datetime


@dataclass(frozen=True)
class Event:
    """One row of the task's history; written in the same transaction as the change it tells of."""

    task_id: str
    at: datetime
    kind: str
    detail: str = ""
    attempt: int = 0
