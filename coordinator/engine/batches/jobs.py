"""Verbs on the jobs of one batch: each job is one's own affair, and one that cannot be served keeps none of the others
from it. Jobs outside the batch are never touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from coordinator.domain.job import Job
from coordinator.domain.worker import Running
from coordinator.engine.jobs import starting
from coordinator.engine.jobs.batch import start_all
from coordinator.engine.jobs.desk import Desk, NotOurs, Refused, handle_of
from coordinator.engine.jobs.editing import prune
from coordinator.engine.jobs.ending import stop
from coordinator.ports import GitError, JobBusy


@dataclass(frozen=True)
class Done:
    """What became of one job: `ok`, and words either way. `run` is the new run's instance of one that was started."""

    id: str
    ok: bool
    words: str
    run: str = ""


def cancel(desk: Desk, ids: Sequence[str]) -> Iterator[Done]:
    """Ends the workers of these jobs, one after the other."""
    for name in ids:
        try:
            ended = stop(desk, name, "its batch was cancelled")
        except (Refused, NotOurs, JobBusy, OSError) as error:
            yield Done(name, ok=False, words=_why(error))
            continue
        words = "stopped" if ended.acted else "had ended before"
        survivors = ended.job.outcome.get("survivors", "")
        yield Done(name, ok=not survivors, words=f"processes of it live on: {survivors}" if survivors else words)


def clean(desk: Desk, ids: Sequence[str], remove: Callable[[Path, Path], str]) -> Iterator[Done]:
    """Marks of processes that are gone, and worktrees that hold nothing of their own; logs and outcomes stay as the
    evidence. `remove(repository, worktree)` says why it kept one, "" = removed."""
    for name in ids:
        try:
            yield Done(name, ok=True, words="; ".join([*prune(desk, name), _tidy(desk, name, remove)]))
        except (Refused, NotOurs, JobBusy, GitError, OSError) as error:
            yield Done(name, ok=False, words=_why(error))


def _tidy(desk: Desk, name: str, remove: Callable[[Path, Path], str]) -> str:
    job = desk.ours(name)
    place = Path(job.meta["worktree"]) if job.meta.get("worktree") else None
    if place is None:
        return "it had no worktree of its own"
    user = next((one.id for one in desk.jobs.all() if isinstance(one.view, Running) and _works_in(one, place)), "")
    repository = desk.repository(job.meta.get("repo", "")) if job.meta.get("repo") else None
    if user:
        return f"kept {place}: {user} runs there"
    if repository is None:
        return f"kept {place}: no repository is known that it was made from"
    kept = remove(repository, place)
    return f"kept {place}: {kept}" if kept else f"removed {place}"


def _works_in(job: Job, place: Path) -> bool:
    return Path(job.meta.get("worktree") or job.meta.get("cwd") or "/").resolve() == place.resolve()


def start_again(
    desk: Desk, ids: Sequence[str], read_prompt: Callable[[str], str], stagger: timedelta
) -> Iterator[Done]:
    """Each as it was started before, its prompt file as it is now; a worktree that is gone is made anew."""
    orders = []
    for name in ids:
        try:
            orders.append(_order(desk, name, read_prompt))
        except (Refused, NotOurs, OSError) as error:
            yield Done(name, ok=False, words=_why(error))
    for launched in start_all(desk, orders, stagger):
        started = launched.started
        if started is None:
            yield Done(launched.order.job_id, ok=False, words=launched.words)
        else:
            words = "; ".join([f"started (pid {started.pid})", *started.notes])
            yield Done(started.job_id, ok=True, words=words, run=started.run_instance)


def _order(desk: Desk, name: str, read_prompt: Callable[[str], str]) -> starting.Order:
    job = desk.ours(name)
    if job.foreign or not job.token:
        raise Refused(f"{name} was not started by this program: there is nothing to start it from")
    named, sent = job.meta.get("prompt_file", ""), desk.executor.prompt_path(handle_of(job))
    there = bool(named) and desk.files.exists(Path(named))
    return replace(starting.order_of(desk, job), prompt=read_prompt(named if there else str(sent)))


def _why(error: Exception) -> str:
    words = str(getattr(error, "words", "") or error)
    return f"{words}, not by hand" if isinstance(error, NotOurs) else words
