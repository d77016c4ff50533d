"""A job's run files and what Slurm says of it, together: what an executor can say of the worker. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from coordinator.adapters.executors.slurm.states import Kind, Standing
from coordinator.domain.worker import Exited, Missing, Running, Unknown, Waiting, WorkerView

SETTLE = timedelta(seconds=20)
"""How long after Slurm saw a job end its outcome may still be on its way, and a word of Slurm's may still change."""
_LIFE = 5.0
"""Seconds after the end that Slurm saw: a heartbeat that young proves a worker that Slurm has lost hold of."""
_FRESH = 90.0
"""Seconds: a heartbeat as young as this proves a worker, whether Slurm can be asked or not."""
_UNCLEAR = frozenset({"manual_stop", "killed", "oom_killed", "slurm_timeout", "slurm_preempted"})
"""What a wrapper says of an end that came by a signal: only Slurm knows whose signal it was."""
_GUESSED = frozenset({"slurm_timeout", "slurm_preempted"})
"""What it says of Slurm's own signals: until Slurm has told why, nothing is made of it."""
_CAUSES = frozenset({"slurm_timeout", "slurm_oom", "slurm_preempted", "slurm_node_fail"})
_TOLD_WITHIN = 120.0
"""Seconds after the end of a worker in which Slurm is waited for."""


def judged(files: WorkerView, standing: Standing, now: datetime, *, asked: str = "",
           settle: timedelta = SETTLE) -> WorkerView:
    """`files` is what the run files say with all of them home; `asked` is the reason of our own order to stop it, if we
    gave one. An outcome outranks whatever Slurm says; of an end by a signal Slurm knows the cause."""
    if isinstance(files, Exited):
        return files if asked else _explained(files, standing, now)
    settled = now - standing.since >= settle
    match standing.kind:
        case Kind.WAITING:
            return files if _running(files) and not standing.suspended else Waiting(standing.words)
        case Kind.RUNNING:
            return _while_it_runs(files, standing, now)
        case Kind.NEVER:
            return _exited(files, standing, asked) if settled else Waiting(standing.words)
        case Kind.ENDED | Kind.GONE:
            if _running(files):   # one that beats seldom is heard once more
                twice = now - standing.since >= 2 * settle and not outlives(files, standing, now)
                return _exited(files, standing, asked) if twice else files
            waits = Unknown(f"{standing.words}; its outcome is waited for", standing.since)
            return _exited(files, standing, asked) if settled else waits
        case _:
            return files if _beats(files, now) else Unknown(standing.words, standing.since)


def outlives(files: WorkerView, standing: Standing, now: datetime) -> bool:
    """Whether the worker still beats though Slurm holds its job for ended: its node is cut off, and it works on. Nobody
    may take its place before it has ended."""
    over = standing.kind in {Kind.ENDED, Kind.GONE}
    return over and _beats(files, now) and isinstance(files, Running) and files.beat is not None \
        and files.beat.at >= standing.since.timestamp() + _LIFE


def _running(files: WorkerView) -> bool:
    return isinstance(files, Running)


def _beats(files: WorkerView, now: datetime) -> bool:
    return isinstance(files, Running) and files.beat is not None and now.timestamp() - files.beat.at < _FRESH


def _while_it_runs(files: WorkerView, standing: Standing, now: datetime) -> WorkerView:
    if isinstance(files, Missing):
        if files.started:
            return Unknown("Slurm runs the job, and its worker is not seen", now)
        place = f" on {standing.node}" if standing.node else ""
        return Waiting(f"Slurm has started the job{place}; its worker has not reported yet")
    return files


def _explained(files: Exited, standing: Standing, now: datetime) -> WorkerView:
    """A worker that ended in its own way did so, whatever became of its job; of one that a signal ended Slurm is heard
    first, for as long as it may take to learn of it."""
    by_signal = files.reason in _UNCLEAR or (files.reason == "process_exit" and files.signal is not None)
    if not by_signal:
        return files
    if standing.reason in _CAUSES or (standing.reason == "slurm_cancelled" and files.reason in _GUESSED):
        return replace(files, reason=standing.reason, words=standing.words)
    told = standing.kind in {Kind.ENDED, Kind.GONE, Kind.NEVER}
    if files.reason in _GUESSED and not told and abs(now.timestamp() - files.ended_at) < _TOLD_WITHIN:
        return Unknown("it has ended; Slurm has not said why yet", now)
    return files


def _exited(files: WorkerView, standing: Standing, asked: str) -> Exited:
    """The end of a job that left no outcome, as Slurm tells it."""
    started = not isinstance(files, Missing) or files.started
    own = "lost" if started else "launch_failed"
    reason = asked or standing.reason or ("killed" if standing.signal == 9 else own)
    return Exited(
        standing.code or None, standing.signal, reason, _last_words(standing),
        ended_at=standing.ended_at, max_rss_kb=standing.max_rss_kb,
        duration_sec=max(0.0, standing.ended_at - standing.started_at) if standing.started_at else 0.0,
    )


def _last_words(standing: Standing) -> str:
    how = f" with exit code {standing.code}" if standing.code else f" by signal {standing.signal}" \
        if standing.signal else ""
    left = "" if standing.kind is Kind.NEVER else "; it left no outcome"
    return f"{standing.words}{how}{left}"
