"""The composition root: the only room that names concrete adapters. Imports stand inside the builders.

Reading commands use `Place` alone and import none of the heavy packages.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.app.credentials import NoToken, github_token, take_in, token_or_none, without_tokens

if TYPE_CHECKING:
    from datetime import datetime

    from coordinator.adapters.git.repository import GitRepository
    from coordinator.adapters.github import GitHubClient
    from coordinator.adapters.system.instance import InstanceLock
    from coordinator.app.renewing import Token
    from coordinator.config import Config
    from coordinator.engine.runner import Runner
    from coordinator.engine.wakes import Wakes
    from coordinator.engine.world import Options, Site, World
    from coordinator.planning.policy import Policy
    from coordinator.ports import GitHub, Notifier, Provider, Settings, Store


__all__ = ["NoToken", "github_token", "take_in", "token_or_none"]

API_URL = "https://api.github.com"


class NoRepository(Exception):
    """The command needs a repository, and stands in none or in another than it is known to be."""


@dataclass(frozen=True)
class Place:
    """Where the files of a managed repository lie. Nothing is opened."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / ".coordinator"

    @property
    def board(self) -> Path:
        return self.home / "board.json"

    @property
    def lock(self) -> Path:
        return self.home / "lock"

    @property
    def store(self) -> Path:
        return self.home / "state.db"

    @property
    def jobs(self) -> Path:
        return self.home / "jobs"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def config(self) -> Path:
        return self.root / "coordinator.toml"


def place(start: Path | None = None) -> Place:
    """The repository that `start` (else the working directory) lies in. Raises NoRepository."""
    from coordinator.config.rooting import find_root

    here = start or Path.cwd()
    root = find_root(here)
    if root is None:
        raise NoRepository(f"{here} is in no git repository: change into one, then `coordinator init`")
    return Place(root)


def configuration(where: Place, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Config:
    """The configuration in force. Raises ConfigError."""
    from coordinator.config import load

    return load(settings if (settings := _settings_of(where)).exists() else None, environ, overrides)


def _settings_of(where: Place) -> Path:
    """The file of settings: for a plan's own place that of its first repository."""
    if where.root.parent.name != "plans" or where.config.exists():
        return where.config
    from coordinator.app.plans import home_of, stored

    under = stored(where)
    return Place(home_of(under)).config if under is not None else where.config


def provider_settings(config: Config) -> dict[str, Settings]:
    """Each provider's settings as coordinator.toml has them."""
    from coordinator.ports import Settings

    return {
        name: Settings(
            model=section.model,
            max_turns=section.max_turns,
            args=tuple(section.args),
            argv=tuple(section.argv),
            environment=tuple(section.environment),
            tools=tuple(section.tools),
            binary=section.binary,
            op_token_file=section.op_token_file,
            op_legacy_names=tuple(section.op_legacy_names),
        )
        for name, section in config.providers.items()
    }


def providers() -> dict[str, Provider]:
    from coordinator.adapters.providers import PROVIDERS, provider

    return {name: provider(name) for name in PROVIDERS}


def provider_names() -> tuple[str, ...]:
    from coordinator.adapters.providers import PROVIDERS

    return tuple(PROVIDERS)


def notifier(environ: Mapping[str, str]) -> Notifier:
    """What reaches people at the addresses of `[notify]`."""
    from coordinator.adapters.notify.addresses import AppriseNotifier
    from coordinator.adapters.system.probe import SystemProbe

    return AppriseNotifier(SystemProbe({}), environ)


def open_store(where: Place) -> Store:
    """The memory of this repository. Raises NewerSchema, StoreError."""
    from coordinator.adapters.store import SqlStore

    where.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return SqlStore(where.store)


def instance_lock(where: Place) -> InstanceLock:
    from coordinator.adapters.system.instance import InstanceLock

    return InstanceLock(where.lock)


def wake_daemon(where: Place) -> bool:
    """Wakes the coordinator that holds this repository; False when there is none."""
    from coordinator.adapters.system.instance import wake

    return wake(where.lock)


def daemon_pid(where: Place) -> int:
    """The living coordinator of this repository; 0 without one."""
    from coordinator.adapters.system.instance import holder

    return holder(where.lock)


def git_repository(where: Place, config: Config, token: Callable[[], str] | None) -> GitRepository:
    """The repository here. With a token it is spoken to by http at the API's own host, whatever the remote says: a
    daemon has no agent with ssh keys, and a worker can change the remote's address to have the token sent there."""
    from coordinator.adapters.git.repository import GitRepository
    from coordinator.adapters.github.addresses import clone_url

    def made(**addresses: str) -> GitRepository:
        return GitRepository(
            where.root,
            worktree_root=config.worktree.root,
            token=token,
            identity={"name": "Coordinator", "email": "coordinator@localhost"},
            default_branch=config.repository.base,
            ca_bundle=config.repository.ca_bundle,
            proxy=config.repository.proxy,
            **addresses,
        )

    repo, api, fork = made(), config.repository.api_url or API_URL, config.repository.fork
    name = config.repository.name or repo.full_name
    url = clone_url(api, name) if token is not None and not repo.by_path and name else ""
    return made(url=url, push_url=clone_url(api, fork) if fork else "") if url or fork else repo


def checkout_lines(where: Place, config: Config) -> tuple[str, ...]:
    """What the clone here lacks, said at the start. Raises GitError."""
    words, cure = git_repository(where, config, None).lacks
    return (f"{words} ({cure})",) if words else ()


def github_client(config: Config, name: str, token: Callable[[], str]) -> GitHubClient:
    from coordinator.adapters.github import GitHubClient
    from coordinator.adapters.system.clock import SystemClock
    from coordinator.domain.labels import PREFIXES, Spelling

    return GitHubClient(
        name,
        token=token,
        api_url=config.repository.api_url or API_URL,
        timeout=30.0,
        reserve=config.poll.reserve,
        ca_bundle=config.repository.ca_bundle or None,
        proxy=config.repository.proxy or None,
        clock=SystemClock(),
        head_owner=config.repository.fork.partition("/")[0] or None,
        spelling=Spelling(config.label_names, (*PREFIXES, config.batch.label)),
    )


def coordinator_world(
    where: Place,
    config: Config,
    environ: Mapping[str, str],
    wakes: Wakes,
    me: Mapping[str, Any],
    say: Callable[[str], None],
    *,
    offline: bool = False,
    store: Store | None = None,
    looks: str = "never",
) -> World:
    """Everything `coordinator run` works with. `offline`: without a token GitHub counts as unreachable; `store` stands
    in for this repository's own, and nothing may be written then; `looks`: when other hosts are asked: by a thread
    each, when due, or never. Raises NoToken, NoRepository, StoreError, NewerSchema."""
    from coordinator.app.belonging import belongs
    from coordinator.app.renewing import Token
    from coordinator.engine.world import Site

    token = Token(environ, needed=not offline)
    repo = git_repository(where, config, token if token() else None)
    if not (config.repository.name or repo.full_name or offline):
        raise NoRepository("which repository on GitHub? No remote names one: set repository.name in coordinator.toml")
    memory = store or open_store(where)
    try:
        name = belongs(memory, config.repository.name, repo.full_name)
    except Exception:
        memory.close()
        raise
    github = github_client(config, name, token) if token() and name else _no_github()
    world = world_on(where, config, environ, wakes, me, say, memory, Site(repo, github, name), token,
                     looks=looks)
    if store is None:
        from coordinator.app.claims import claimant

        world.claimant = claimant(where, config, memory, repo)
    return world


def world_on(
    where: Place,
    config: Config,
    environ: Mapping[str, str],
    wakes: Wakes,
    me: Mapping[str, Any],
    say: Callable[[str], None],
    memory: Store,
    home: Site,
    token: Token,
    *,
    looks: str = "never",
) -> World:
    """The parts of a world around its own repository `home`, which needs a GitHub, and its memory."""
    import secrets

    from coordinator.adapters.notify.addresses import secrets_of
    from coordinator.adapters.providers.transcript import Transcriber
    from coordinator.adapters.system.clock import SystemClock
    from coordinator.adapters.system.files import SystemFiles
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.adapters.system.remains import remains
    from coordinator.app.engines import options_of, policy_of
    from coordinator.app.executors import executor
    from coordinator.app.hosts import gates
    from coordinator.app.plans import sites
    from coordinator.app.prices import prices
    from coordinator.app.templates import template_finder, template_provider
    from coordinator.app.workflows import workflow_finder
    from coordinator.engine.world import World
    from coordinator.runfiles.masking import Masker, secrets_in

    cleaned = without_tokens(environ)
    known = providers()
    masker = Masker((*((token(),) if token() else ()), *secrets_in(environ), *secrets_of(config.notify.urls)))

    def renew() -> bool:
        found = token.renew()
        masker.learn((token(),) if found else ())
        return found

    def heard(words: str) -> None:
        say(masker.text(words))

    return World(
        root=where.root,
        clock=SystemClock(),
        store=memory,
        github=home.github or _no_github(),
        repo=home.repo,
        site=sites(config, token, where.root),
        executor=executor(where, config, cleaned, wakes.put, looks=looks),
        providers=known,
        probe=SystemProbe(cleaned, heard),
        transcript=Transcriber(known.__getitem__, masker),
        files=SystemFiles(),
        policy=policy_of(config, template_provider(where, config)),
        options=options_of(config, environ),
        environ=cleaned,
        template=template_finder(where),
        new_token=lambda: secrets.token_hex(16),
        repository_name=home.name,
        mask=masker.piece,
        learn=masker.learn,
        known=masker.known,
        renew=renew,
        me=dict(me),
        say=heard,
        save_bug=lambda trace: save_bug(where, masker.text(trace)),
        remains=lambda: remains(where.logs, where.jobs),
        prices=prices(),
        notifier=notifier(environ),
        workflows=workflow_finder(where),
        shut_hosts=lambda: {name: words for name, words in gates(config, cleaned).items() if words},
    )


def _no_github() -> GitHub:
    from coordinator.adapters.github.offline import Offline

    return Offline("there is no GitHub token here")


def beat_seconds(config: Config) -> float:
    """Heartbeats every 30 s, and often enough that a stall is seen within a quarter of its limit."""
    return max(0.25, min(30.0, config.workers.stall.total_seconds() / 4))


BUGS_KEPT = 50
"""Traces of bugs: one that strikes each tick must not fill the disk."""


def save_bug(where: Place, trace: str) -> Path:
    """Keeps the trace of a bug of ours where doctor and people find it, and of all such files the newest BUGS_KEPT; the
    file's name is returned. Raises OSError."""
    from coordinator.adapters.system.clock import SystemClock
    from coordinator.adapters.system.files import SystemFiles
    from coordinator.runfiles.masking import Masker, secrets_in

    path = where.home / f"bug-{SystemClock().now():%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    words = Masker(secrets_in(os.environ)).text(trace)   # people send this file to others
    SystemFiles().put(path, f"coordinator on Python {sys.version}\n{words}")
    for old in sorted(where.home.glob("bug-*.txt"))[:-BUGS_KEPT]:   # their names begin with the time
        SystemFiles().remove(old)
    return path


# --- for the command line -----------------------------------------------------------------------------


class InUse(Exception):
    """Another coordinator holds this repository; `pid` is 0 when it left no name."""

    def __init__(self, pid: int) -> None:
        super().__init__(f"another coordinator (pid {pid or 'unknown'}) works on this repository")
        self.pid = pid


def now() -> datetime:
    from coordinator.adapters.system.clock import SystemClock

    return SystemClock().now()


def local(moment: datetime) -> datetime:
    """The same moment in the host's time zone."""
    from coordinator.adapters.system.clock import SystemClock

    return SystemClock().local(moment)


@contextmanager
def hold(where: Place) -> Iterator[dict[str, str]]:
    """Holds the repository for this process; gives the name written into the lock. Raises InUse, OSError."""
    from coordinator.adapters.system.instance import AlreadyRunning

    lock = instance_lock(where)
    try:
        me = lock.take()
    except AlreadyRunning as error:
        raise InUse(error.pid) from error
    try:
        yield me
    finally:
        lock.release()


def runner(
    where: Place,
    config: Config,
    environ: Mapping[str, str],
    me: Mapping[str, str],
    say: Callable[[str], None],
    *,
    at_once: bool = False,
    once: bool = False,
    offline: bool = False,
    world_of: Callable[[Wakes, Mapping[str, Any]], World] | None = None,
) -> Runner:
    """A world with the engine that moves it. `at_once`: effects are made where they are asked for; `once`: it ends when
    nothing moves; `offline`: it does without GitHub when there is no token; `world_of` makes another world than this
    repository's."""
    from coordinator import __version__
    from coordinator.adapters.system import heap
    from coordinator.app.engines import options_of, policy_of
    from coordinator.app.templates import template_provider
    from coordinator.engine.daemon import EffectPool
    from coordinator.engine.memory import Memory
    from coordinator.engine.runner import Runner
    from coordinator.engine.tick import AtOnce, Engine
    from coordinator.engine.wakes import Wakes

    heap.keep_small()
    wakes = Wakes()
    named = {**me, "pid": int(me.get("pid", "0")), "version": __version__, "started_at": now().isoformat()}
    from coordinator.app import plans

    if world_of is not None:
        world = world_of(wakes, named)
    elif (under := plans.stored(where)) is not None:
        return plans.runner(where, under, config, environ, me, say)
    else:
        world = coordinator_world(where, config, environ, wakes, named, say, offline=offline,
                                  looks="due" if at_once or once else "thread")
    pool = None if at_once else EffectPool()
    memory = Memory()
    engine = Engine(world, pool or AtOnce(), wakes.put, memory)

    def taken_over(fresh: Config) -> tuple[Policy, Options]:
        if (fresh.hosts, fresh.slurm) != (config.hosts, config.slurm):
            say("[hosts] and [slurm] are read at the start: what changed there holds from the next start on")
        kept = replace(fresh, hosts=config.hosts, slurm=config.slurm)
        return policy_of(kept, template_provider(where, fresh)), options_of(fresh, environ)

    return Runner(world, engine, memory, wakes, pool, options=taken_over)


def reread(where: Place, environ: Mapping[str, str], overrides: Mapping[str, str]) -> Config:
    """The configuration as it stands now, for a daemon that has one already. Raises KeepOld."""
    from coordinator.app.config_checks import check_addresses, check_ladders
    from coordinator.app.walls import check_walls
    from coordinator.config import ConfigError
    from coordinator.engine.runner import KeepOld

    try:
        fresh = configuration(where, environ, overrides)
        check_ladders(fresh)
        check_addresses(fresh, environ)
        check_walls(fresh)
        return fresh
    except ConfigError as error:
        raise KeepOld(error.words) from error
