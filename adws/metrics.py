"""The counters of the coordinator for scripts: `from adws.metrics import Metrics`.

While a coordinator keeps a repository, it alone writes adws/metrics.json, from its store: there, `increment` and
`reset_errors` of a script would be lost at its next tick, so that resetting becomes a request to it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coordinator.runfiles import atomic
from coordinator.wording import metrics
from coordinator.wording.metrics import GarbageMetrics, NewerMetrics

__all__ = ["GarbageMetrics", "Metrics", "NewerMetrics"]


class Metrics:
    """One metrics file. `data` is the whole object, unknown keys included.

    Raises NewerMetrics when the file was written by a newer coordinator, OSError when it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str] = "adws/metrics.json") -> None:
        self.path = Path(path)
        self.data: dict[str, Any] = self.load()

    def load(self) -> dict[str, Any]:
        """Reads the file over the defaults. One that is no JSON is kept aside as `<name>.bad`, and that is said."""
        try:
            self.data = metrics.parse(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self.data = dict(metrics.DEFAULTS)
        except (GarbageMetrics, UnicodeDecodeError) as error:
            aside = self.path.with_name(self.path.name + ".bad")
            self.path.replace(aside)
            print(f"{self.path} was unreadable and is kept as {aside}: {error}", file=sys.stderr)  # noqa: T201
            self.data = dict(metrics.DEFAULTS)
        return self.data

    def save(self) -> None:
        """Writes the file whole; `last_update` and `health` are made here."""
        text = metrics.render(self.data, datetime.now(UTC))
        self.data = metrics.parse(text)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(str(self.path), text.encode(), 0o644)

    def increment(self, key: str, by: int = 1) -> None:
        """Adds to a counter and saves; a key that is not there begins at 0."""
        value = self.data.get(key) or 0
        if not isinstance(value, int | float):
            raise TypeError(f"metrics key {key!r} holds {value!r}, which is no number")
        self.data[key] = value + by
        self.save()

    def reset_errors(self) -> None:
        """Sets worktree_errors to 0 and saves; on the file of a live coordinator this is a request to it."""
        root = self.path.resolve().parent.parent
        if self.path.name == "metrics.json" and (root / ".coordinator" / "board.json").exists():
            _request_reset(root)
            self.load()
            self.data["worktree_errors"] = 0
            return
        self.data["worktree_errors"] = 0
        self.save()


def _request_reset(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "request", "reset-errors"],
        cwd=root, capture_output=True, text=True, timeout=60, check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the coordinator did not take the request: {done.stderr.strip() or done.stdout.strip()}")
