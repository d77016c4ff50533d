"""Which folders of a cluster are brought here for which jobs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coordinator.domain.slurmjob import Phase, SlurmJob
from coordinator.planning.cluster.resubmission import fill


@dataclass(frozen=True)
class Rule:
    """`remote` lies in the job's folder unless it is absolute, `local` where one stands; both may hold {places}."""

    remote: str
    local: str


@dataclass(frozen=True)
class Errand:
    """One folder to be brought, for all these jobs at once."""

    remote: str
    local: str
    jobs: tuple[str, ...]


def rule(text: str) -> Rule:
    """`REMOTE:LOCAL`. Raises ValueError."""
    remote, colon, local = text.partition(":")
    if not colon or not remote or not local:
        raise ValueError(f"{text!r} is not REMOTE:LOCAL: a folder on the cluster, and one here")
    probe = SlurmJob("1", "x", "x", Phase.OVER, "COMPLETED")
    fill(remote, probe)
    fill(local, probe)
    return Rule(remote.rstrip("/") or "/", local)


def errands(rules: Sequence[Rule], jobs: Iterable[SlurmJob], done: Iterable[str]) -> list[Errand]:
    """For jobs that are over and whose outputs were not brought yet; a folder that many share is brought once."""
    known, found = set(done), dict[tuple[str, str], list[str]]()
    for job in jobs:
        if job.phase is Phase.OVER and job.id not in known:
            for one in rules:
                if pair := _pair(one, job):
                    found.setdefault(pair, []).append(job.id)
    return [Errand(remote, local, tuple(ids)) for (remote, local), ids in found.items()]


def _pair(given: Rule, job: SlurmJob) -> tuple[str, str] | None:
    """None where the job's folder is not known, or a job's name would lead elsewhere."""
    remote, local = fill(given.remote, job, _one_name), fill(given.local, job, _one_name)
    if not remote.startswith("/"):
        remote = f"{job.workdir}/{remote}" if job.workdir else ""
    return (remote, local) if remote else None


def _one_name(value: str) -> str:
    """As one name of a file: no job's name climbs out of a folder."""
    made = re.sub(r"[^\w.,@+=-]", "_", value)
    return "_" if made in ("", ".", "..") else made
