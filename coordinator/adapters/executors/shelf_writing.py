"""What readers of job files may not do: marks on a job, the outcome of a run that left none, tidying, the two locks.

A folder that is a link or another user's is refused: what is written there, or started from there, would be theirs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator.adapters.executors import launch
from coordinator.adapters.executors.views import Who
from coordinator.adapters.system.instance import AlreadyRunning, InstanceLock
from coordinator.adapters.system.seam import crossing
from coordinator.domain.job import Job
from coordinator.ports import JobBusy, WatchdogRuns
from coordinator.runfiles import atomic, identity, names, rotation
from coordinator.runfiles.lock import Busy, Lock

PATIENCE = 15.0
"""Seconds; the start of another job holds a folder for as long as its wrapper may take to claim the run."""
START_LOCK, WATCHDOG_LOCK = ".start.lock", ".watchdog.lock"
"""No job's: an id cannot begin with a dot."""
_FACTS = ("run_id", "run_instance", "host", "cwd", "worktree")


def note(root: Path, job: Job, changes: Mapping[str, str]) -> None:
    with _held(root, job.folder, job.id):
        launch.merge_meta(job.folder, job.id, changes)


def record_end(root: Path, job: Job, pairs: Mapping[str, str]) -> bool:
    """The token goes into it, or no reader would take it for this run's."""
    with _held(root, job.folder, job.id):
        meta, outcome = (_pairs(job.folder, job.id, kind) for kind in ("meta", "outcome"))
        if meta.get("token", job.token) != job.token or (outcome and outcome.get("token", "") == job.token):
            return False
        if os.path.lexists(names.path(job.folder, job.id, "outcome")):
            _step_aside(job.folder, job.id)
        own = {"token": job.token} if job.token else {}
        launch.put_pairs(job.folder, job.id, "outcome", {**pairs, **own})
        _unlink(job.folder, job.id, "pid")
    return True


def refuse(root: Path, folder: str, job_id: str, pairs: Mapping[str, str]) -> None:
    """The refused run gets a token of its own: what an earlier one left under another is then seen as the past."""
    with _held(root, folder, job_id):
        if _lives(folder, job_id):
            return
        token = os.urandom(16).hex()
        facts = {key: pairs[key] for key in _FACTS if pairs.get(key)}
        known = {key: pairs[key] for key in ("beads", "provider") if pairs.get(key)}
        launch.merge_meta(folder, job_id, {**known, **facts, "token": token, "launch_state": "failed"})
        with crossing("file", f"rotate {folder}/{job_id}"):
            rotation.rotate(folder, job_id)
        _unlink(folder, job_id, "pid")
        launch.put_pairs(folder, job_id, "outcome", {**pairs, "token": token})


def remove(root: Path, job: Job, kinds: Sequence[str]) -> None:
    with _held(root, job.folder, job.id):
        if _lives(job.folder, job.id):
            raise JobBusy(f"{job.id} lives: its run files stay")
        for kind in kinds:
            _unlink(job.folder, job.id, kind)


@contextmanager
def one_start(root: Path) -> Iterator[None]:
    _ours(root, str(root))
    try:
        with Lock(f"{root}/{START_LOCK}", PATIENCE):
            yield
    except Busy:
        raise JobBusy(f"another start in {root} takes its time; nothing was started: try again") from None


@contextmanager
def one_watchdog(root: Path) -> Iterator[None]:
    """The kernel lets go of it when its holder dies, however it dies."""
    _ours(root, str(root))
    lock = InstanceLock(root / WATCHDOG_LOCK)
    try:
        lock.take()
    except AlreadyRunning as other:
        raise WatchdogRuns(other.pid) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _held(root: Path, folder: str, job_id: str) -> Iterator[None]:
    """The job's lock, in a folder of ours."""
    _ours(root, folder)
    try:
        with Lock(names.path(folder, job_id, "lock"), PATIENCE):
            yield
    except Busy:
        raise JobBusy(f"{job_id}: another process writes its run files and does not let go; try again") from None


def _ours(root: Path, folder: str) -> None:
    """Makes the folder, 0700. Raises ForeignFolder, OSError."""
    for place in dict.fromkeys((str(root), folder)):
        if Path(place).is_symlink():
            raise names.ForeignFolder(f"{place} is a link to {Path(place).readlink()}: name the folder itself")
        names.make_folder(place)


def _pairs(folder: str, job_id: str, kind: str) -> dict[str, str]:
    return atomic.read_pairs(names.path(folder, job_id, kind)) or {}


def _lives(folder: str, job_id: str) -> bool:
    """Whether a wrapper works on the job, or a process that a foreign pid file names. Raises OSError when that cannot
    be asked: then nothing is touched."""
    beat = _pairs(folder, job_id, "heartbeat")
    outcome = _pairs(folder, job_id, "outcome")
    if beat.get("token"):
        who = Who(beat)
        return outcome.get("token") != beat["token"] and identity.alive(who.pid, who.start, who.boot)
    if outcome:
        return False
    text = (atomic.read(names.path(folder, job_id, "pid"), 64) or b"").strip()
    proc = identity.look(int(text)) if text.isdigit() else None
    return proc is not None and identity.lives(proc)


def _step_aside(folder: str, job_id: str) -> None:
    target = names.path(folder, job_id, "outcome")
    number = 1 + rotation.last((entry.name for entry in Path(folder).iterdir()), job_id)
    with crossing("file", f"{target}.{number}"):
        Path(target).rename(f"{target}.{number}")


def _unlink(folder: str, job_id: str, kind: str) -> None:
    target = names.path(folder, job_id, kind)
    with crossing("file", f"remove {target}"):
        Path(target).unlink(missing_ok=True)
