"""Brings outputs of a cluster's jobs here as soon as these end; what could not be brought is tried at every look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.adapters.executors.bringing import Bringing, Brought, NotBrought
from coordinator.adapters.executors.ssh import Unreachable
from coordinator.planning.cluster.syncing import Errand, Rule, errands

if TYPE_CHECKING:
    from coordinator.app.slurm_watch import ClusterBatch
    from coordinator.planning.batch.journal import Journal


@dataclass(frozen=True)
class Synced:
    """One folder: in words what came, or what kept it from coming."""

    words: str
    ok: bool


@dataclass
class Sync:
    """`here` is where relative places on this side begin."""

    batch: ClusterBatch
    rules: Sequence[Rule]
    here: Path
    bringing: Bringing

    def run(self) -> list[Synced]:
        """What there is to bring now. Nothing is asked of Slurm."""
        waiting = errands(self.rules, self.batch.ask.known.values(), self.batch.memory.read().synced)
        told, failed = [], set[str]()
        for one in waiting:
            found = self._bring(one)
            told.append(found)
            if not found.ok:
                failed.update(one.jobs)
        done = tuple(dict.fromkeys(name for one in waiting for name in one.jobs if name not in failed))
        if done:
            self.batch.memory.change(lambda before: _with(before, done))
        return told

    @property
    def left(self) -> list[str]:
        """Ids of jobs that are over and whose outputs are not here."""
        waiting = errands(self.rules, self.batch.ask.known.values(), self.batch.memory.read().synced)
        return list(dict.fromkeys(name for one in waiting for name in one.jobs))

    def _bring(self, one: Errand) -> Synced:
        local = Path(self.here, one.local)
        try:
            found = self.bringing.bring(one.remote, local)
        except (NotBrought, Unreachable) as error:
            return Synced(f"not brought, tried again: {one.remote}: {error.words}", ok=False)
        except OSError as error:
            return Synced(f"not brought, tried again: {local}: {error.strerror or error}", ok=False)
        return Synced(_words(found, one, local), ok=True)


def _words(found: Brought, one: Errand, local: Path) -> str:
    jobs = one.jobs[0] if len(one.jobs) == 1 else f"{len(one.jobs)} jobs"
    what = f"{found.files} files, {found.size} bytes" if found.files else "nothing new"
    return f"brought to {local} for {jobs}: {what}"


def _with(journal: Journal, done: Sequence[str]) -> Journal:
    return replace(journal, synced=tuple(dict.fromkeys((*journal.synced, *done))))


def sync_of(batch: ClusterBatch, rules: Sequence[Rule], here: Path, environ: Mapping[str, str]) -> Sync:
    from coordinator.app.jobs import configuration

    config, host = configuration(environ), batch.scope.cluster.host if batch.scope.cluster is not None else ""
    known = config.hosts.get(host)
    address = known.address if known is not None else host
    words = known.ssh if known is not None else ("ssh",)
    return Sync(batch, rules, here, Bringing(batch.ask.reach, batch.ask.reach.env, address=address, ssh=words))
