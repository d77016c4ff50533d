"""A folder of jobs in memory with an invented clock: `ports.JobFiles` and `ports.Executor` over one small world.

It refuses what the real ones refuse: a second worker beside a living one, an outcome for a run that has one, a lock
that is held. Workers do what a test tells them to, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from coordinator.domain.job import Job
from coordinator.domain.worker import Beat, Exited, Missing, Running, Waiting, Witness, WorkerView
from coordinator.engine.jobs import restarting, starting
from coordinator.engine.jobs.desk import Desk, Rules
from coordinator.engine.jobs.watching import Watch, Watchdog
from coordinator.planning.watchdog import Orders
from coordinator.ports import (
    Choice,
    Command,
    Credentials,
    Handle,
    JobBusy,
    LaunchFailed,
    LaunchSpec,
    Readiness,
    StopOrder,
    WatchdogRuns,
)
from tests.support.fake_github import FakeClock

FOLDER = Path("/jobs")
BEAT = 30.0
Key = tuple[str, str]
Pairs = dict[str, str]


@dataclass
class Worker:
    """A wrapper with its agent. `silent` prints and changes nothing, `idle` uses no CPU time; `wedged` hears no order
    to stop. `orphan`: the wrapper is gone and its agent lives on."""

    token: str
    pid: int
    started_at: float
    cpu: float = 0.0
    signs_at: float = 0.0
    cpu_at: float = 0.0
    beat_at: float = 0.0
    silent: bool = False
    idle: bool = False
    wedged: bool = False
    frozen_since: float | None = None
    lives: bool = True
    orphan: bool = False


@dataclass
class Entry:
    """One provider's instance of a job: its files as pairs, those of earlier runs beside them, and its worker."""

    meta: Pairs = field(default_factory=dict)
    outcome: Pairs = field(default_factory=dict)
    contract: Pairs = field(default_factory=dict)
    rotated: list[Pairs] = field(default_factory=list)
    worker: Worker | None = None
    begun: int = 0

    @property
    def own(self) -> Pairs:
        """The outcome of the run that meta names."""
        return self.outcome if self.outcome.get("token") == self.meta.get("token") else {}

    @property
    def runs(self) -> bool:
        return self.worker is not None and self.worker.lives and self.worker.token == self.meta.get("token")


@dataclass
class FakeAgents:
    """A provider; `readiness` may be taken away."""

    name: str = "command"
    readiness: Readiness = field(default_factory=lambda: Readiness(True, "ready"))
    model: str = "m-1"

    def credentials(self, probe: Any, settings: Any) -> Credentials:
        return Credentials()

    def choose(self, probe: Any, settings: Any) -> Choice:
        return Choice(self.model)

    def command(self, spec: Any) -> Command:
        return Command(("agent",), {}, "prompt", "TERM", model=self.model)

    def ready(self, probe: Any, settings: Any) -> Readiness:
        return self.readiness


@dataclass
class FakeProbe:
    """Remembers what the operator's command was given; `code` is what it ends with."""

    told: list[tuple[tuple[str, ...], str, Mapping[str, str]]] = field(default_factory=list)
    code: int = 0

    def run(self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None,
            cwd: Path | None = None, stdin: str = "") -> tuple[int, str, str]:
        self.told.append((tuple(argv), stdin, env or {}))
        return self.code, "", "no such luck\n" if self.code else ""


class FewFiles:
    """Nothing stands anywhere but what a test puts there."""

    def __init__(self) -> None:
        self.there: dict[Path, str] = {}

    def exists(self, path: Path) -> bool:
        return path in self.there


class JobPlace:
    """The folder, the executor and the clock. `heard` lists the orders that workers were given."""

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.folder = FOLDER
        self.clock = clock or FakeClock()
        self.entries: dict[Key, Entry] = {}
        self.heard: list[tuple[str, StopOrder]] = []
        self.swept: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.watched_by = 0
        self.gone = False
        self._starting = False
        self._pids = count(4000)

    @property
    def now(self) -> float:
        return self.clock.now().timestamp()

    def entry(self, job_id: str, provider: str = "command") -> Entry:
        return self.entries[provider, job_id]

    # --- ports.JobFiles -----------------------------------------------------------------------------

    def all(self) -> tuple[Job, ...]:
        return () if self.gone else tuple(self._job(key) for key in sorted(self.entries))

    def of(self, job_id: str) -> tuple[Job, ...]:
        return tuple(job for job in self.all() if job.id == job_id)

    def job(self, job_id: str) -> Job:
        (found,) = self.of(job_id)
        return found

    def contract(self, job: Job) -> Mapping[str, str]:
        return self.entries[job.provider, job.id].contract

    def fence(self, provider: str, job_id: str) -> int:
        entry = self.entries.get((provider, job_id))
        return int(entry.meta.get("fence", "0")) if entry is not None else 0

    def note(self, job: Job, changes: Mapping[str, str]) -> None:
        self._trouble(job.id)
        self.entries[job.provider, job.id].meta.update(changes)

    def record_end(self, job: Job, pairs: Mapping[str, str]) -> bool:
        self._trouble(job.id)
        entry = self.entries[job.provider, job.id]
        if entry.meta.get("token") != job.token or entry.own:
            return False
        assert not entry.runs, "an outcome for a run whose wrapper lives"
        self._aside(entry)
        entry.outcome = {**pairs, "token": job.token}
        return True

    def refuse(self, provider: str, job_id: str, pairs: Mapping[str, str]) -> None:
        entry = self.entries.setdefault((provider, job_id), Entry())
        if entry.runs:
            return
        self._aside(entry)
        token = f"refused-{next(self._pids)}"
        entry.begun += 1
        entry.meta.update({"token": token, "launch_state": "failed"})
        entry.outcome = {**pairs, "token": token}

    def tail(self, job: Job, limit: int = 65536) -> bytes:
        return b""

    def remove(self, job: Job, kinds: Sequence[str]) -> None:
        if self.entries[job.provider, job.id].runs:
            raise JobBusy(f"{job.id} lives")

    @contextmanager
    def one_start(self) -> Iterator[None]:
        if self._starting:
            raise JobBusy("another start takes its time")
        self._starting = True
        try:
            yield
        finally:
            self._starting = False

    @contextmanager
    def one_watchdog(self) -> Iterator[None]:
        if self.watched_by:
            raise WatchdogRuns(self.watched_by)
        self.watched_by = 4711
        try:
            yield
        finally:
            self.watched_by = 0

    def _trouble(self, job_id: str) -> None:
        if job_id in self.broken:
            raise self.broken[job_id]

    def _job(self, key: Key) -> Job:
        provider, job_id = key
        entry = self.entries[key]
        return Job(job_id, provider, str(FOLDER), self._view(entry), dict(entry.meta), dict(entry.own))

    def _aside(self, entry: Entry) -> None:
        if entry.outcome:
            entry.rotated.append(entry.outcome)
            entry.outcome = {}

    # --- ports.Executor -----------------------------------------------------------------------------

    def submit(self, spec: LaunchSpec) -> int:
        key = (spec.handle.provider, spec.handle.job)
        entry = self.entries.setdefault(key, Entry())
        if entry.runs:
            raise LaunchFailed("launch_failed", "it is still run by an earlier worker")
        self._trouble(f"start {spec.handle.job}")
        self._aside(entry)
        now = self.now
        pid = next(self._pids)
        entry.begun += 1
        entry.worker = Worker(spec.handle.token, pid, now, signs_at=now, cpu_at=now, beat_at=now)
        entry.contract = dict(spec.contract)
        entry.meta.update({"token": spec.handle.token, "fence": str(spec.fence), "run_id": spec.run_id, **spec.meta,
                           "pid": str(pid), "attempt": str(spec.attempt)})
        return pid

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        return {handle: self._of_run(handle) for handle in handles}

    def _of_run(self, handle: Handle) -> WorkerView:
        entry = self.entries[handle.provider, handle.job]
        return self._view(entry) if entry.meta.get("token") == handle.token else Missing(started=True)

    def stop(self, handle: Handle, order: StopOrder) -> None:
        entry = self.entries[handle.provider, handle.job]
        self.heard.append((handle.job, order))
        if entry.runs and entry.worker is not None and entry.worker.token == handle.token and not entry.worker.wedged:
            self._end(entry, order.reason, 143)

    def reap(self) -> tuple[tuple[int, int], ...]:
        return ()

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        return b""

    def prompt_path(self, handle: Handle) -> Path:
        return FOLDER / f"{handle.job}.prompt"

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        return FOLDER / f"{handle.job}.log", FOLDER / f"{handle.job}.err"

    def live(self) -> tuple[Handle, ...]:
        return tuple(Handle(*key, entry.meta["token"]) for key, entry in self.entries.items() if entry.runs)

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        worker = self.entries[handle.provider, handle.job].worker
        if worker is not None and worker.token == handle.token:
            worker.orphan = False
            self.swept.append(handle.job)
        return ()

    def _view(self, entry: Entry) -> WorkerView:
        if entry.own:
            own = entry.own
            return Exited(int(own["exit_code"]) if own["exit_code"].isdigit() else None, None, own["reason_code"])
        worker = entry.worker
        if worker is None or worker.token != entry.meta.get("token"):
            return Waiting("it is being started") if entry.meta else Missing(started=False)
        if not worker.lives:
            return Missing(started=True)
        return Running(worker.pid, worker.started_at, self._beat(worker))

    def _beat(self, worker: Worker) -> Beat:
        seen = Witness(1.0, worker.signs_at)
        return Beat(worker.beat_at, worker.started_at, Witness(worker.cpu, worker.cpu_at), seen, seen, seen,
                    cpu_share=0.0 if worker.idle else 0.5, stopped_since=worker.frozen_since)

    # --- what happens ---------------------------------------------------------------------------------

    def pass_by(self, span: timedelta) -> None:
        """Time passes; every living wrapper beats, every agent does as it does."""
        self.clock.pass_by(span.total_seconds())
        self.beat()

    def beat(self) -> None:
        """The heartbeats that are due now."""
        for entry in self.entries.values():
            if entry.worker is not None and entry.runs:
                self._moves(entry.worker)

    def _moves(self, worker: Worker) -> None:
        worker.beat_at = self.now
        if not worker.silent:
            worker.signs_at = self.now
        if not worker.idle:
            worker.cpu += 1.0
            worker.cpu_at = self.now

    def stalls(self, job_id: str) -> None:
        """From now on nothing of it moves."""
        worker = self.entry(job_id).worker
        assert worker is not None
        worker.silent = worker.idle = True

    def ends(self, job_id: str, code: int = 0) -> None:
        self._end(self.entry(job_id), "process_exit", code)

    def vanishes(self, job_id: str) -> None:
        """Its wrapper is killed; the agent lives on until somebody looks for it."""
        worker = self.entry(job_id).worker
        assert worker is not None
        worker.lives, worker.orphan = False, True

    def _end(self, entry: Entry, reason: str, code: int) -> None:
        assert entry.worker is not None
        entry.worker.lives = False
        state = ("success" if code == 0 else "failed") if reason == "process_exit" else "killed"
        entry.outcome = {"token": entry.worker.token, "state": state, "exit_code": str(code), "reason_code": reason}


@dataclass
class Office:
    """A desk over the place, with what a test may look into."""

    place: JobPlace = field(default_factory=JobPlace)
    agents: FakeAgents = field(default_factory=FakeAgents)
    probe: FakeProbe = field(default_factory=FakeProbe)
    files: FewFiles = field(default_factory=FewFiles)
    rules: Rules = field(default_factory=Rules)
    pauses: list[timedelta] = field(default_factory=list)
    before_pause: Callable[[], None] = lambda: None
    tokens: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def desk(self) -> Desk:
        return Desk(
            jobs=self.place, executor=self.place, providers={"command": self.agents, "other": self.agents},  # type: ignore[dict-item]
            probe=self.probe, clock=self.place.clock, files=self.files, environ={"PATH": "/bin", "SECRET": "s"},  # type: ignore[arg-type]
            rules=self.rules, pause=self._pause,
            new_token=lambda: f"{next(self.tokens):032x}",
            repository=lambda _: None, make_worktree=lambda *_: None,
        )  # fmt: skip

    def _pause(self, span: timedelta) -> None:
        self.pauses.append(span)
        self.place.clock.pass_by(span.total_seconds())
        self.before_pause()

    def now(self) -> datetime:
        return self.place.clock.now()

    def start(self, job_id: str, provider: str = "command") -> None:
        starting.start(self.desk, starting.Order(job_id, provider, "do it", "/p", Path("/")))

    def restart(self, job_id: str) -> None:
        restarting.restart(self.desk, job_id, restarting.Again("do it"))

    def watchdog(self, **orders: Any) -> Watchdog:
        """`only`, `interval`, `stall` and the orders of the rules."""
        how = {key: orders.pop(key) for key in ("only", "interval", "stall") if key in orders}
        return Watchdog(self.desk, Watch(lambda path: f"text of {path}", Orders(**orders), **how))

    def once(self, **orders: Any) -> list[str]:
        """One pass of a fresh watchdog."""
        return list(self.watchdog(**orders).once())
