"""Marks on a job: whether it restarts by itself, whether it is blocked; and the tidying of dead entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coordinator.domain.job import MANUAL, Job
from coordinator.domain.worker import Running, Unknown
from coordinator.engine.jobs.desk import Desk, stamp
from coordinator.engine.jobs.ending import over, settle

UNBLOCKED: Mapping[str, str] = {"blocked": "false", "blocked_at": "", "blocked_reason": ""}
_OF_A_RUN = ("pid", "heartbeat", "stop", "spec", "env")


def set_override(desk: Desk, job_id: str, value: bool) -> Job:
    """Keeps the watchdog from restarting this job, whatever it was told (True), or takes that back. Raises NotOurs: a
    coordinator does not read the mark."""
    job = desk.ours(job_id)
    now = stamp(desk.clock.now())
    desk.jobs.note(job, {"no_auto_restart": "true" if value else "false", "override_set_at": now})
    return desk.latest(job_id)


def unblock(desk: Desk, job_id: str, *, reset_retries: bool) -> bool:
    """Lifts a block; False when there was none. Nothing is started. Raises NotOurs."""
    job = desk.ours(job_id)
    desk.jobs.note(job, {**UNBLOCKED, **({"retries": "0"} if reset_retries else {})})
    return job.blocked


def block(desk: Desk, job: Job, reason: str) -> None:
    """Only a person lifts it. What runs goes on, up to its own time limit."""
    marks = {"blocked": "true", "blocked_at": stamp(desk.clock.now()), "blocked_reason": reason}
    desk.jobs.note(job, marks)


def prune(desk: Desk, job_id: str = "") -> Iterator[str]:
    """Makes true what the folder says: runs that vanished get their outcome, pid files of nobody go, entries without
    any record go. Logs, outcomes and living workers are never touched. One line for each thing done."""
    jobs = desk.jobs.of(job_id) if job_id else desk.jobs.all()
    for job in jobs:
        if job.owner == MANUAL and not isinstance(job.view, Running | Unknown):
            yield from _pruned(desk, job)


def _pruned(desk: Desk, job: Job) -> Iterator[str]:
    if not job.meta and not job.outcome:
        desk.jobs.remove(job, _OF_A_RUN)
        yield f"{job.id} ({job.provider}): a ghost, no record of any run: its marks were removed"
        return
    if over(job):
        ended = settle(desk, job)
        yield f"{job.id} ({job.provider}): recorded as {ended.outcome.get('reason_code', 'lost')}"
    if any(fault.startswith("pid") for fault in job.faults):
        desk.jobs.remove(job, ("pid",))
        yield f"{job.id} ({job.provider}): its pid file named no process and was removed"
