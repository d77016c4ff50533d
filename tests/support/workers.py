"""Real workers for tests: an executor over a scratch folder, launch specs in one line, and eyes for processes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.domain.worker import Exited, WorkerView
from coordinator.ports import Handle, LaunchSpec
from coordinator.runfiles import atomic, identity
from tests.support.patience import end_of

Found = Mapping[str, str]
T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 15.0) -> T:
    """The first true answer of `look`; fails with `what` was waited for."""
    end = end_of(time.monotonic(), seconds)
    while not (answer := look()):
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.01)
    return answer


def command_line(pid: int) -> bytes:
    """Nothing of one that is gone: an agent's own git may be before it is looked at."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@dataclass
class Bench:
    """One executor with its folders; `woken` counts the wakes it gave."""

    root: Path
    woken: list[str] = field(default_factory=list)
    executors: list[LocalExecutor] = field(default_factory=list)
    specs: list[LaunchSpec] = field(default_factory=list)

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def mark(self) -> str:
        """Of this folder alone: tests of other processes have folders of the same name, and processes are ended by
        their token."""
        return sha256(os.fsencode(self.root)).hexdigest()[:16]

    def executor(self, **how: Any) -> LocalExecutor:
        """A coordinator's executor; another one stands for the coordinator after a restart."""
        made = LocalExecutor(self.jobs, self.woken.append, **{"beat": 0.3, "soft": 0.3, "cgroup": False, **how})
        self.executors.append(made)
        return made

    def spec(self, *argv: str, job: str = "gh-450", token: str = "", **more: Any) -> LaunchSpec:
        cwd = self.root / "trees" / job
        cwd.mkdir(parents=True, exist_ok=True)
        number = len(self.specs) + 1
        given: dict[str, Any] = {
            "handle": Handle("claude", job, token or f"token-{number}-{self.mark}"), "worker_id": "w-abc123",
            "attempt": number, "fence": number, "run_id": "20260102030405", "argv": argv,
            "env": {"PATH": os.environ["PATH"], "HOME": str(self.root)}, "cwd": cwd, "prompt": "do it",
            "stdin": "null", "timeout": timedelta(minutes=5), "grace": timedelta(seconds=1), **more,
        }
        self.specs.append(LaunchSpec(**given))
        return self.specs[-1]

    def python(self, code: str, **more: Any) -> LaunchSpec:
        return self.spec(sys.executable, "-c", code, **more)

    def file(self, spec: LaunchSpec, kind: str) -> Path:
        return self.jobs / spec.handle.provider / f"{spec.handle.job}.{kind}"

    def pairs(self, spec: LaunchSpec, kind: str) -> Found:
        return atomic.read_pairs(str(self.file(spec, kind))) or {}

    def out(self, spec: LaunchSpec) -> str:
        return self.file(spec, "log").read_text("utf-8") if self.file(spec, "log").exists() else ""


def view(executor: LocalExecutor, spec: LaunchSpec) -> WorkerView:
    return executor.look([spec.handle])[spec.handle]


def ended(executor: LocalExecutor, spec: LaunchSpec, seconds: float = 20.0) -> Exited:
    def look() -> Exited | None:
        executor.reap()
        seen = view(executor, spec)
        return seen if isinstance(seen, Exited) else None

    found = until(look, f"the end of {spec.handle.job}", seconds)
    assert found is not None
    return found


def alive(pid: int) -> bool:
    proc = identity.look(pid)
    return proc is not None and identity.lives(proc)


def pids_in(text: str) -> list[int]:
    return [int(word) for word in text.split() if word.isdigit()]


@contextmanager
def bench(root: Path) -> Iterator[Bench]:
    """Ends whatever a test left running, found by the tokens it gave out and by nothing else."""
    made = Bench(root)
    try:
        yield made
    finally:
        for spec in made.specs:
            for proc in identity.with_token(spec.handle.token):
                identity.send(proc.pid, proc.start, 9)
        for executor in made.executors:
            executor.close()
