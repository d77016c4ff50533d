"""Starts a job again with what it was started with: its worker ends first, its logs step aside, its marks stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from coordinator.domain.job import Job
from coordinator.domain.worker import Running, Unknown
from coordinator.engine.jobs import starting
from coordinator.engine.jobs.desk import Desk, Refused, handle_of
from coordinator.engine.jobs.ending import Verdict, end_run, over, settle
from coordinator.planning.watchdog import interrupted, unbegun
from coordinator.ports import StopOrder

DRIFT = 28
_EXPLICIT = "execution_mode"
_UNBEGUN = Verdict("stalled", "-", "killed", "it was named by a restart that died before anything ran")
"""As of the run that was to be started again: a death from here on is found as an interrupted restart."""


@dataclass(frozen=True)
class Again:
    """How a job is started again. `prompt` is its prompt file's text now, "" where none was ever sent. `pty` was asked
    for by name, so that it is no drift; `reason` and `words` go into the outcome of the run that is ended for it. With
    `run`, a token, that living run alone is started again: another one by now, or one that ended, is left as it is;
    `unbegun`, with it: that run never began, so that no further restart is counted, and one that lives is let alone."""

    prompt: str
    pty: bool = False
    preserve_contract: bool = False
    reason: str = "manual_stop"
    words: str = "restarted by a person"
    run: str = ""
    unbegun: bool = False


def restart(desk: Desk, job_id: str, again: Again) -> starting.Started:
    """Raises Refused (28 on contract drift) before the running worker is touched, NotOurs, JobBusy, OSError."""
    with desk.jobs.one_start():
        job = _still(desk, job_id, again) if again.run else desk.ours(job_id)
        if job.foreign or not job.token or not again.prompt:
            raise Refused(f"{job.id} was not started by this program: there is nothing to start it from",
                          f"start --beads {job.id} --prompt-file FILE")
        if isinstance(job.view, Unknown):
            raise Refused(f"{job.id} cannot be asked from here: {job.view.reason}", code=26)
        if job.provider not in desk.providers:
            raise Refused(f"there is no provider {job.provider!r}", code=20)
        recorded = starting.order_of(desk, job)
        order = replace(recorded, prompt=again.prompt, pty=again.pty or recorded.pty)
        starting.refuse_unready(desk, order)
        _refuse_homeless(order)
        notes = _compare(desk, job, order, again)
        if isinstance(job.view, Running):
            end_run(desk, job, StopOrder(again.reason, again.words))
        elif over(job):
            settle(desk, job, _UNBEGUN if again.unbegun else None)
        starting.forget_notes(desk, order)
        run = starting.Launch(order, job, job, retries=job.retries + (not again.unbegun), restarted=True)
        started = starting.launch(desk, run)
        return replace(started, notes=notes)


def drift(before: Mapping[str, str], now: Mapping[str, str], *, but: str = "") -> tuple[str, ...]:
    """One line for each key that changed: `model: glm-5 -> glm-6`. A contract that was never recorded has no drift."""
    return tuple(f"{key}: {before[key] or '-'} -> {value or '-'}" for key, value in now.items()
                 if key in before and before[key] != value and key != but)


def _still(desk: Desk, job_id: str, again: Again) -> Job:
    """The instance whose run this is, if it lives, was ended for this restart or never began, as was seen before, and
    nobody blocked it. Raises Refused."""
    now = desk.clock.now()
    for job in desk.jobs.of(job_id):
        due = interrupted(job, now) or (unbegun(job, now) if again.unbegun else isinstance(job.view, Running))
        if job.token == again.run and due and not job.blocked:
            return job
    raise Refused(f"{job_id} ended, was blocked or was started anew meanwhile", "It was left as it is.")


def _refuse_homeless(order: starting.Order) -> None:
    """A worker is not ended for a start that could not follow."""
    place = starting.place_of(order)
    if not place.is_dir():
        raise Refused(f"{order.job_id}: its folder {place} is gone; nothing was stopped",
                      f"start --beads {order.job_id} makes the worktree anew.", reason="worktree_error")


def _compare(desk: Desk, job: Job, order: starting.Order, again: Again) -> tuple[str, ...]:
    """Drift is said in any case, and refused where the contract is to be preserved."""
    try:
        command = starting.command_for(desk, order, handle_of(job), job.retries + 1)
    except ValueError as wrong:
        raise Refused(f"{job.id}: {wrong}", "Nothing was stopped.", reason="config_error") from wrong
    changed = drift(desk.jobs.contract(job), starting.contract_of(order, command), but=_EXPLICIT if again.pty else "")
    if changed and again.preserve_contract:
        raise Refused(f"{job.id}: its contract drifted, so it was not restarted:\n" + "\n".join(changed),
                      "Restore these, or restart without --preserve-contract. The running worker was not touched.",
                      code=DRIFT, reason="contract_drift")
    return tuple(f"contract changed: {line}" for line in changed)
