"""What the memory costs: a task's moves with their events, each forced onto the disk, and reading 10,000 tasks.

`python bench/store.py [--moves 1000] [--tasks 10000]` prints its table. The baseline is the least that keeps the same
promise: plain sqlite3 on the same disk, the same pragmas, one transaction of an update by version and an event row;
and for reading, the same rows as tuples, by sqlite3 and by SQLAlchemy's Core, which the store uses.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from measure import machine, median_ms, scratch, timed
from scale import NOW, Load, fill
from sqlalchemy import create_engine, select

from coordinator.adapters.store import schema
from coordinator.adapters.store.sql import SqlStore
from coordinator.domain.request import Event
from coordinator.domain.task import Task

ROUNDS = 5
SWAP = "UPDATE tasks SET version = ?, detail = ? WHERE id = ? AND version = ?"
LOG = "INSERT INTO events (task_id, at, kind, detail, attempt) VALUES (?, ?, ?, ?, ?)"


def moves(path: Path, count: int) -> float:
    """A second, by the store."""
    with closing(SqlStore(path)) as store:
        task = store.tasks()[0]
        return count / timed(lambda: _move(store, task, count))


def _move(store: SqlStore, task: Task, count: int) -> None:
    for number in range(count):
        was, task = task.version, replace(task, version=task.version + 1, detail=f"move {number}")
        store.save(task, Event(task.id, NOW, "moved", "some words of it", 1), was=was)


def plain_moves(path: Path, count: int) -> float:
    """A second, by sqlite3 alone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        task, version = file.execute("SELECT id, version FROM tasks LIMIT 1").fetchone()

        def act() -> None:
            for number in range(count):
                file.execute("BEGIN IMMEDIATE")
                file.execute(SWAP, (version + number + 1, f"move {number}", task, version + number))
                file.execute(LOG, (task, NOW.isoformat(), "moved", "some words of it", 1))
                file.execute("COMMIT")

        return count / timed(act)


def read_all(path: Path) -> tuple[tuple[Task, ...], float]:
    """The tasks by a store that has just been opened, and the milliseconds it took; opening is not counted."""
    with closing(SqlStore(path)) as store:
        found: list[tuple[Task, ...]] = []
        took = timed(lambda: found.append(store.tasks()))
        return found[0], 1000 * took


def core_rows(path: Path) -> float:
    """Milliseconds for all columns of all tasks, with what our column types make of them, as rows."""
    engine = create_engine(f"sqlite:///{path}")
    with closing(engine.connect()) as connection:
        return median_ms(lambda: connection.execute(select(schema.tasks)).fetchall(), ROUNDS)


def table(count: int, tasks: int) -> Iterator[str]:
    with scratch() as root:
        path = root / "state.db"
        fill(path, Load(tasks))
        ours, plain = moves(path, count), plain_moves(path, count)
        loaded = min(read_all(path)[1] for _ in range(ROUNDS))
        with closing(sqlite3.connect(path)) as file:
            rows = median_ms(lambda: file.execute("SELECT * FROM tasks").fetchall(), ROUNDS)
        core = core_rows(path)
    yield "| what | the store | plain sqlite3 | ratio |\n|---|---|---|---|"
    yield f"| moves a second, each with its event, full fsync | {ours:,.0f} | {plain:,.0f} | {ours / plain:.2f} |"
    yield f"| {tasks:,} tasks read | {loaded:.0f} ms | {rows:.0f} ms | {loaded / rows:.1f} |"
    yield f"| the same, beside Core's rows | {loaded:.0f} ms | {core:.0f} ms | {loaded / core:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moves", type=int, default=1000)
    parser.add_argument("--tasks", type=int, default=10_000)
    given = parser.parse_args()
    print(f"{machine()}; reading is the best of {ROUNDS}, by the clock.\n")
    for line in table(given.moves, given.tasks):
        print(line, flush=True)


if __name__ == "__main__":
    main()
