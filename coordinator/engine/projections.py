"""What other programs and people read, made from the store after each tick: tasks.md, plan files, metrics.json,
board.json."""

from __future__ import annotations

import json
from typing import Any

from coordinator.engine.board import Board
from coordinator.engine.counters import counters
from coordinator.engine.ledger import Ledger
from coordinator.engine.memory import Memory
from coordinator.engine.plan_files import PlanFiles
from coordinator.engine.world import World
from coordinator.planning.actions import Plan
from coordinator.planning.snapshot import Snapshot
from coordinator.wording import metrics


class Projections:
    """The one writer of the three files. A file that cannot be written is said and stops nothing."""

    def __init__(self, world: World, memory: Memory) -> None:
        self._world = world
        self._memory = memory
        self._ledger = Ledger(world)
        self._plan_files = PlanFiles(world)
        self._board = Board(world, memory)
        self._metrics: dict[str, Any] = {}

    def forget(self) -> None:
        """The next write makes every file anew, whatever stands there."""
        self._ledger.forget()
        self._metrics = {}

    def read_edits(self) -> None:
        """People's edits of tasks.md become requests before anything is planned."""
        self._try("tasks.md", self._ledger.read)

    def write(self, snapshot: Snapshot, made: Plan) -> None:
        """All three, after the last turn of a tick."""
        self._try("tasks.md", self._ledger.sync)
        self._try("the plan file", lambda: self._plan_files.write(snapshot))
        self._try("adws/metrics.json", lambda: self._write_metrics(snapshot))
        self._try("board.json", lambda: self._write_board(snapshot, made))

    def _write_metrics(self, snapshot: Snapshot) -> None:
        path = self._world.root / "adws" / "metrics.json"
        counted = counters(self._world, self._memory, snapshot)
        if counted == self._metrics and self._world.files.exists(path):
            return
        metrics.check(self._world.files.read(path))
        self._world.files.put(path, metrics.render(counted, self._world.clock.now()))
        self._metrics = counted

    def _write_board(self, snapshot: Snapshot, made: Plan) -> None:
        text = json.dumps(self._board.data(snapshot, made), ensure_ascii=False, separators=(",", ":"))
        self._world.files.put(self._world.root / ".coordinator" / "board.json", text + "\n")

    def _try(self, name: str, write: Any) -> None:
        try:
            write()
        except (OSError, metrics.NewerMetrics) as error:
            self._world.say(f"{name} cannot be written: {error}")
