"""A job as its run files tell: what was asked for, what its worker does, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordinator.domain.worker import Running, WorkerView

MANUAL = "manual"
"""The owner of a job that a person started; the others are `coordinator` and `plan`."""
_DIGITS = 15


@dataclass(frozen=True)
class Job:
    """One provider's instance of a job: the family of run files `<folder>/<id>.<kind>`.

    `view` is of the current run. `outcome` holds the pairs of that run's outcome file, {} while it has none. Sizes are
    in bytes, `log_at` is when the log was last written (Unix seconds, None without a log). `foreign`: other tools or
    hands wrote it, so its pid has no start time: it is reported and never signalled. `faults` name run files that could
    not be read and why.
    """

    id: str
    provider: str
    folder: str
    view: WorkerView
    meta: Mapping[str, str] = field(default_factory=dict)
    outcome: Mapping[str, str] = field(default_factory=dict)
    log_bytes: int = 0
    log_at: float | None = None
    foreign: bool = False
    faults: tuple[str, ...] = ()

    @property
    def token(self) -> str:
        return self.meta.get("token", "")

    @property
    def owner(self) -> str:
        return self.meta.get("owner") or MANUAL

    @property
    def retries(self) -> int:
        """How often it was started again; edited by people, so anything else than a number is 0."""
        return _number(self.meta.get("retries", ""))

    @property
    def fence(self) -> int:
        return _number(self.meta.get("fence", ""))

    @property
    def blocked(self) -> bool:
        return self.meta.get("blocked") == "true"

    @property
    def blocked_reason(self) -> str:
        return self.meta.get("blocked_reason", "") if self.blocked else ""

    @property
    def no_auto_restart(self) -> bool:
        return self.meta.get("no_auto_restart") == "true"

    @property
    def pid(self) -> int:
        """The living wrapper's (or the foreign process's) pid; 0 when none lives."""
        return self.view.pid if isinstance(self.view, Running) else 0

    @property
    def sequence(self) -> tuple[str, int]:
        """Orders the instances of one id: by the recorded run, never by a file's time."""
        return self.meta.get("run_id", ""), self.fence


def _number(text: str) -> int:
    """Longer ones are no count of anything, and Python reads none of thousands of digits."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0


def latest(instances: Iterable[Job]) -> Job | None:
    """Of the instances of one id that which was started last; None of none."""
    return max(instances, key=lambda job: job.sequence, default=None)
