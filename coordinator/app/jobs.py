"""Builders for the job runner: what reads, and what acts. Reading loads nothing that starts or signals a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app.faces import Face, where

if TYPE_CHECKING:
    from coordinator.adapters.executors.shelf import Shelf
    from coordinator.config import Config
    from coordinator.engine.jobs.desk import Desk
    from coordinator.planning.health import Settings as HealthSettings


def shelf(face: Face, log_dir: str, environ: Mapping[str, str]) -> Shelf:
    """The jobs under this name. Nothing is opened or made."""
    from coordinator.adapters.executors.shelf import Shelf

    place = where(face, log_dir, environ)
    return Shelf(place.folder, flat=place.flat, default_provider=face.provider)


def configuration(environ: Mapping[str, str]) -> Config:
    """That of the repository one stands in, if any, and the user's. Raises ConfigError."""
    from coordinator.config import load
    from coordinator.config.rooting import FILE, find_root

    root = find_root(Path.cwd())
    file = root / FILE if root is not None else None
    return load(file if file is not None and file.is_file() else None, environ)


def health_settings(config: Config, environ: Mapping[str, str]) -> HealthSettings:
    """The times by which a job's health is judged."""
    from coordinator.planning.health import Settings

    workers = config.workers
    no_mutation = minutes(environ, "DX_RUNNER_NO_MUTATION_TIMEOUT_MINUTES")
    return Settings(grace=workers.grace, stall=workers.stall, idle_cpu=workers.idle_cpu,
                    no_mutation=workers.no_mutation if no_mutation is None else no_mutation)


def minutes(environ: Mapping[str, str], name: str) -> timedelta | None:
    """A variable that holds minutes; None when it is unset or empty. Raises ConfigError for anything else."""
    from coordinator.config import ConfigError

    text = environ.get(name, "").strip()
    if not text:
        return None
    try:
        found = timedelta(minutes=float(text))
    except (ValueError, OverflowError):
        found = timedelta(0)
    if found <= timedelta(0):
        raise ConfigError(f"{name}={text!r} is no number of minutes", f"Unset it, or: export {name}=120")
    return found
