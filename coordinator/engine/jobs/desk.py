"""What every verb of the job runner works with, and how each says no."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.domain.job import MANUAL, Job, latest
from coordinator.engine.contacts import Contacts
from coordinator.planning.health import Settings as HealthSettings
from coordinator.ports import Clock, Executor, Files, Handle, JobFiles, Notifier, Probe, Provider, Settings


class Refused(Exception):
    """A verb that is not carried out: what stands in the way, the cure, the exit code, and the reason code that a start
    leaves in its outcome."""

    def __init__(self, words: str, cure: str = "", *, code: int = 1, reason: str = "start_refused") -> None:
        super().__init__(words)
        self.words = words
        self.cure = cure
        self.code = code
        self.reason = reason


class NotOurs(Exception):
    """The job belongs to a coordinator (or a plan): it is asked for, not acted on."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"{job.id} is run by {job.owner}")
        self.job = job


@dataclass(frozen=True)
class Rules:
    """`max_runtime` is each run's own limit, `stop_grace` the time between polite stop, TERM and KILL. `gated`: work is
    started under `allowed` folders alone. `spelling` is the name whose reason codes are written; `contacts` are told of
    each job that wants a person. `walled`: no agent may start without walls."""

    max_runtime: timedelta = timedelta(hours=2)
    stop_grace: timedelta = timedelta(seconds=2)
    health: HealthSettings = field(default_factory=HealthSettings)
    gated: bool = False
    allowed: tuple[Path, ...] = ()
    spelling: str = ""
    providers: Mapping[str, Settings] = field(default_factory=dict)
    version: str = ""
    host: str = ""
    as_root: bool = False
    contacts: Contacts = field(default_factory=Contacts)
    walled: bool = False


@dataclass
class Desk:
    """`pause` waits; `make_worktree(repo, worktree, branch)` makes a missing worktree and raises GitError; `repository`
    finds the repository that a name or path means, None where it is not known."""

    jobs: JobFiles
    executor: Executor
    providers: Mapping[str, Provider]
    probe: Probe
    clock: Clock
    files: Files
    environ: Mapping[str, str]
    rules: Rules
    pause: Callable[[timedelta], None]
    new_token: Callable[[], str]
    repository: Callable[[str], Path | None]
    make_worktree: Callable[[Path, Path, str], None]
    say: Callable[[str], None] = print
    notifier: Notifier | None = None

    def latest(self, job_id: str) -> Job:
        """The instance that was started last. Raises Refused where there is no such job."""
        job = latest(self.jobs.of(job_id))
        if job is None:
            raise Refused(f"job {job_id} is missing: {self.jobs.folder} holds no record of it",
                          "`status --all` lists the jobs there; --log-dir names another folder.")
        return job

    def ours(self, job_id: str) -> Job:
        """As `latest`, for verbs that act. Raises NotOurs for the job of a coordinator or a plan."""
        job = self.latest(job_id)
        if job.owner != MANUAL:
            raise NotOurs(job)
        return job


def handle_of(job: Job) -> Handle:
    return Handle(job.provider, job.id, job.token)


def stamp(moment: datetime) -> str:
    """The time format of run files: ISO, UTC, whole seconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime | None:
    """The reverse of `stamp`; None for anything else, since people edit run files."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None
