"""What may be removed: pure. Never anything of a task that may still move, never the newest failure of a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.remains import Litter, Remain
from coordinator.domain.task import ENDED, NEEDS_PERSON, Task


@dataclass(frozen=True)
class Ages:
    """How old each kind of thing may become."""

    transcripts: timedelta = timedelta(days=30)
    run_files: timedelta = timedelta(days=30)
    rescue: timedelta = timedelta(days=30)

    def of(self, kind: str) -> timedelta:
        return {"transcript": self.transcripts, "run file": self.run_files, "rescue ref": self.rescue}[kind]


def litter(remains: Iterable[Remain], tasks: Mapping[str, Task], ages: Ages, now: datetime) -> Iterator[Litter]:
    """Those remains that are older than their kind may become and that nobody needs."""
    for one in remains:
        age, task = now - one.at, tasks.get(one.task_id)
        if age < ages.of(one.kind) or (task is not None and needed(one, task)):
            continue
        yield Litter(one.kind, one.name, f"{age.days} days old", one.size)


def needed(one: Remain, task: Task) -> bool:
    """A task on its way needs all of it; one that a person must look at, what its last attempt left."""
    return task.state not in ENDED or (one.newest and task.state in NEEDS_PERSON)
