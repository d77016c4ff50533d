"""A job in Slurm's queue or books as a watch sees it, whoever submitted it; and which jobs a watch is about.

Nouns alone: what Slurm prints is read elsewhere, and what follows from it is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Phase(StrEnum):
    """`GONE`: Slurm knows it no more, and how it ended was not seen."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"
    GONE = "gone"


@dataclass(frozen=True)
class SlurmJob:
    """`id` is as people type it: `123`, or `123_4` for one of an array. `state` is Slurm's own word and `pending` its
    word for why it waits. `why` is our reason code: of one that is over "" for a good end, of one that waits
    `slurm_never_runs` or "". `partial`: the books do not have all of its end yet. `code` and `signal` are those of its
    script. `stdout` and `stderr` are paths with Slurm's %-words still in them; `line` is what it was submitted with.
    Times are aware UTC."""

    id: str
    name: str
    user: str
    phase: Phase
    state: str
    pending: str = ""
    why: str = ""
    code: int = 0
    signal: int = 0
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    restarts: int = 0
    raw_id: str = ""
    node: str = ""
    workdir: str = ""
    stdout: str = ""
    stderr: str = ""
    line: str = ""
    dependency: str = ""
    partial: bool = False

    @property
    def array(self) -> tuple[str, str]:
        """(id of the whole, index) of one of an array, else (its id, "")."""
        whole, _, index = self.id.partition("_")
        return whole, index


@dataclass(frozen=True)
class Cluster:
    """Jobs of `user` on `host` ("" = this machine): those whose name begins with `prefix`, or with one of `ids`; all
    of the user's where both are empty. `root` and `project` say for which project they are looked at."""

    user: str
    host: str = ""
    prefix: str = ""
    ids: tuple[str, ...] = ()
    project: str = ""
    root: str = ""

    def holds(self, job: SlurmJob) -> bool:
        """Whether it is one of them: by name and user, or by id and user. The id of an array holds its tasks."""
        if job.user != self.user:
            return False
        if self.ids:
            return any(job.id == one or job.array[0] == one for one in self.ids)
        return job.name.startswith(self.prefix)

    @property
    def narrow(self) -> bool:
        """Whether it says more than whose they are: only then is anything ended or removed."""
        return bool(self.prefix or self.ids)

    @property
    def words(self) -> str:
        return ",".join(self.ids) if self.ids else f"{self.prefix}*"
