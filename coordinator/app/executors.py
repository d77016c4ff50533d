"""Where workers run, by the configuration: this machine alone, or with it the hosts and Slurm as one fleet."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app import Place, beat_seconds
from coordinator.domain.worker import SLURM

if TYPE_CHECKING:
    from coordinator.adapters.executors.fleet import Closable
    from coordinator.adapters.executors.remote.link import Link
    from coordinator.adapters.executors.remote.starters import Starter
    from coordinator.adapters.executors.slurm.queue import Queue, Run
    from coordinator.adapters.executors.slurm.script import Wishes
    from coordinator.adapters.executors.slurm.starter import SlurmStarter
    from coordinator.config import Config
    from coordinator.config.sections import Host


def executor(where: Place, config: Config, environ: Mapping[str, str], wake: Callable[[str], None], *,
             looks: str) -> Closable:
    """`environ` holds no GitHub token. `looks`: when other hosts are asked: thread, due, never."""
    from coordinator.adapters.executors.fleet import Fleet
    from coordinator.adapters.executors.local import LocalExecutor

    local = LocalExecutor(where.jobs, wake, beat=beat_seconds(config), idle_cpu=config.workers.idle_cpu)
    slurm = uses_slurm(config)

    def stranger(name: str) -> Closable:
        return _stranger(where, name, environ, wake, looks)

    if not config.hosts and not slurm:
        return Fleet({"": local}, stranger)
    from coordinator.adapters.executors.remote.executor import Looks, Manner, RemoteExecutor
    from coordinator.adapters.executors.slurm.starter import WARNS
    from coordinator.adapters.system.clock import SystemClock
    from coordinator.app.hosts import gates

    if looks != Looks.NEVER:
        _note_home(where)
    tuning = {"beat_sec": f"{beat_seconds(config):g}", "soft_sec": "1", "idle_cpu": f"{config.workers.idle_cpu:g}",
              "cgroup": "1"}
    every = min(2.0, max(0.5, config.workers.stall.total_seconds() / 10))
    keep = config.retention.run_files.total_seconds()
    idle = min(30.0, max(every, config.workers.lease.total_seconds() / 4))   # a short lease is for who wants to know

    def idle_for_good(name: str) -> bool:
        """Whether no task can come there as things stand: then it is left in peace."""
        host = config.hosts.get(name)
        if host is None:
            return False
        return (config.workers.executor != "ssh" and not host.labels) or bool(gates(config, environ)[name])

    def remote(name: str, line: Link, manner: Manner, starter: Starter | None = None) -> RemoteExecutor:
        return RemoteExecutor(name, line, where.jobs, wake=wake, clock=SystemClock(), ours=environ, manner=manner,
                              looks=Looks(looks), shut=lambda: idle_for_good(name), starter=starter)

    members: dict[str, Closable] = {"": local}
    for name, host in config.hosts.items():
        manner = Manner(shared=host.shared, every=every, idle=idle, keep=keep, tuning=tuning)
        members[name] = remote(name, link(where, name, host, environ), manner)
    if slurm:
        manner = Manner(SLURM, config.slurm.shared, every, idle, keep=keep,
                        tuning={**tuning, "warn": WARNS, "keep_sec": "30"})
        members[SLURM] = remote(SLURM, slurm_link(where, config, environ), manner, starter_of(config, environ))
    return Fleet(members, stranger)


def _stranger(where: Place, name: str, environ: Mapping[str, str], wake: Callable[[str], None], looks: str) -> Closable:
    """A host that still has workers of ours and is not in the configuration any more: nobody can be asked there, and
    when the lease is over its workers are given up."""
    from coordinator.adapters.executors.remote.executor import Looks, RemoteExecutor
    from coordinator.adapters.executors.remote.link import Link, Nowhere
    from coordinator.adapters.system.clock import SystemClock

    words = f"there is no host {name!r} in the configuration any more: put it back to have its workers again"
    return RemoteExecutor(name, Link(name, Nowhere(words), "", ""), where.jobs, wake=wake, clock=SystemClock(),
                          ours=environ, looks=Looks(looks))


def uses_slurm(config: Config) -> bool:
    """Whether any task may be given to Slurm."""
    return config.workers.executor == "slurm" or bool(config.slurm.labels)


def starter_of(config: Config, environ: Mapping[str, str]) -> SlurmStarter:
    """Slurm's queue as this repository uses it."""
    from coordinator.adapters.executors.slurm.starter import SlurmStarter

    return SlurmStarter(queue_of(config, commands(config, environ)), wishes_of(config))


def wishes_of(config: Config) -> Wishes:
    from coordinator.adapters.executors.slurm.script import Wishes

    section = config.slurm
    return Wishes(
        section.partition, section.account, section.qos, section.time, section.mem, section.cpus, section.gres,
        tuple(section.args), tuple(section.path), int(section.warning.total_seconds()))


def queue_of(config: Config, run: Run) -> Queue:
    """What asks Slurm and submits to it by these commands."""
    from coordinator.adapters.executors.slurm.queue import Queue
    from coordinator.app import now

    return Queue(run, now, config.slurm.poll)


def commands(config: Config, environ: Mapping[str, str]) -> Run:
    """Slurm's commands, on this machine or the login host. Raises Away."""
    from coordinator.adapters.executors.reach import Reach
    from coordinator.adapters.executors.ssh import Unreachable
    from coordinator.adapters.system.run import Ran
    from coordinator.app.hosts import reach
    from coordinator.ports import Away

    login = config.slurm.login
    place = Reach(environ, reach(config.hosts[login], environ) if login else None)

    def run(argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        try:
            said = place.run(argv, stdin.encode("utf-8", "surrogateescape"), timeout)
        except Unreachable as error:
            raise Away(error.words) from error
        return Ran(said.code, said.out, said.err)

    return run


def slurm_link(where: Place, config: Config, environ: Mapping[str, str]) -> Link:
    """The line to where sbatch is run: the login host, or this machine with a folder of ours."""
    from coordinator.adapters.executors.remote.link import Here, Link

    section = config.slurm
    if section.login:
        host = config.hosts[section.login]
        folder = f"{section.workdir or host.workdir}/{home_of(where)}"
        return link(where, SLURM, host, environ, folder, section.python or host.python, section.path or host.path)
    folder = f"{section.workdir}/{home_of(where)}" if section.workdir else str(where.home / SLURM)
    return Link(SLURM, Here(environ), folder, section.python or os.path.realpath(sys.executable), section.path)


def link(where: Place, name: str, host: Host, environ: Mapping[str, str], folder: str = "", python: str = "",
         path: Sequence[str] = ()) -> Link:
    """The line to a host's far end; its folder there is this repository's alone. The last three are the host's own
    where they are not given."""
    from coordinator.adapters.executors.remote.link import Link
    from coordinator.app.hosts import reach

    return Link(name, reach(host, environ), folder or f"{host.workdir}/{home_of(where)}", python or host.python,
                path or host.path)


def home_of(where: Place) -> str:
    """A folder's name for this repository's work on a host, as no other repository of any other machine has it. It
    stays as it was first: machines are given other names, and workers are found by it."""
    from coordinator.runfiles import atomic
    from coordinator.runfiles.names import check_name

    try:
        return check_name((atomic.read(str(_noted(where))) or b"").decode("ascii").strip())
    except (OSError, ValueError):
        return _fresh_home(where)


def _noted(where: Place) -> Path:
    return where.home / "hosts-folder"


def _note_home(where: Place) -> None:
    from coordinator.adapters.system.seam import crossing
    from coordinator.runfiles import atomic

    name, noted = home_of(where), _noted(where)
    if not noted.exists() and where.home.is_dir():
        with suppress(OSError), crossing("file", str(noted)):   # a disk that is full now is said elsewhere
            atomic.write(str(noted), f"{name}\n".encode("ascii"))


def _fresh_home(where: Place) -> str:
    which = f"{socket.gethostname()}:{os.fspath(where.root)}".encode("utf-8", "surrogateescape")
    plain = "".join(char if char.isalnum() and char.isascii() else "-" for char in where.root.name).strip("-")
    return f"{plain[:32] or 'repository'}-{hashlib.sha256(which).hexdigest()[:8]}"
