"""What a configuration says of walls around workers, and whether this host can keep it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from coordinator.config import Config
    from coordinator.domain.walls import Cell, Walls
    from coordinator.engine.world import Sandbox
    from coordinator.ports import Command


def sandbox_of(config: Config, environ: Mapping[str, str]) -> Sandbox:
    """The walls that workers of this host get from a coordinator with this environment."""
    from coordinator.adapters.system import bubblewrap
    from coordinator.engine.world import Sandbox

    workers = config.workers
    must = workers.sandbox == "bwrap"
    if missing(config)[0]:
        return Sandbox(must=must)
    network, proxy = workers.network == "on", workers.network.partition("://")[2]
    read, write = ([Path(one).expanduser() for one in given] for given in (workers.sandbox_read, workers.sandbox_write))
    secret = tuple(_secret(config, environ))

    def around(cell: Cell, command: Command, files: Sequence[Path]) -> Walls:
        return bubblewrap.around(cell, argv=command.argv, environ=command.env, own=command.own, read=(*read, *files),
                                 write=write, secret=secret, network=network, proxy=proxy)

    return Sandbox(around, must)


def _secret(config: Config, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where a coordinator is told its secrets, and where it keeps what it knows of other work."""
    from coordinator.app.faces import state_home
    from coordinator.config.rooting import user_file
    from coordinator.runfiles.masking import names_token_file

    named = [path for name, path in environ.items() if path and names_token_file(name)]
    named += [section.op_token_file for section in config.providers.values() if section.op_token_file]
    home = environ.get("HOME", "")
    yield from (Path(home, path[2:]) if path.startswith("~/") else Path(path) for path in named)
    yield state_home(environ) / "coordinator"
    own = user_file(environ)
    if own is not None:
        yield own.parent


def missing(config: Config) -> tuple[str, str]:
    """(why workers of this host have no walls, what to do about it), ("", "") where they have."""
    from coordinator.adapters.system import bubblewrap

    if config.workers.sandbox == "off":
        return "off in the configuration", 'sandbox = "auto" under [workers]'
    return bubblewrap.trouble(network=config.workers.network == "on")


def check_walls(config: Config) -> None:
    """Raises ConfigError for an order that cannot be kept: nothing is started with less than was asked for."""
    from coordinator.config import ConfigError

    workers = config.workers
    why, cure = missing(config)
    ordered = f'workers.network = "{workers.network}"'
    ordered = 'workers.sandbox = "bwrap"' if workers.sandbox == "bwrap" else ordered
    if workers.sandbox != "bwrap" and workers.network == "on":
        return
    if why:
        raise ConfigError(f"{ordered} cannot be kept: {why}", f"To have it: {cure}. Nothing was started.")
    elsewhere = _elsewhere(config)
    if elsewhere:
        raise ConfigError(f"{ordered} cannot be kept on {elsewhere}: walls are put up on this host alone",
                          'Let those take no tasks, or write sandbox = "auto" and network = "on".')


def _elsewhere(config: Config) -> str:
    """Where else than here tasks may go; ""."""
    from coordinator.app.executors import uses_slurm

    ssh = config.workers.executor == "ssh"
    hosts = [name for name, host in config.hosts.items() if host.enabled and (ssh or host.labels)]
    return ", ".join([*hosts, *(["Slurm"] if uses_slurm(config) else [])])


def words(config: Config) -> str:
    """One part of the line that a start says."""
    why, cure = missing(config)
    if why:
        because = "" if config.workers.sandbox == "off" else f" ({why}: {cure})"
        return f"sandbox off: agents run with your rights{because}"
    network = config.workers.network
    reach = {"on": "", "off": ", no network"}.get(network, f", network by {network} alone")
    elsewhere = _elsewhere(config)
    return f"sandbox bwrap{reach}" + (f"; sandbox off on {elsewhere}" if elsewhere else "")
