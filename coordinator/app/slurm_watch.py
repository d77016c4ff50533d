"""Builder for batches of Slurm's jobs, whoever submitted them: which are meant, how they are reached, what is read."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from coordinator.app.batches import JournalFile, bands_of
from coordinator.app.slurm_watch_asking import Blocked, Patience
from coordinator.app.slurm_watch_poll import NoJobs, Poll, Refused
from coordinator.config.rooting import find_root
from coordinator.domain.slurmjob import Cluster, Phase, SlurmJob
from coordinator.engine.batches.batch import Batch, Files
from coordinator.planning.batch.scope import Scope, slurm_scope
from coordinator.planning.cluster import finding
from coordinator.planning.cluster.finding import Around, Fact, Typed, Unclear, Wrong, told
from coordinator.planning.cluster.members import expanded

if TYPE_CHECKING:
    from coordinator.adapters.executors.reach import Reach
    from coordinator.config import Config
    from coordinator.planning.cluster.syncing import Rule

__all__ = ["Blocked", "Choice", "ClusterBatch", "Fact", "NoJobs", "NoTools", "Patience", "Refused", "Settled", "Typed",
           "Unclear", "Wrong", "batch_of", "rules_of", "settle", "told"]

TOOLS = ("squeue", "sacct", "scontrol", "scancel", "sbatch")
WANTED = frozenset({"squeue"})
"""Without it nothing can be seen; what else is missing is said, and done without."""
_T = TypeVar("_T")
Answer = Callable[[Unclear], str]
"""Asks a person. Raises where there is none."""


@dataclass(frozen=True)
class Choice:
    """What a person typed about how the cluster is reached."""

    typed: Typed
    via: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """Which jobs are meant, how they are reached, and all that was confirmed on the way; `tools` are those there."""

    cluster: Cluster
    reach: Reach
    facts: Mapping[str, Fact]
    tools: frozenset[str]

    @property
    def scope(self) -> Scope:
        return slurm_scope(self.cluster)


class NoTools(Exception):
    """The words say which program is missing where."""


def settle(choice: Choice, config: Config, environ: Mapping[str, str], answer: Answer, patience: Patience) -> Settled:
    """Finds out everything that names the batch, asking `answer` for what is unclear. Raises Wrong, NoTools, Blocked,
    and whatever `answer` raises."""
    around, typed = _around(config, environ), choice.typed
    project, typed = _clear(finding.project_of, typed, around, answer)
    host, typed = _clear(finding.host_of, typed, around, answer)
    via = choice.via or config.batch.via
    reach = _reach(host.value, config, environ, _wrapper(via, around))
    login, tools = _who_is_there(reach, patience)
    address = _address(host.value, config)

    def user_of(given: Typed, known: Around) -> Fact:
        return finding.user_of(given, known, address, login)

    user, typed = _clear(user_of, typed, around, answer)
    (prefix, ids, source), _ = _clear(lambda given, _: finding.jobs_of(given, project.value), typed, around, answer)
    cluster = Cluster(user.value, host.value, prefix, ids, project.value, around.root or around.cwd)
    missing = [one for one in TOOLS if one not in tools] if not via else []
    if not via and not tools >= WANTED:
        raise NoTools(f"there is no {' and no '.join(sorted(WANTED - tools))} on {host.value or 'this machine'}")
    known = {
        "project_name": project, "project_root": Fact(cluster.root, ""), "branch": Fact(_branch(around, environ), ""),
        "cwd": Fact(around.cwd, ""), "cluster_host": Fact(host.value or "this machine", host.source),
        "cluster_user": user, "job_prefix": Fact(prefix, source), "job_ids": Fact(",".join(ids), source),
        "via": Fact(shlex.join(via), "--via" if choice.via else "batch.via"),
        "tools": Fact(" ".join(one for one in TOOLS if one in tools), ""), "missing": Fact(" ".join(missing), ""),
    }  # fmt: skip
    return Settled(cluster, reach, known, tools)


def _clear(
    find: Callable[[Typed, Around], _T], typed: Typed, around: Around, answer: Answer
) -> tuple[_T, Typed]:
    """What `find` finds, and what was typed with what was answered meanwhile."""
    while True:
        try:
            return find(typed, around), typed
        except Unclear as unclear:
            name = unclear.option.removeprefix("--")
            typed = replace(typed, **{name: answer(unclear)})


def _around(config: Config, environ: Mapping[str, str]) -> Around:
    from coordinator.adapters.system.probe import SystemProbe

    here = Path.cwd()
    root = find_root(here)
    hosts = {name: one.address for name, one in config.hosts.items()}
    default = next((name for name, one in config.hosts.items() if one.default), "")
    return Around(str(here), str(root or ""), hosts, config.slurm.login, default, config.slurm.user,
                  reads=SystemProbe(environ).which("squeue") is not None)  # fmt: skip


def _reach(host: str, config: Config, environ: Mapping[str, str], via: tuple[str, ...]) -> Reach:
    from coordinator.adapters.executors.reach import Reach
    from coordinator.adapters.executors.ssh import NEVER_SENT, Ssh, control_folder

    quiet = {name: value for name, value in environ.items() if name not in NEVER_SENT}   # sbatch hands all of it on
    if not host:
        return Reach(quiet, None, via)
    words = config.hosts[host].ssh if host in config.hosts else ("ssh",)
    return Reach(quiet, Ssh(_address(host, config), words, control_folder(environ), environ), via)


def _address(host: str, config: Config) -> str:
    """Of a name of [hosts] its address; anything else is one."""
    return config.hosts[host].address if host in config.hosts else host


def _wrapper(via: tuple[str, ...], around: Around) -> tuple[str, ...]:
    """A relative one belongs to the project, wherever one stands in it."""
    if via and "/" in via[0] and not via[0].startswith(("/", "~")):
        return (str(Path(around.root or around.cwd, via[0])), *via[1:])
    return (str(Path(via[0]).expanduser()), *via[1:]) if via else ()


def _who_is_there(reach: Reach, patience: Patience) -> tuple[str, frozenset[str]]:
    """(user, tools on PATH) on the cluster's side. Raises Blocked."""
    script = "id -un; " + "; ".join(f"command -v {one} >/dev/null 2>&1 && echo {one}" for one in TOOLS) + "; :"
    said = patience.over(lambda: reach.script(script)).out.splitlines()
    return (said[0].strip() if said else ""), frozenset(one for one in said[1:] if one in TOOLS)


def _branch(around: Around, environ: Mapping[str, str]) -> str:
    """"" outside a repository; the short name of a commit where no branch is checked out."""
    from coordinator.adapters.system.run import run
    from coordinator.runfiles.gitsafe import hardened_env

    for words in (("symbolic-ref", "--quiet", "--short", "HEAD"), ("rev-parse", "--short", "HEAD")):
        ran = run(("git", "-C", around.cwd, *words), env=hardened_env(environ), timeout=10)
        if around.root and ran.ok:
            return ran.out.strip()
    return ""


@dataclass(frozen=True)
class ClusterBatch(Batch):
    """With the way to its cluster, for those who do something about its jobs."""

    poll: Poll | None = None

    @property
    def ask(self) -> Poll:
        assert self.poll is not None
        return self.poll


def batch_of(
    settled: Settled, config: Config, environ: Mapping[str, str], patience: Patience, since: timedelta,
    say: Callable[[str], None], expect: tuple[str, ...] = (),
) -> ClusterBatch:  # fmt: skip
    """The batch, with nothing asked yet; what was confirmed is written down with it at the first look. Raises Wrong for
    an expectation that cannot be read."""
    from coordinator.app import now
    from coordinator.runfiles.masking import Masker, secrets_in

    memory = JournalFile(settled.scope, environ, finding.plain(settled.facts))
    mask = Masker(secrets_in(environ)).text
    poll = Poll(settled.reach, settled.cluster, patience, memory.read, now, since, mask, say,
                expect=_readable(expect or config.batch.expect))  # fmt: skip
    return ClusterBatch(settled.scope, poll.find, memory, bands_of(config), now, files=lambda: _files(poll.known),
                        poll=poll)  # fmt: skip


def _readable(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Raises Wrong."""
    from coordinator.planning.cluster import artefacts

    some = SlurmJob("1", "x", "x", Phase.OVER, "COMPLETED", workdir="/")
    for one in patterns:
        try:
            artefacts.place(one, some)
        except ValueError as wrong:
            raise Wrong(f"--expect {one!r}: {wrong}") from wrong
    return patterns


def rules_of(given: Sequence[str], config: Config) -> tuple[Rule, ...]:
    """What is to be brought here; raises Wrong."""
    from coordinator.planning.cluster.syncing import rule

    try:
        return tuple(rule(one) for one in (given or config.batch.sync))
    except ValueError as wrong:
        raise Wrong(f"--sync {wrong}") from wrong


def _files(jobs: Mapping[str, SlurmJob]) -> dict[str, Files]:
    return {name: Files(log=expanded(job.stdout, job)) for name, job in jobs.items()}
