"""Where workers run, by the configuration: this machine alone, or with it the hosts and Slurm as one fleet."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from coordinator.app import Place, beat_seconds

if TYPE_CHECKING:
    from coordinator.adapters.executors.fleet import Closable
    from coordinator.adapters.executors.remote.link import Link
    from coordinator.config import Config
    from coordinator.config.sections import Host


def executor(where: Place, config: Config, environ: Mapping[str, str], wake: Callable[[str], None], *,
             background: bool) -> Closable:
    """`environ` holds no GitHub token. With `background` each host is looked at by a thread of its own."""
    from coordinator.adapters.executors.fleet import Fleet
    from coordinator.adapters.executors.local import LocalExecutor
    from coordinator.adapters.executors.remote.executor import Manner, RemoteExecutor
    from coordinator.adapters.system.clock import SystemClock

    local = LocalExecutor(where.jobs, wake, beat=beat_seconds(config), idle_cpu=config.workers.idle_cpu)
    if not config.hosts:
        return local
    tuning = {"beat_sec": f"{beat_seconds(config):g}", "soft_sec": "1", "idle_cpu": f"{config.workers.idle_cpu:g}",
              "cgroup": "1"}

    every = min(2.0, max(0.5, config.workers.stall.total_seconds() / 10))

    def remote(name: str, host: Host) -> RemoteExecutor:
        manner = Manner(shared=host.shared, every=every, tuning=tuning)
        return RemoteExecutor(name, link(where, name, host, environ), where.jobs, wake=wake, clock=SystemClock(),
                              ours=environ, manner=manner, background=background)

    return Fleet({"": local, **{name: remote(name, host) for name, host in config.hosts.items()}})


def link(where: Place, name: str, host: Host, environ: Mapping[str, str]) -> Link:
    """The line to a host's far end; its folder there is this repository's alone."""
    from coordinator.adapters.executors.remote.link import Link
    from coordinator.app.hosts import reach

    return Link(name, reach(host, environ), f"{host.workdir}/{home_of(where)}", host.python, host.path)


def home_of(where: Place) -> str:
    """A folder's name for this repository's work on a host, as no other repository of any other machine has it."""
    which = f"{socket.gethostname()}:{os.fspath(where.root)}".encode("utf-8", "surrogateescape")
    plain = "".join(char if char.isalnum() and char.isascii() else "-" for char in where.root.name).strip("-")
    return f"{plain[:32] or 'repository'}-{hashlib.sha256(which).hexdigest()[:8]}"
