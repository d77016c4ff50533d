"""Which tasks or jobs are one batch, and how a person names it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace

from coordinator.domain.slurmjob import Cluster

PREFIX, LABEL, PLAN = "prefix", "label", "plan"
KINDS = (PREFIX, LABEL, PLAN)
SLURM = "slurm"
"""Jobs of a cluster, whoever submitted them. It takes more than a name to say which."""
HERE = "here"
"""The word for the Slurm of this machine, as `--host` takes it."""


@dataclass(frozen=True)
class Scope:
    """`place` is where its members are found: a folder of run files, or a repository. `log_dir` is the option a folder
    was named by, "" for the usual one. `cluster` says which jobs of Slurm are meant, for that kind alone; `more` are
    further options that were given to reach it."""

    kind: str
    name: str
    place: str = ""
    log_dir: str = ""
    cluster: Cluster | None = None
    more: str = ""

    @property
    def key(self) -> str:
        """`prefix:bd-`, as `wait --batch` takes it."""
        return f"{self.kind}:{self.name}"

    @property
    def by_hand(self) -> bool:
        """Jobs that a person started; the others are tasks of a coordinator."""
        return self.kind in (PREFIX, SLURM)

    @property
    def options(self) -> str:
        """As they are typed behind a command."""
        if self.cluster is not None:
            return " ".join(one for one in (_of_cluster(self.cluster), self.more) if one)
        given = f" --log-dir {shlex.quote(self.log_dir)}" if self.log_dir else ""
        return f"--{self.kind} {shlex.quote(self.name)}{given}"

    def command(self, words: str) -> str:
        """`words` are those behind `batch`, such as `status`."""
        return f"coordinator batch {words} {self.options}"

    def job_command(self, word: str, job: str) -> str:
        """The same of one job of a prefix: `report`, `tail`, `diagnose`. Of Slurm's jobs its own books tell, where they
        are; from elsewhere a status of that one."""
        if self.cluster is not None and self.cluster.host:
            return slurm_scope(replace(self.cluster, ids=(job,))).command("status")
        if self.cluster is not None:
            return f"sacct -j {shlex.quote(job)} --format=JobID,State,ExitCode,Elapsed,MaxRSS,NodeList"
        given = f" --log-dir {shlex.quote(self.log_dir)}" if self.log_dir else ""
        return f"coordinator job {word} --beads {shlex.quote(job)}{given}"


def slurm_scope(cluster: Cluster) -> Scope:
    """Another batch for each user, host and choice of jobs, and for each project that looks at them."""
    return Scope(SLURM, f"{cluster.user}@{cluster.host or HERE}:{cluster.words}", cluster.root, cluster=cluster)


def _of_cluster(cluster: Cluster) -> str:
    which = ("--jobs", ",".join(cluster.ids)) if cluster.ids else ("--prefix", cluster.prefix)
    pairs = (which, ("--user", cluster.user), ("--host", cluster.host or HERE))
    return " ".join(["--slurm", *(f"{name} {shlex.quote(value)}" for name, value in pairs if value)])


def parse_key(text: str) -> tuple[str, str]:
    """(kind, name) of a key. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in KINDS or not name:
        raise ValueError(f"{text!r} is no batch: prefix:P, label:L or plan:P")
    return kind, name
