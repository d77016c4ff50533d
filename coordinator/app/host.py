"""Builders for commands that look: doctor, init, clean, a dry run. None of them keeps anything open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app import (
    NoToken,
    Place,
    configuration,
    coordinator_world,
    daemon_pid,
    git_repository,
    github_client,
    github_token,
    now,
    open_store,
    provider_settings,
    token_or_none,
)

if TYPE_CHECKING:
    from coordinator.adapters.git.repository import GitRepository
    from coordinator.adapters.system.doctor import Check
    from coordinator.config import Config
    from coordinator.domain.remains import Litter
    from coordinator.engine.world import World
    from coordinator.planning.actions import Plan
    from coordinator.planning.snapshot import Snapshot
    from coordinator.ports import Readiness, Settings


def foresee(where: Place, config: Config, environ: Mapping[str, str]) -> tuple[Snapshot, Plan]:
    """What the next tick would do after asking GitHub, on a copy of the memory: nothing here or there is changed.

    Raises what GitHub and the store raise."""
    from coordinator.engine.foresight import look_ahead

    with _shadow(where, config, environ) as world:
        return look_ahead(world)


def litter(where: Place, config: Config, environ: Mapping[str, str]) -> tuple[Litter, ...]:
    """What `clean` would remove. Reads only."""
    from coordinator.engine.retention import find

    with _shadow(where, config, environ, offline=True) as world:
        return find(world)


@contextmanager
def _shadow(where: Place, config: Config, environ: Mapping[str, str], *, offline: bool = False) -> Iterator[World]:
    """The world as it is, but for the memory: a copy of this repository's, gone at the end."""
    import tempfile

    from coordinator.adapters.store import SqlStore
    from coordinator.adapters.store.opening import copy
    from coordinator.adapters.store.trouble import gone
    from coordinator.app.rebuilding import begun
    from coordinator.engine.runner import let_go
    from coordinator.engine.wakes import Wakes

    if not where.store.exists() and begun(where):
        raise gone(where.store)
    with tempfile.TemporaryDirectory(prefix="coordinator-shadow-") as folder:
        shadow = Path(folder) / "state.db"
        if where.store.is_file():
            copy(where.store, shadow)
        store = SqlStore(shadow)
        try:
            world = coordinator_world(where, config, environ, Wakes(), {}, lambda _: None, offline=offline, store=store)
            try:
                yield world
            finally:
                let_go(world)
        finally:
            store.close()


def shipped() -> Path:
    """The folder that came with the program: templates, workflows and the tools people run."""
    return Path(__file__).parent.parent.parent


def excluded(where: Place) -> frozenset[str]:
    """The lines of .git/info/exclude."""
    from coordinator.adapters.system.run import run

    ran = run(["git", "rev-parse", "--git-path", "info/exclude"], env=os.environ, cwd=where.root, timeout=10)
    path = where.root / ran.out.strip()
    return frozenset(path.read_text("utf-8", "replace").splitlines()) if ran.ok and path.is_file() else frozenset()


def label_there(config: Config, name: str, environ: Mapping[str, str]) -> bool:
    """Whether the trigger label stands in the repository; False too when that cannot be asked."""
    from coordinator.ports import GitHubError

    token = token_or_none(environ)
    if not token:
        return False
    try:
        return github_client(config, name, lambda: token).label_exists(config.labels.auto)
    except GitHubError:
        return False


def make_label(config: Config, name: str, environ: Mapping[str, str]) -> str | None:
    """Creates the trigger label; words when that could not be done."""
    from coordinator.ports import GitHubError

    try:
        token, _ = github_token(environ)
        github_client(config, name, lambda: token).create_label(config.labels.auto, "1f6feb", "An agent works on this")
    except NoToken as error:
        return str(error)
    except GitHubError as error:
        return error.words
    return None


def examine_host(where: Place, environ: Mapping[str, str], *, live: bool) -> Iterator[Check]:
    """The lines of `doctor`, each when it is known; what one question needs and another found missing is left out."""
    from coordinator.adapters.providers import provider
    from coordinator.adapters.system import doctor
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app import walls
    from coordinator.app.config_checks import check_addresses, check_provider_names
    from coordinator.app.engines import floors_of
    from coordinator.app.prices import blind_caps
    from coordinator.config import ConfigError

    probe = SystemProbe(environ)
    git = doctor.git_version(probe)
    yield git
    try:
        config = configuration(where, environ)
        check_provider_names(config)
        check_addresses(config, environ)
        walls.check_walls(config)
    except ConfigError as error:
        yield doctor.Check("fail", error.words, "coordinator config check")
        return
    if git.level == "ok":
        yield from _examine_github(where, config, environ)
    settings = provider_settings(config).get(config.workers.provider, _no_settings())
    agent = provider(config.workers.provider)
    yield from doctor.provider_ready(agent, probe, settings, where.home / "preflight.json", now(), live=live)
    for words, cure in blind_caps(config):
        yield doctor.Check("warn", words, cure)
    yield from _examine_workflows(where, config)
    yield doctor.writable(where.root, where.home)
    yield from doctor.room(where.root, floors_of(config))
    yield doctor.instance(daemon_pid(where), where.board, now(), config.poll.interval)
    yield from _examine_branches(where, config, environ)
    yield from _examine_claim(where, config, environ)
    yield from _examine_leftovers(where)
    yield from doctor.rights(os.geteuid(), walls.words(config), *walls.missing(config))


def _examine_workflows(where: Place, config: Config) -> Iterator[Check]:
    from coordinator.adapters.system import doctor
    from coordinator.app.workflows import workflow_finder

    library = workflow_finder(where)()
    for name, words in sorted(library.broken.items()):
        yield doctor.Check("fail", words, f"mend adws/workflows/{name}.toml; tasks that want it wait")
    usual, good = config.workers.workflow, sorted(set(library.known) - set(library.broken))
    if usual not in {*good, *library.broken}:
        yield doctor.Check("fail", f"workers.workflow: there is no workflow {usual!r} (known: {', '.join(good)})",
                           f"set workers.workflow, or add adws/workflows/{usual}.toml")
    elif usual in good:
        yield doctor.Check("ok", f"workflows: {', '.join(good)}; {usual} unless an issue's label names another")


def _examine_github(where: Place, config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    from coordinator.adapters.system import doctor
    from coordinator.ports import GitError

    try:
        repo = git_repository(where, config, None)
        name = config.repository.name or repo.full_name
    except GitError as error:
        yield doctor.Check("fail", f"{where.root} is no repository that git can read: {error.words}", "git status")
        return
    yield doctor.checkout(repo.lacks)
    if not name:
        yield doctor.Check("fail", "no remote names a repository on GitHub", "coordinator init")
        return
    try:
        token, source = github_token(environ)
    except NoToken as error:
        yield doctor.Check("fail", str(error), "gh auth login")
        return
    client = github_client(config, name, lambda: token)
    fork = github_client(config, config.repository.fork, lambda: token) if config.repository.fork else None
    yield from doctor.github_ready(client, client.lacking, name, config.labels.auto, source, now(), fork)
    yield from doctor.token_in_a_file(source)


def _askable(where: Place, config: Config, environ: Mapping[str, str]) -> GitRepository | None:
    """The repository with its remote; None where lines before said already that nobody can be asked."""
    from coordinator.ports import GitError

    token = token_or_none(environ)
    try:
        return git_repository(where, config, lambda: token) if token else None
    except GitError:
        return None


def _examine_branches(where: Place, config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    from coordinator.adapters.system import doctor
    from coordinator.domain.task import BRANCHES

    repo = _askable(where, config, environ)
    if repo is not None:
        yield from doctor.branches(f"{BRANCHES}…", lambda: repo.crowded(f"{BRANCHES}gh-1"))


def _examine_claim(where: Place, config: Config, environ: Mapping[str, str]) -> Iterator[Check]:
    from coordinator.adapters.system import doctor
    from coordinator.app.claims import holder_of, look

    if not config.repository.claim:
        yield doctor.Check("warn", "repository.claim = false: nobody keeps a coordinator elsewhere apart from this one",
                           "set repository.claim = true")
        return
    repo = _askable(where, config, environ)
    if repo is not None:
        yield doctor.claim(config.repository.fork, lambda: look(repo), holder_of(where))


def _examine_leftovers(where: Place) -> Iterator[Check]:
    from coordinator.adapters.executors.local import LocalExecutor
    from coordinator.adapters.system import doctor
    from coordinator.ports import NewerSchema, StoreError

    executor = LocalExecutor(where.jobs, lambda _: None)
    try:
        yield doctor.leftovers(executor, _active(where) | _by_hand(where))
    except StoreError as error:
        yield doctor.Check("fail", error.words, f"ls -l {where.store}")
    except NewerSchema as error:
        yield doctor.Check("fail", str(error), "install the newer coordinator")
    finally:
        executor.close()


def agent_ready(name: str, environ: Mapping[str, str]) -> Readiness:
    """Whether this agent can be started as it is found here: its program and its credentials."""
    from coordinator.adapters.providers import provider
    from coordinator.adapters.system.probe import SystemProbe

    return provider(name).ready(SystemProbe(environ), _no_settings())


def _no_settings() -> Settings:
    from coordinator.ports import Settings

    return Settings()


def _by_hand(where: Place) -> frozenset[str]:
    """Jobs that a person started here and that run: no task owns them, and nobody need."""
    from coordinator.adapters.executors.shelf import Shelf
    from coordinator.domain.job import MANUAL
    from coordinator.domain.worker import Running

    jobs = Shelf(where.jobs, flat=False).all()
    return frozenset(job.id for job in jobs if job.meta.get("owner") == MANUAL and isinstance(job.view, Running))


def _active(where: Place) -> frozenset[str]:
    """Tasks that may own a worker, as the store has them; none where there is no store."""
    from coordinator.domain.task import ACTIVE

    if not where.store.exists():
        return frozenset()
    store = open_store(where)
    try:
        return frozenset(task.id for task in store.tasks() if task.state in ACTIVE)
    finally:
        store.close()
