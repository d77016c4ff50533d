"""A folder of run files written by hand, and a process that must outlive whatever reads or writes them."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.domain.job import Job
from coordinator.runfiles import atomic, codec, identity

HERE = os.uname().nodename
TOKEN = "a" * 32


class Bench:
    """A flat folder of run files, written by hand."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "jobs"
        self.folder.mkdir(mode=0o700)
        self.shelf = Shelf(self.folder, flat=True)

    def put(self, name: str, pairs: Mapping[str, str] | str | bytes) -> Path:
        path = self.folder / name
        data = pairs.encode() if isinstance(pairs, str) else pairs if isinstance(pairs, bytes) else codec.encode(pairs)
        path.write_bytes(data)
        return path

    def ours(self, job: str, pid: int = 0, *, token: str = TOKEN, beat: bool = True, **meta: str) -> None:
        """A run of ours whose wrapper is the process `pid` (none lives when 0)."""
        proc = identity.look(pid) if pid else None
        boot = meta.pop("boot", identity.boot_id())
        self.put(f"{job}.meta", {"beads": job, "provider": "claude", "token": token, "fence": "1", "host": HERE,
                                 "run_id": "20260304130000", **meta})
        if beat:
            at = f"{time.time() - 1:.3f}"   # before whatever is written next, though a disk's clock ticks in steps
            self.put(f"{job}.heartbeat", {
                "token": token, "wrapper_pid": str(pid or 999999), "wrapper_start": str(proc.start if proc else 1),
                "boot_id": boot, "started_at": at, "agent_pid": "5", "at": at, "since": at, "cpu_sec": "1"})
        self.put(f"{job}.pid", f"{pid or 999999}\n")

    def one(self, job: str) -> Job:
        [found] = self.shelf.of(job)
        return found

    def pairs(self, name: str) -> dict[str, str]:
        return atomic.read_pairs(str(self.folder / name)) or {}

    def names(self) -> set[str]:
        return {entry.name for entry in self.folder.iterdir()}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def sleeper() -> Iterator[int]:
    child = subprocess.Popen(["sleep", "120"])
    try:
        yield child.pid
        assert child.poll() is None, "a reader or writer of run files ended a process"
    finally:
        child.kill()
        child.wait()


def a_dead_pid() -> int:
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


__all__ = ["HERE", "TOKEN", "Bench", "a_dead_pid", "bench", "sleeper"]
