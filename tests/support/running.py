"""A real `coordinator run` on a yard: a process of its own, told by signals and by commands as people tell it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.adapters.store import SqlStore
from coordinator.domain.attempt import Attempt
from coordinator.runfiles import identity
from tests.support.patience import BUSY, end_of
from tests.support.yard import Yard

PATIENCE = 20.0


@dataclass
class Running:
    """The process and what it says. `yard.engine` must not tick meanwhile: one coordinator a repository."""

    yard: Yard
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def until(self, done: Callable[[], Any], seconds: float = PATIENCE) -> None:
        end = end_of(time.monotonic(), seconds)
        while not done():
            if time.monotonic() > end:
                raise AssertionError(f"not reached:\n{self.said[-3000:]}\n{self.board()}")
            time.sleep(0.02)

    def until_state(self, number: int, *states: str, seconds: float = PATIENCE) -> None:
        self.until(lambda: self.row(number).get("state") in states, seconds)

    def board(self) -> dict[str, Any]:
        path = self.yard.clone / ".coordinator" / "board.json"
        found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return found

    def row(self, number: int) -> dict[str, Any]:
        rows = self.board().get("tasks", [])
        return next((row for row in rows if row["id"] == f"gh-{number}"), {})

    def attempts(self, number: int) -> tuple[Attempt, ...]:
        store = SqlStore(self.yard.clone / ".coordinator" / "state.db")
        try:
            return store.attempts().get(f"gh-{number}", ())
        finally:
            store.close()

    def zombies(self) -> list[int]:
        children = identity.children(self.child.pid)
        return [pid for pid in children if (proc := identity.look(pid)) is not None and proc.state == "Z"]

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        """Signals it and waits; its exit code."""
        self.child.send_signal(number)
        return self.child.wait(BUSY * seconds)


def command(yard: Yard, *args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One `coordinator` command, as a person types it in the repository."""
    return subprocess.run([sys.executable, "-m", "coordinator", *args], cwd=cwd or yard.clone, env=environ(yard),
                          capture_output=True, text=True, timeout=150, check=False)


def environ(yard: Yard) -> dict[str, str]:
    return {**yard.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


@contextmanager
def a_daemon(yard: Yard, *args: str, interval: str = "") -> Iterator[Running]:
    """`coordinator run` in the yard's clone; `interval` replaces the poll interval. Killed at the end."""
    if interval:
        config = yard.clone / "coordinator.toml"
        config.write_text(config.read_text().replace('interval = "1s"', f'interval = "{interval}"'))
    log = yard.folder / "daemon.log"
    with log.open("ab") as out:
        child = subprocess.Popen([sys.executable, "-m", "coordinator", "run", *args], cwd=yard.clone,
                                 env=environ(yard), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    running = Running(yard, child, log)
    try:
        yield running
    finally:
        child.kill()
        child.wait()
