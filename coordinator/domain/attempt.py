"""One run of a worker for a task. An attempt has no status column: its phase follows from its facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coordinator.domain.outcome import Ending, Usage


class Phase(StrEnum):
    INTENDED = "intended"
    PREPARED = "prepared"
    LAUNCHED = "launched"
    ENDED = "ended"


@dataclass(frozen=True)
class Attempt:
    """`token` names this run to everything it started and `fence` grows with each attempt of a task.

    `run_id` is UTC YYYYMMDDhhmmss. `stop_reason` is the intent to stop it (a reason code, "" = none) with
    `stop_words` for people and `stop_by` who asked: label, closed, pause, request, ledger, stall, shutdown, cap.
    `switch_from` is the task's own provider where another one stood in for it, for the reason code `fallback_reason`.
    `stage` is the name of the workflow's stage that it worked on. `host` is where it runs: "" for this machine, a name
    of [hosts], or `slurm`. `heard` is what trusted people had said in comments when it was prepared, as its prompt
    has it. `answered` says of an ended one that its model did, once at least: it worked, and it cost.
    """

    task_id: str
    number: int
    token: str
    fence: int
    worker_id: str
    provider: str
    run_id: str
    created_at: datetime
    model: str = ""
    session_id: str = ""
    prepared_at: datetime | None = None
    base_sha: str = ""
    launched_at: datetime | None = None
    pid: int | None = None
    stop_asked_at: datetime | None = None
    stop_reason: str = ""
    stop_words: str = ""
    stop_by: str = ""
    switch_from: str = ""
    fallback_reason: str = ""
    ended_at: datetime | None = None
    settled_at: datetime | None = None
    ending: Ending | None = None
    reason: str = ""
    detail: str = ""
    exit_code: int | None = None
    head_sha: str = ""
    commits: int = 0
    duration_sec: float = 0.0
    usage: Usage = Usage()
    summary: str = ""
    log_tail: str = ""
    rescue_ref: str = ""
    stage: str = ""
    host: str = ""
    heard: str = ""
    answered: bool = False

    @property
    def phase(self) -> Phase:
        if self.ending is not None:
            return Phase.ENDED
        if self.launched_at is not None:
            return Phase.LAUNCHED
        return Phase.PREPARED if self.prepared_at is not None else Phase.INTENDED
