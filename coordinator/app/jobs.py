"""Builders for the job runner: what reads, and what acts. Reading loads nothing that starts or signals a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app.faces import JOBS_VARIABLE, Face, Where, where
from coordinator.runfiles.names import RUN_VARIABLE, TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from coordinator.adapters.executors.shelf import Shelf
    from coordinator.config import Config
    from coordinator.engine.jobs.desk import Desk, Rules
    from coordinator.planning.health import Settings as HealthSettings

NO_MUTATION_VARIABLE = "DX_RUNNER_NO_MUTATION_TIMEOUT_MINUTES"
ROOTS_VARIABLE = "DX_RUNNER_EXTRA_ALLOWED_PREFIXES"
AGENTS = "/tmp/agents"  # noqa: S108 - where operators of the older runners put their worktrees


def shelf(face: Face, log_dir: str, environ: Mapping[str, str]) -> Shelf:
    """The jobs under this name. Nothing is opened or made."""
    return _shelf(face, where(face, log_dir, environ))


def _shelf(face: Face, place: Where) -> Shelf:
    from coordinator.adapters.executors.shelf import Shelf

    return Shelf(place.folder, flat=place.flat, default_provider=face.provider)


def desk(face: Face, log_dir: str, environ: Mapping[str, str], say: Callable[[str], None]) -> Desk:
    """All that acting on jobs needs. Nothing is opened or made. Raises ConfigError."""
    import secrets

    from coordinator.adapters.executors.local import LocalExecutor
    from coordinator.adapters.git.adding import add_worktree
    from coordinator.adapters.system.clock import SystemClock, pause
    from coordinator.adapters.system.files import SystemFiles
    from coordinator.adapters.system.probe import SystemProbe
    from coordinator.app import beat_seconds, notifier, providers
    from coordinator.app.credentials import without_tokens
    from coordinator.engine.jobs.desk import Desk

    config = configuration(environ)
    place = where(face, log_dir, environ)
    if place.notice:
        say(place.notice)
    cleaned = without_tokens(environ)
    return Desk(
        jobs=_shelf(face, place),
        executor=LocalExecutor(place.folder, lambda _: None, beat=beat_seconds(config),
                               idle_cpu=config.workers.idle_cpu, flat=place.flat),
        providers=providers(),
        probe=SystemProbe(cleaned, say),
        clock=SystemClock(),
        files=SystemFiles(),
        environ=cleaned,
        rules=rules(face, config, environ),
        pause=pause,
        new_token=lambda: secrets.token_hex(16),
        repository=repository,
        make_worktree=add_worktree,
        say=say,
        notifier=notifier(environ),
    )


def rules(face: Face, config: Config, environ: Mapping[str, str]) -> Rules:
    """What the verbs are bound by. Raises ConfigError."""
    import os
    import socket

    from coordinator import __version__
    from coordinator.app import provider_settings
    from coordinator.app.engines import contacts_of
    from coordinator.engine.jobs.desk import Rules

    extra = [Path(one) for one in environ.get(ROOTS_VARIABLE, "").split(":") if one.startswith("/")]
    here = repository(str(Path.cwd()))
    own = [here / config.worktree.root] if here is not None else []
    limit = minutes(environ, "DX_RUNNER_MAX_RUNTIME_MINUTES")
    return Rules(
        max_runtime=config.workers.timeout if limit is None else limit,
        stop_grace=config.workers.stop_grace,
        health=health_settings(config, environ),
        gated=face.gated or bool(extra),
        allowed=(Path(AGENTS), *own, *extra),
        spelling=face.spelling,
        providers=provider_settings(config),
        version=__version__,
        host=socket.gethostname(),
        as_root=os.geteuid() == 0,
        contacts=contacts_of(config),
        walled=config.workers.sandbox == "bwrap" or config.workers.network != "on",
    )


def close(made: Desk) -> None:
    """Lets go of what a desk holds; workers run on."""
    from coordinator.adapters.executors.local import LocalExecutor

    if isinstance(made.executor, LocalExecutor):
        made.executor.close()


def pidfile(path: str) -> AbstractContextManager[None]:
    """Our pid in this file for the time of a `with` block, "" for none. Raises PidfileHeld, NoPidfile, OSError."""
    from contextlib import nullcontext

    from coordinator.adapters.system import pidfile as files

    return files.pidfile(Path(path)) if path else nullcontext()


def prompt_of(path: str) -> str:
    """A prompt file's text. Raises BadPrompt."""
    from coordinator.adapters.system.prompts import read_prompt

    return read_prompt(Path(path))


def repository(name: str) -> Path | None:
    """The repository that a path means, or a bare name: that of the one we stand in, or of a folder in the home."""
    from coordinator.config.rooting import find_root

    here = find_root(Path.cwd())
    if "/" in name or name in (".", ".."):
        return find_root(Path(name)) if Path(name).is_dir() else None
    if here is not None and here.name == name:
        return here
    beside = Path.home() / name
    return beside if (beside / ".git").exists() else None


def configuration(environ: Mapping[str, str]) -> Config:
    """That of the repository one stands in, if any, and the user's. Raises ConfigError."""
    from coordinator.config import load

    return load(_file(), environ)


def check_contacts(environ: Mapping[str, str]) -> None:
    """Raises ConfigError where an address of `[notify]` cannot be used."""
    from coordinator.app.config_checks import check_addresses

    check_addresses(configuration(environ), environ)


def _file() -> Path | None:
    from coordinator.config.rooting import FILE, find_root

    root = find_root(Path.cwd())
    file = root / FILE if root is not None else None
    return file if file is not None and file.is_file() else None


def reading_settings(environ: Mapping[str, str]) -> HealthSettings:
    """`health_settings` for commands that only read: where nobody configured anything they need not load how to read
    it. Raises ConfigError."""
    from coordinator.config.rooting import user_file

    user = user_file(environ)
    if _file() is not None or (user is not None and user.is_file()) or any(map(_configures, environ)):
        return health_settings(configuration(environ), environ)
    from coordinator.planning.health import Settings

    usual = Settings()
    no_mutation = minutes(environ, NO_MUTATION_VARIABLE)
    return usual if no_mutation is None else replace(usual, no_mutation=no_mutation)


def _configures(variable: str) -> bool:
    return variable.startswith("COORDINATOR_") and variable not in (JOBS_VARIABLE, TOKEN_VARIABLE, RUN_VARIABLE)


def health_settings(config: Config, environ: Mapping[str, str]) -> HealthSettings:
    """The times by which a job's health is judged."""
    from coordinator.planning.health import Settings

    workers = config.workers
    no_mutation = minutes(environ, NO_MUTATION_VARIABLE)
    return Settings(grace=workers.grace, stall=workers.stall, idle_cpu=workers.idle_cpu,
                    no_mutation=workers.no_mutation if no_mutation is None else no_mutation)


def minutes(environ: Mapping[str, str], name: str) -> timedelta | None:
    """A variable that holds minutes; None when it is unset or empty. Raises ConfigError for anything else."""
    text = environ.get(name, "").strip()
    if not text:
        return None
    from coordinator.config import ConfigError

    try:
        found = timedelta(minutes=float(text))
    except (ValueError, OverflowError):
        found = timedelta(0)
    if found <= timedelta(0):
        raise ConfigError(f"{name}={text!r} is no number of minutes", f"Unset it, or: export {name}=120")
    return found
