"""Ends jobs, and sees to it that each run has an outcome: by its wrapper while that lives, else by our own hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.job import Job, latest
from coordinator.domain.worker import Exited, Missing, Running, Waiting
from coordinator.engine.jobs.desk import Desk, Refused, handle_of, moment, stamp
from coordinator.planning.watchdog import interrupted
from coordinator.ports import JobBusy, StopOrder

_LOOK = timedelta(milliseconds=20)
_PATIENCE = timedelta(seconds=15)
"""Beyond the graces of the wrapper's own steps: how long the end of a tree is waited for."""


@dataclass(frozen=True)
class Ended:
    """`job` as it stands after the verb; `acted` is False where it had ended before."""

    job: Job
    acted: bool


def stop(desk: Desk, job_id: str, words: str = "stopped by a person") -> Ended:
    """Ends the job's worker, its whole tree; a run that ended before keeps its outcome, and is not begun again where a
    watchdog still would. Raises Refused, NotOurs."""
    return _for_good(desk, _end(desk, job_id, StopOrder("manual_stop", words)))


def finalize(desk: Desk, job_id: str, reason: str, exit_code: int) -> Ended:
    """Ends a stuck job with this reason and exit code on record; a run that ended before keeps its outcome."""
    order = StopOrder(reason, "ended by finalize", hard=True, exit_code=exit_code)
    return _for_good(desk, _end(desk, job_id, order))


def _for_good(desk: Desk, ended: Ended) -> Ended:
    """What a person ended, no watchdog begins again as if another of them had died over it."""
    if not interrupted(ended.job, desk.clock.now()):
        return ended
    desk.jobs.note(ended.job, {"no_restart_of": ended.job.token})
    return Ended(_same(desk, ended.job), acted=True)


def end_run(desk: Desk, job: Job, order: StopOrder) -> Job:
    """Ends the living worker of this run and waits until nothing of it lives. The job as it stands then: another run of
    it may have begun meanwhile, and is left alone. Raises Refused."""
    _refuse_foreign(job)
    handle = handle_of(job)
    desk.executor.stop(handle, order)
    until = desk.clock.now() + 3 * desk.rules.stop_grace + _PATIENCE
    while isinstance(desk.executor.look([handle])[handle], Running):
        if desk.clock.now() >= until:
            raise Refused(f"{job.id} (pid {job.pid}) was told to end and lives on",
                          f"Look at it with: ps -f {job.pid}. The order stands; try again.")
        desk.pause(_LOOK)
    ended = _same(desk, job)
    return ended if ended.outcome or ended.token != job.token else settle(desk, ended)


@dataclass(frozen=True)
class Verdict:
    """What goes on record of a run that left no outcome."""

    reason: str
    exit_code: str
    state: str
    words: str


def settle(desk: Desk, job: Job, verdict: Verdict | None = None) -> Job:
    """Gives a run whose wrapper is gone its outcome, after whatever it left alive was ended: this verdict, else what
    can be seen of it. The job as it stands then."""
    survivors = desk.executor.sweep(handle_of(job)) if job.token else ()
    desk.jobs.record_end(job, _pairs(desk, job, verdict or seen(job), survivors))
    return _same(desk, job)


def seen(job: Job) -> Verdict:
    """Of a run without an outcome: another tool left its exit code, the host was restarted, or it is lost."""
    if isinstance(job.view, Exited) and job.view.code is not None:
        state = "success" if job.view.code == 0 else "failed"
        return Verdict(job.view.reason, str(job.view.code), state, "recorded from its exit code")
    if isinstance(job.view, Exited) and job.view.reason == "host_reboot":
        return Verdict("host_reboot", "-", "failed", "the host was restarted while it ran")
    return Verdict("lost", "-", "failed", "it vanished without leaving an outcome")


def over(job: Job) -> bool:
    """Whether the present run has ended without a word: no outcome, and nobody left to write one."""
    return not job.outcome and isinstance(job.view, Missing | Exited)


def _end(desk: Desk, job_id: str, order: StopOrder) -> Ended:
    """Ends the run that was seen, and each that a start or restart puts in its place meanwhile."""
    asked = Verdict(order.reason, str(order.exit_code), "killed", order.words) if order.exit_code is not None else None
    job, acted = desk.ours(job_id), False
    while isinstance(job.view, Running | Waiting):
        acted = True
        if isinstance(job.view, Running):
            end_run(desk, job, order)
        job = _begun(desk, job_id, asked)
    if job.outcome:
        return Ended(job, acted)
    if not over(job):
        raise Refused(f"{job.id} cannot be asked from here: {getattr(job.view, 'reason', job.view)}", code=26)
    return Ended(settle(desk, job, asked), acted=True)


def _begun(desk: Desk, job_id: str, asked: Verdict | None) -> Job:
    """The job once nobody is starting it. A start that died on the way gets its outcome, and so no wrapper takes it up.
    Raises JobBusy."""
    try:
        with desk.jobs.one_start():
            job = desk.ours(job_id)
            return settle(desk, job, asked) if isinstance(job.view, Waiting) else job
    except JobBusy:
        job = desk.ours(job_id)
        if isinstance(job.view, Waiting):
            raise
        return job   # another job's start takes its time, and is no affair of ours


def _refuse_foreign(job: Job) -> None:
    if job.foreign:
        raise Refused(f"{job.id}: pid {job.pid} stands in a file without its start time, so it may be anybody's by now",
                      f"Nothing was signalled. If it is yours (ps -f {job.pid}): kill {job.pid}")


def _same(desk: Desk, job: Job) -> Job:
    """The job anew."""
    return latest(one for one in desk.jobs.of(job.id) if one.provider == job.provider) or job


def _pairs(desk: Desk, job: Job, verdict: Verdict, survivors: tuple[int, ...]) -> dict[str, str]:
    now, meta = desk.clock.now(), job.meta
    began = moment(meta.get("restarted_at", "")) or moment(meta.get("started_at", "")) or now
    last = datetime.fromtimestamp(job.log_at, now.tzinfo) if job.log_at is not None else now
    return {
        "beads": job.id, "provider": job.provider, "run_id": meta.get("run_id", ""), "exit_code": verdict.exit_code,
        "state": verdict.state, "reason_code": verdict.reason, "ended_by": verdict.reason, "judged_by": "owner",
        "words": verdict.words, "completed_at": stamp(now),
        "ended_at": f"{now.timestamp():.3f}", "duration_sec": str(max(0, int((last - began).total_seconds()))),
        "retries": str(job.retries), "selected_model": meta.get("model", ""), "fallback_reason": "none",
        "run_instance": meta.get("run_instance", ""), "host": meta.get("host", ""), "cwd": meta.get("cwd", ""),
        "worktree": meta.get("worktree", ""), "token": job.token, "fence": meta.get("fence", ""),
        "survivors": ",".join(str(pid) for pid in survivors),
    }  # fmt: skip
