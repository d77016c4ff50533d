"""What one repository costs when it holds thousands of tasks: a tick, its parts, the files it writes, the database.

`python bench/scale.py [--sizes 100,1000,10000] [--profile]` prints its table. The baseline is the least that any
program does that shows all tasks: it reads their rows with sqlite3 and makes JSON of them. Store, transcripts and all
that is written are real; workers are views as a look leaves them, for nobody has 2,000. Times are CPU seconds.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from coordinator.adapters.providers.command import CommandProvider
from coordinator.adapters.providers.transcript import Transcriber
from coordinator.adapters.store import rows, schema
from coordinator.adapters.store.opening import open_engine
from coordinator.adapters.store.sql import SqlStore
from coordinator.adapters.system.clock import SystemClock
from coordinator.adapters.system.files import SystemFiles
from coordinator.domain.attempt import Attempt
from coordinator.domain.hub import Budget
from coordinator.domain.issue import Issue, PullRequest, PullState, Vet, fingerprint
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.domain.worker import HostState, Running
from coordinator.engine.memory import Memory
from coordinator.engine.observe import observe
from coordinator.engine.projections import Projections
from coordinator.engine.speech import speech_of
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.world import Options, World
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.ports import Handle
from coordinator.runfiles.masking import Masker

NOW = datetime.now(UTC).replace(microsecond=0)
BODY = "What is wanted, and why, in the words of a person. " * 20
TAIL = "a line that the agent printed before its end, as long as lines are\n" * 20
LIFE = ("adopted", "begun", "prepared", "launched", "settled", "pushed", "completed", "to DONE")
"""The events of a task's life, as `coordinator rehearse --keep` leaves them."""
ROUNDS = 2
SLURM = "slurm"


@dataclass(frozen=True)
class Load:
    """So many open tasks, of which so many run; and so many that ended before."""

    open: int
    running: int = 0
    ended: int = 0


# --- the repository ---------------------------------------------------------------------------------


def tasks_of(load: Load) -> Iterator[tuple[Task, int]]:
    """Every task, with how many events its life has left so far. One open task in twenty is in review."""
    for number in range(1, load.open + load.ended + 1):
        if number <= load.running:
            yield _task(number, TaskState.RUNNING, attempts=1, worktree=f"trees/gh-{number}"), 4
        elif number > load.open:
            yield _task(number, TaskState.DONE, attempts=1, tidied=True, pr_number=10**6 + number,
                        completed_at=NOW - timedelta(days=1)), len(LIFE)  # fmt: skip
        elif number % 20 == 0:
            yield _task(number, TaskState.IN_REVIEW, attempts=1, pr_number=10**6 + number), 7
        else:
            yield _task(number, TaskState.QUEUED), 1


def _task(number: int, state: TaskState, **changes: Any) -> Task:
    title, at = f"Make part {number} of it better", NOW - timedelta(days=2)
    pin = Pin(title, BODY, fingerprint(title, BODY), number, "ann", at)
    return replace(Task(f"gh-{number}", pin, f"rpi/gh-{number}", at, at, at, issue=number, state=state,
                        provider="command"), **changes)  # fmt: skip


def _attempt(task: Task) -> Attempt:
    token, at = f"{task.issue:032x}", NOW - timedelta(hours=3)
    begun = Attempt(task.id, 1, token, 1, f"w-{token[-6:]}", "command", at.strftime("%Y%m%d%H%M%S"), at,
                    model="model-1", session_id=token, prepared_at=at, base_sha="b" * 40, launched_at=at, pid=1,
                    stage="build", host=SLURM)  # fmt: skip
    if task.state is TaskState.RUNNING:
        return begun
    return replace(begun, ended_at=at, settled_at=at, ending=Ending.SUCCEEDED, reason="process_exit", exit_code=0,
                   head_sha="c" * 40, commits=1, duration_sec=600.0, usage=Usage(30_000, 6_000, 0.5),
                   summary="It is done as it was wanted.", log_tail=TAIL)  # fmt: skip


def fill(path: Path, load: Load) -> None:
    """The store as such a repository leaves it: the store's own rows, in one transaction."""
    engine, made = open_engine(path), list(tasks_of(load))
    worked = [_attempt(task) for task, _ in made if task.attempts]
    last, policy = {one.task_id: one for one in worked}, Policy(provider="command")
    with engine.begin() as connection:
        def put(table: Any, values: list[dict[str, Any]]) -> None:
            if values:
                connection.execute(insert(table), values)

        put(schema.tasks, [rows.task_row(task) for task, _ in made])
        put(schema.attempts, [rows.attempt_row(one) for one in worked])
        put(schema.events, [rows.flat(Event(task.id, NOW, kind, "some words of it", 1))
                            for task, count in made for kind in LIFE[:count]])
        put(schema.issues, [rows.flat(_issue(task)) for task, _ in made])
        put(schema.vets, [rows.flat(_vet(task)) for task, _ in made])
        put(schema.pulls, [rows.flat(_pull(task)) for task, _ in made if task.pr_number])
        put(schema.outward, [rows.flat(_said(task, last.get(task.id), policy)) for task, _ in made])
        put(schema.documents, [{"name": f"github.{name}", "text": "1"}   # what did not change is not read anew
                               for name in ("issues", "vets", "pulls", "outward")])
    engine.dispose()


def _vet(task: Task) -> Vet:
    at = NOW - timedelta(days=2)
    return Vet(task.issue or 0, at, task.issue or 0, "ann", "write", (), labelled_at=at, sha256=task.pin.sha256)


def _issue(task: Task) -> Issue:
    at, state = NOW - timedelta(days=2), "closed" if task.state is TaskState.DONE else "open"
    return Issue(task.issue or 0, task.pin.title, BODY, state, frozenset({"rpi-auto"}), "ann",
                 f"https://github.test/acme/widgets/issues/{task.issue}", at, at)  # fmt: skip


def _pull(task: Task) -> PullRequest:
    state = PullState.MERGED if task.state is TaskState.DONE else PullState.OPEN
    return PullRequest(task.pr_number or 0, f"https://github.test/acme/widgets/pull/{task.pr_number}", state, False,
                       task.pin.title, "bot", task.branch, "c" * 40, "acme", "main", NOW, NOW)  # fmt: skip


def _said(task: Task, last: Attempt | None, policy: Policy) -> Outward:
    """All is said already: an idle tick has nothing to do."""
    wanted = speech_of(task, (last,) if last is not None else (), policy)
    return Outward(task.id, task.issue, wanted.living, wanted.notices, wanted.labels)


# --- what stands in for the world outside ---------------------------------------------------------------


class Workers:
    """An executor whose workers all run: what a look leaves in memory, and their logs."""

    def __init__(self, jobs: Path) -> None:
        self._jobs, self._view = jobs, Running(1, NOW.timestamp())

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, Running]:
        return dict.fromkeys(handles, self._view)

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        return self._jobs / f"{handle.job}.log", self._jobs / f"{handle.job}.err"

    def hosts(self) -> Mapping[str, HostState]:
        return {}

    def reap(self) -> tuple[tuple[int, int], ...]:
        return ()


class Quiet:
    """A GitHub that nobody asks."""

    def budget(self) -> Budget:
        return Budget()


@contextmanager
def repository(load: Load) -> Iterator[tuple[World, Memory]]:
    root = Path(tempfile.mkdtemp(prefix="bench-scale-"))
    command = CommandProvider()
    try:
        fill(root / ".coordinator" / "state.db", load)
        jobs = root / "jobs"
        jobs.mkdir()
        for number in range(1, load.running + 1):
            (jobs / f"gh-{number}.log").write_text("the agent says what it does\n" * 50)
        store = SqlStore(root / ".coordinator" / "state.db")
        store.keep_document("swept_at", NOW.isoformat())
        policy = Policy(provider="command", executor=SLURM, hosts={SLURM: HostRules(load.running)},
                        max_workers=load.running, sessions_per_day=0, intake=False, login="bot")  # every slot is taken
        unused: Any = None
        outside: Any = Workers(jobs)
        github: Any = Quiet()
        world = World(
            root=root, clock=SystemClock(), store=store, github=github, repo=unused, executor=outside,
            providers={"command": command}, probe=unused, transcript=Transcriber(lambda _: command, Masker()),
            files=SystemFiles(), policy=policy, options=Options(), environ={}, template=unused,
            new_token=lambda: "0" * 32, say=lambda _: None)
        memory = Memory(poll_due=False, listed_at=NOW)
        yield world, memory
        store.close()
    finally:
        shutil.rmtree(root)


# --- measuring ----------------------------------------------------------------------------------------


def cpu_ms(act: Callable[[], object], rounds: int = ROUNDS) -> float:
    """The least of some rounds: what else the machine does only adds."""
    times = []
    for _ in range(rounds):
        began = time.process_time()
        act()
        times.append(time.process_time() - began)
    return 1000 * min(times)


def as_json(path: Path) -> str:
    """The baseline."""
    with closing(sqlite3.connect(path)) as file:
        return json.dumps([file.execute(f"SELECT * FROM {name}").fetchall() for name in ("tasks", "attempts")])


@dataclass(frozen=True)
class Tick:
    """CPU milliseconds."""

    idle: float
    observed: float
    planned: float
    written: float
    changed: float
    baseline: float
    board: float
    store: float
    vacuumed: float


def measured(load: Load) -> Tick:
    """Sizes are MB, of the database with its log folded in."""
    with repository(load) as (world, memory):
        engine = Engine(world, AtOnce(), lambda _: None, memory)
        made = engine.tick()
        assert not made.actions, f"not idle: {made.actions[:3]}"
        projections, store = Projections(world, memory), world.root / ".coordinator" / "state.db"
        snapshot = observe(world, memory)
        projections.write(snapshot, made)
        idle, baseline = cpu_ms(engine.tick), cpu_ms(lambda: as_json(store))
        observed, planned = cpu_ms(lambda: observe(world, memory)), cpu_ms(lambda: plan(snapshot))
        written = cpu_ms(lambda: projections.write(snapshot, made))
        changed = cpu_ms(lambda: _change(world, engine))
        return Tick(idle, observed, planned, written, changed, baseline, _mb(store.with_name("board.json")),
                    *_sizes(world, store))


def _change(world: World, engine: Engine) -> None:
    """A tick after one task has changed: tasks and attempts are read anew, and tasks.md is written."""
    task = max(world.store.tasks(), key=lambda one: one.version)
    world.store.save(replace(task, version=task.version + 1, priority=task.version % 3),
                     Event(task.id, NOW, "changed", ""), was=task.version)  # fmt: skip
    engine.tick()


def _sizes(world: World, store: Path) -> tuple[float, float]:
    """As it is, and after VACUUM."""
    world.store.close()
    before = _mb(store)
    with closing(sqlite3.connect(store)) as file:
        file.execute("VACUUM")
    return before, _mb(store)


def _mb(path: Path) -> float:
    return path.stat().st_size / 1e6


def table(loads: Sequence[Load]) -> Iterator[str]:
    yield ("| open tasks | of them running | ended before | idle tick | of it observe, plan, files | after a change "
           "| baseline | idle, changed : baseline | board.json | state.db, after VACUUM |")
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for load in loads:
        one = measured(load)
        yield (f"| {load.open} | {load.running} | {load.ended} | {one.idle:.0f} ms "
               f"| {one.observed:.0f}, {one.planned:.0f}, {one.written:.0f} ms | {one.changed:.0f} ms "
               f"| {one.baseline:.0f} ms | {one.idle / one.baseline:.1f}, {one.changed / one.baseline:.1f} "
               f"| {one.board:.1f} MB | {one.store:.1f} MB, {one.vacuumed:.1f} MB |")


def profiled(load: Load) -> None:
    """Where the time of a tick goes after one task has changed."""
    with repository(load) as (world, memory):
        engine = Engine(world, AtOnce(), lambda _: None, memory)
        engine.tick()
        profile = cProfile.Profile()
        profile.runcall(_change, world, engine)
        pstats.Stats(profile).sort_stats("cumulative").print_stats(45)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="100,1000,10000")
    parser.add_argument("--profile", action="store_true", help="only the profile of one tick of the largest size")
    given = parser.parse_args()
    known = [int(one) for one in given.sizes.split(",")]
    most = max(known)
    if given.profile:
        profiled(Load(most, running=most // 5))
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores; CPU time, the least of {ROUNDS} rounds. Baseline: "
          "the rows of tasks and attempts, read with sqlite3 and made JSON.\n")  # fmt: skip
    loads = [Load(size, running=size // 5) for size in known]
    for line in table([*loads, Load(min(known), ended=most // 10)]):
        print(line, flush=True)


if __name__ == "__main__":
    main()
