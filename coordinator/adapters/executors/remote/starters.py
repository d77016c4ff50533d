"""The seam for whoever starts wrappers on a host in place of its far end. It must not know one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.domain.worker import WorkerView
from coordinator.ports import Handle, LaunchSpec, StopOrder


class Starter(Protocol):
    """Who starts wrappers in place of the far end itself, and knows more of them than their files: Slurm. Each may
    raise Away."""

    def start(self, mirror: Mirror, spec: LaunchSpec, folder: Path, wrapper: Sequence[str]) -> None:
        """The papers are laid in `folder` there. Raises LaunchFailed too."""

    def ask(self, mirrors: Sequence[Mirror]) -> None:
        """Once a look, for all."""

    def judged(self, mirror: Mirror, view: WorkerView, now: datetime) -> WorkerView:
        """With what the files say."""

    def order(self, mirror: Mirror) -> StopOrder | None:
        """What a worker must be told that it has lost hold of, by what was judged last."""

    def stop(self, mirror: Mirror, order: StopOrder) -> None: ...

    def live(self, known: Sequence[Handle]) -> tuple[Handle, ...]:
        """Those that it still has."""
