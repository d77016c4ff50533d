"""An operator's commands in a worktree: hooks, validations, gates. Each is noted in the repository before it begins its
work: what outlives a coordinator that was killed is ended when the repository is used next, before another is begun.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from coordinator.adapters.system.run import run
from coordinator.adapters.system.seam import crossing
from coordinator.runfiles import atomic, codec, identity

NOTES = "coordinator-hooks"
"""Folder in the git directory, a file for each command that runs, named by its pid."""
TAIL = 2000
PROOFS = ("validation", "gate")
"""Names of commands that look at the work after the agent."""
_KEPT = 1 << 20   # bytes of a command's output that are held, of each stream: it may print for as long as it runs
_ONCE_NOTED = 'read -r noted && exec /bin/sh -c "$1" </dev/null'
"""Without a word from us, who may have died before the note was written, nothing is begun."""


def run_hook(common: Path, path: Path, command: str, name: str, seconds: float,
             env: Mapping[str, str]) -> tuple[bool, str]:
    """Runs the operator's shell line in the worktree at `path`, in a process group of its own that is noted in the git
    directory `common`; (ok, tail of its output). A hook may leave something running that the agent needs; what a
    validation or a gate left would only be in the way. Raises OSError where it cannot be noted: then it did not run."""
    with crossing("process", name):
        hears, tells = os.pipe()
        noted: list[Path] = []

        def begins(pid: int) -> None:
            noted.append(_note(common, pid, name))
            os.write(tells, b"\n")

        try:
            ran = run(["/bin/sh", "-c", _ONCE_NOTED, "sh", command], env=env, cwd=path, stdin=hears, timeout=seconds,
                      last=_KEPT, sweep=name in PROOFS, begins=begins)
        finally:
            os.close(hears)
            os.close(tells)
            for note in noted:
                note.unlink(missing_ok=True)
    said = (ran.out + ran.err).encode("utf-8", "replace").decode("utf-8").strip()
    return ran.ok, said[-TAIL:]


def _note(common: Path, pid: int, name: str) -> Path:
    folder = common / NOTES
    folder.mkdir(mode=0o700, exist_ok=True)
    pairs = {"name": name, "boot": identity.boot_id(), **_who("", pid), **_who("owner_", os.getpid())}
    atomic.write(str(folder / str(pid)), codec.encode(pairs), lasting=False)   # a power cut ends the command too
    return folder / str(pid)


def _who(prefix: str, pid: int) -> dict[str, str]:
    proc = identity.look(pid)
    return {f"{prefix}pid": str(pid), f"{prefix}start": str(proc.start if proc is not None else 0)}


def end_left(common: Path) -> tuple[str, ...]:
    """Ends with its whole group each noted command whose coordinator is gone, unless another process has its number by
    now; the names of those that were ended. What another user wrote there, a worker for one, is no note of ours. Raises
    OSError where one cannot be asked about."""
    folder = common / NOTES
    found = sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
    notes = [note for note in found if note.name.isdigit() and note.lstat().st_uid == os.geteuid()]
    return tuple(name for note in notes if (name := _ended(note)))


def _ended(note: Path) -> str:
    try:
        pairs = atomic.read_pairs(str(note)) or {}
    except OSError:
        return ""   # a link
    if "owner_pid" not in pairs or _lives(pairs, "owner_"):
        return ""
    pid, start = codec.whole(pairs.get("pid", "")), codec.whole(pairs.get("start", ""))
    with crossing("process", f"end {note.name}"):
        found = _lives(pairs, "") and os.getpgid(pid) == pid
        if found and identity.send(pid, start, signal.SIGSTOP):   # stopped it keeps its number while the group is ended
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        note.unlink(missing_ok=True)
    return pairs.get("name", "") if found else ""


def _lives(pairs: Mapping[str, str], prefix: str) -> bool:
    pid, start = (codec.whole(pairs.get(f"{prefix}{key}", "")) for key in ("pid", "start"))
    return identity.alive(pid, start, pairs.get("boot", ""))
