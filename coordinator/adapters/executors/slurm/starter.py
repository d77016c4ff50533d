"""Slurm as what starts wrappers: the far end lays their papers, sbatch takes them, and what the queue says of a job and
what its files say are one view.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.script import PREFIX, Order, Wishes
from coordinator.adapters.executors.slurm.states import Kind, Standing
from coordinator.adapters.executors.slurm.view import SETTLE, judged, outlives
from coordinator.domain.worker import Exited, Missing, Unknown, WorkerView
from coordinator.ports import Away, Handle, LaunchSpec, StopOrder
from coordinator.runfiles import codec

WARNS = "USR1:slurm_timeout,TERM:slurm_preempted"
"""What Slurm's signals mean to the wrapper, in the words of its spec."""
JOB = "slurm_job"
"""Key of meta and heartbeat: the job's id."""


class SlurmStarter:
    """`remote.starters.Starter`."""

    def __init__(self, queue: Queue, wishes: Wishes, settle: timedelta = SETTLE) -> None:
        self._queue, self._wishes, self._settle = queue, wishes, settle
        self._standings: Mapping[str, Standing] = {}
        self._away = ""
        self._away_since: datetime | None = None
        self._strays: dict[str, StopOrder] = {}

    def start(self, mirror: Mirror, spec: LaunchSpec, folder: Path, wrapper: Sequence[str]) -> None:
        job = spec.handle.job
        job_id = self._queue.submit(Order(PREFIX + job, spec.handle.token, str(folder), f"{folder}/{job}.err",
                                          (*wrapper, "--env"), self._wishes))
        mirror.mark({JOB: job_id})

    def ask(self, mirrors: Sequence[Mirror]) -> None:
        """A controller that is away hides no worker whose heartbeat is seen: it is not raised."""
        ids, self._away = {}, ""
        for mirror in mirrors:
            try:
                ids[mirror.handle.token] = self._id(mirror)
            except Away as away:
                self._away = away.words
        told = self._queue.look(one for one in ids.values() if one)
        self._standings = {token: told[one] for token, one in ids.items() if one}

    def judged(self, mirror: Mirror, view: WorkerView, now: datetime) -> WorkerView:
        standing = self._standings.get(mirror.handle.token)
        self._away_since = (self._away_since or now) if self._away else None
        if standing is None:   # whether it was submitted at all only the controller knows
            return Unknown(self._away, self._away_since) if self._away_since and isinstance(view, Missing) else view
        if outlives(view, standing, now):
            self._strays[mirror.handle.token] = StopOrder(standing.reason or "lost", standing.words, hard=True)
        else:
            self._strays.pop(mirror.handle.token, None)
        found = judged(view, standing, now, asked=mirror.pairs("stop").get("reason", ""),
                       settle=self._settle)
        if standing.kind is Kind.NEVER and isinstance(found, Exited):
            self._queue.cancel([self._id(mirror)], hard=False)   # or it would wait for ever
        return found

    def order(self, mirror: Mirror) -> StopOrder | None:
        return self._strays.get(mirror.handle.token)

    def stop(self, mirror: Mirror, order: StopOrder) -> None:
        job_id = self._id(mirror) or self._queue.find(mirror.handle.token)
        if job_id:
            self._queue.cancel([job_id], hard=order.hard)

    def live(self, known: Sequence[Handle]) -> tuple[Handle, ...]:
        """All of them while the controller is away: no sign of a worker is taken for its end."""
        try:
            waiting = {token for _, token in self._queue.ours()}
        except Away:
            return tuple(known)
        return tuple(handle for handle in known if handle.token in waiting)

    def _id(self, mirror: Mirror) -> str:
        """Told by the wrapper, for of two jobs with one token only one began it; noted when it was submitted; else what
        Slurm has with this comment."""
        noted = mirror.pairs("heartbeat").get(JOB) or mirror.pairs("meta").get(JOB, "")
        if not codec.whole(noted):
            noted = self._queue.find(mirror.handle.token) or ""
            if noted:
                mirror.mark({JOB: noted})
        return noted
