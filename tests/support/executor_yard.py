"""One executor with the place it works in, and how to part it from its host: what the contract suite runs on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from coordinator.adapters.executors.local import LocalExecutor
from coordinator.adapters.executors.remote.executor import Looks, Manner, RemoteExecutor
from coordinator.adapters.executors.remote.link import Here, Link
from coordinator.adapters.executors.remote.starters import Starter
from coordinator.adapters.executors.slurm.queue import Queue
from coordinator.adapters.executors.slurm.script import Wishes
from coordinator.adapters.executors.slurm.starter import WARNS, SlurmStarter
from coordinator.adapters.executors.ssh import Answer, Unreachable
from coordinator.adapters.system.clock import SystemClock
from coordinator.adapters.system.run import Ran, run
from coordinator.domain.worker import SLURM, Exited, WorkerView
from coordinator.ports import Executor, Handle, LaunchSpec
from coordinator.runfiles import atomic, identity
from tests.support.workers import until

TUNING = {"beat_sec": "0.3", "soft_sec": "0.3", "idle_cpu": "0.02", "cgroup": "0"}


class Closing(Executor, Protocol):
    def close(self) -> None: ...


class Cable:
    """A shell that can be cut: before a command begins, in the middle of it, or after it was done."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.cut = ""
        self.asked: list[bytes] = []

    def run(self, remote: str, stdin: bytes = b"", timeout: float = 30.0) -> Answer:
        self.asked.append(stdin)
        if self.cut == "before":
            raise Unreachable("epyc12: connection timed out")
        if self.cut == "after":
            self._inner.run(remote, stdin, timeout)
        if self.cut:
            raise Unreachable("epyc12: the connection broke", begun=True)
        answer: Answer = self._inner.run(remote, stdin, timeout)
        return answer


class Ahead(SystemClock):
    """A clock of ours that can be put forward."""

    by = timedelta()

    def now(self) -> datetime:
        return super().now() + self.by


@dataclass
class Yard:
    """`make` gives a fresh executor, as a coordinator has after a restart. `host` is the name in handles."""

    root: Path
    make: Callable[[Yard], Closing]
    host: str = ""
    cable: Cable | None = None
    clock: Ahead = field(default_factory=Ahead)
    woken: list[str] = field(default_factory=list)
    made: list[Closing] = field(default_factory=list)
    specs: list[LaunchSpec] = field(default_factory=list)
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    """Where another host keeps what is ours, when not where it is for all."""
    starter: Starter | None = None
    """Who starts wrappers of another host in its place."""

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def mark(self) -> str:
        return sha256(os.fsencode(self.root)).hexdigest()[:16]

    def executor(self) -> Closing:
        self.made.append(self.make(self))
        return self.made[-1]

    def spec(self, *argv: str, job: str = "gh-450", **more: Any) -> LaunchSpec:
        cwd = self.root / "trees" / job
        cwd.mkdir(parents=True, exist_ok=True)
        number = len(self.specs) + 1
        given: dict[str, Any] = {
            "handle": Handle("claude", job, f"token-{number}-{self.mark}", self.host), "worker_id": "w-abc123",
            "attempt": number, "fence": number, "run_id": "20260102030405", "argv": argv,
            "env": {"PATH": os.environ["PATH"], "HOME": str(self.root), **self.env}, "cwd": cwd, "prompt": "do it",
            "stdin": "null", "timeout": timedelta(minutes=5), "grace": timedelta(seconds=1), **more,
        }
        self.specs.append(LaunchSpec(**given))
        return self.specs[-1]

    def python(self, code: str, **more: Any) -> LaunchSpec:
        return self.spec(sys.executable, "-c", code, **more)

    def file(self, spec: LaunchSpec, kind: str) -> Path:
        return self.jobs / spec.handle.provider / f"{spec.handle.job}.{kind}"

    def pairs(self, spec: LaunchSpec, kind: str) -> Mapping[str, str]:
        return atomic.read_pairs(str(self.file(spec, kind))) or {}

    def out(self, spec: LaunchSpec) -> str:
        return self.file(spec, "log").read_text("utf-8") if self.file(spec, "log").exists() else ""

    def close(self) -> None:
        for spec in self.specs:
            for proc in identity.with_token(spec.handle.token):
                identity.send(proc.pid, proc.start, 9)
        for executor in self.made:
            executor.close()


def view(executor: Executor, spec: LaunchSpec) -> WorkerView:
    return executor.look([spec.handle])[spec.handle]


def seen(executor: Executor, spec: LaunchSpec, *kinds: type, seconds: float = 20.0) -> Any:
    """The first view of one of these kinds."""
    def look() -> WorkerView | None:
        executor.reap()
        found = view(executor, spec)
        return found if isinstance(found, kinds) else None

    return until(look, f"{spec.handle.job} to be {' or '.join(kind.__name__ for kind in kinds)}", seconds)


def beside(executor: Closing, what: str, *, before: Callable[[], object] = bool,
           after: Callable[[], object] = bool) -> None:
    """Whenever the far end is asked `what`, this is done before it is, or once it has answered."""
    link = executor._link  # type: ignore[attr-defined]
    real = link.ask

    def ask(do: str, *args: Any, **more: Any) -> Any:
        if do == what:
            before()
        said = real(do, *args, **more)
        if do == what:
            after()
        return said

    link.ask = ask


def ended(executor: Executor, spec: LaunchSpec, seconds: float = 30.0) -> Exited:
    found: Exited = seen(executor, spec, Exited, seconds=seconds)
    return found


@contextmanager
def local_yard(root: Path) -> Iterator[Yard]:
    def make(yard: Yard) -> Closing:
        return LocalExecutor(yard.jobs, yard.woken.append, beat=0.3, soft=0.3, cgroup=False)

    yard = Yard(root, make)
    try:
        yield yard
    finally:
        yard.close()


@contextmanager
def far_yard(root: Path, shell: Any = None, *, name: str = "epyc12", shared: bool = True,
             workdir: str = "", python: str = sys.executable, background: bool = False) -> Iterator[Yard]:
    """Another host by way of `shell`; without one, a shell of this machine stands for it."""
    cable = Cable(shell or Here({"PATH": os.environ["PATH"], "HOME": str(root / "far home")}))
    (root / "far home").mkdir(parents=True, exist_ok=True)

    def make(yard: Yard) -> Closing:
        link = Link(name, cable, yard.workdir or workdir or str(root / "far side"), python)
        manner = Manner(shared=shared, every=0.1, idle=0.5, tuning=TUNING)
        return RemoteExecutor(name, link, yard.jobs, wake=yard.woken.append, clock=yard.clock,
                              ours={"PATH": os.environ["PATH"]}, manner=manner,
                              looks=Looks.BY_THREAD if background else Looks.WHEN_DUE, starter=yard.starter)

    yard = Yard(root, make, name, cable)
    try:
        yield yard
    finally:
        yard.close()


@contextmanager
def slurm_yard(root: Path, env: Mapping[str, str], wishes: Wishes | None = None) -> Iterator[Yard]:
    """Slurm as it is reached with the environment `env`, its files on a disk that its nodes see as this machine does.
    Each executor has a queue of its own, as each coordinator has."""
    around = {**os.environ, **env}
    cable = Cable(Here(around))

    def asked(argv: Sequence[str], stdin: str, timeout: float) -> Ran:
        return run(argv, env=around, stdin=stdin, timeout=timeout)

    def make(yard: Yard) -> Closing:
        queue = Queue(asked, lambda: datetime.now(UTC), timedelta(seconds=0.2))
        manner = Manner(SLURM, shared=True, every=0.1, idle=0.5, tuning={**TUNING, "warn": WARNS, "keep_sec": "1"})
        return RemoteExecutor(SLURM, Link(SLURM, cable, str(root / "far side"), sys.executable), yard.jobs,
                              wake=yard.woken.append, clock=yard.clock, ours={"PATH": os.environ["PATH"]},
                              manner=manner, looks=Looks.WHEN_DUE,
                              starter=SlurmStarter(queue, wishes or Wishes(mem="50"), timedelta(seconds=4)))

    yard = Yard(root, make, SLURM, cable)
    try:
        yield yard
    finally:
        yard.close()
