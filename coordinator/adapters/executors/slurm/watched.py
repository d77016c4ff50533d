"""The same questions about jobs that were not submitted by us: of another user, by id, with what tells where their
files lie. One call of squeue and one of sacct, however many there are; the readers and the map of states are our own
jobs'.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from coordinator.adapters.executors.slurm.reading import (
    FIELD,
    RECORD,
    Account,
    Row,
    account_argv,
    accounts,
    queue_argv,
    rows,
)
from coordinator.adapters.executors.slurm.states import Kind, Standing, of_account, of_row
from coordinator.domain.slurmjob import Cluster, Phase, SlurmJob

_QUEUE_MORE = ("JobID", "UserName", "SubmitTime", "Dependency", "WorkDir", "StdOut", "StdErr")
_ACCOUNT_MORE = ("JobIDRaw", "User", "Submit", "WorkDir", "SubmitLine")
_HELD_FOR_GOOD = frozenset({"PENDING", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
"""A job of somebody else's that is put back into the queue waits there again, unless Slurm holds it back."""
_PHASES = {Kind.WAITING: Phase.WAITING, Kind.NEVER: Phase.WAITING, Kind.RUNNING: Phase.RUNNING,
           Kind.UNKNOWN: Phase.RUNNING, Kind.ENDED: Phase.OVER, Kind.GONE: Phase.GONE}  # fmt: skip


def squeue(cluster: Cluster) -> list[str]:
    """Further columns stand behind the name, the last one of our own question."""
    *words, columns = queue_argv()
    more = "".join(f",{name}:{RECORD if name == _QUEUE_MORE[-1] else FIELD}" for name in _QUEUE_MORE)
    which = [f"--jobs={','.join(cluster.ids)}"] if cluster.ids else []
    mine = [f"--user={cluster.user}" if word == "--me" else word for word in words]
    return [*mine, *which, columns.removesuffix(RECORD) + FIELD + more]


def sacct(cluster: Cluster, seconds: int) -> list[str]:
    """By id, or all that were there in the last `seconds`: by name nothing can be asked that begins so."""
    which = [f"--jobs={','.join(cluster.ids)}"] if cluster.ids else [f"--starttime=now-{seconds}"]
    *words, columns = account_argv(())
    kept = [word for word in words if not word.startswith("--jobs=")]
    return [*kept, f"--user={cluster.user}", *which, f"{columns},{','.join(_ACCOUNT_MORE)}"]


def queued(text: str) -> Iterator[SlurmJob]:
    """The answer to `squeue`."""
    for row in rows(text):
        name, *more = row.name.rsplit(FIELD, len(_QUEUE_MORE))
        if len(more) == len(_QUEUE_MORE):
            yield _of_row(row, name, more)


def booked(text: str) -> Iterator[SlurmJob]:
    """The answer to `sacct`. One whose begin has not come yet has a stand-in's name: the queue knows it better."""
    for account in accounts(text).values():
        name, *more = account.name.rsplit(FIELD, len(_ACCOUNT_MORE))
        if len(more) == len(_ACCOUNT_MORE) and not account.half:
            yield _of_account(account, name, more)


def _of_row(row: Row, name: str, more: list[str]) -> SlurmJob:
    raw, user, submitted, dependency, workdir, stdout, stderr = more
    known = replace(row, restarts=0, name=name)   # for others, to be put back is no end
    made = _job(row.id, name, user, of_row(known))
    return replace(
        made, pending=row.reason if made.phase is Phase.WAITING else "", restarts=row.restarts, raw_id=raw,
        submitted_at=_moment(submitted), dependency=_text(dependency), workdir=_text(workdir), stdout=_text(stdout),
        stderr=_text(stderr),
    )  # fmt: skip


def _of_account(account: Account, name: str, more: list[str]) -> SlurmJob:
    raw, user, submitted, workdir, line = more
    made = _job(account.id, name, user, of_account(account))
    return replace(made, raw_id=raw, submitted_at=_moment(submitted), workdir=workdir, line=line,
                   partial=made.phase is Phase.OVER and not account.whole)  # fmt: skip


def _job(job_id: str, name: str, user: str, found: Standing) -> SlurmJob:
    over = found.kind is Kind.ENDED
    return SlurmJob(
        id=job_id, name=name, user=user, phase=_PHASES[found.kind], state=found.state, why=_why(found),
        code=found.code or 0, signal=found.signal or 0, node=found.node,
        started_at=None if _waits(found) else _time(found.started_at),
        ended_at=_time(found.ended_at) if over else None,
    )  # fmt: skip


def _why(found: Standing) -> str:
    if found.kind is Kind.NEVER:
        return "slurm_never_runs" if found.state in _HELD_FOR_GOOD else ""
    if found.kind is Kind.ENDED and not found.reason and (found.code or found.signal or found.state == "FAILED"):
        return "process_exit"
    return found.reason if found.kind is Kind.ENDED else ""


def _waits(found: Standing) -> bool:
    """Slurm already writes down when it means to start it."""
    return found.kind in (Kind.WAITING, Kind.NEVER)


def _moment(text: str) -> datetime | None:
    return _time(float(text)) if text.isdecimal() and len(text) < 12 else None


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def _text(text: str) -> str:
    return "" if text in {"(null)", "N/A", "n/a"} else text
