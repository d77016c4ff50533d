"""What may be removed: pure. Never anything of a task that may still move, of a job whose processes live, of the
newest failure of a task, and never work that no task here answers for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from coordinator.domain.remains import WALLED, Litter, Remain
from coordinator.domain.task import ENDED, NEEDS_PERSON, Task

RESCUE = "rescue ref"
_WORK = (RESCUE, WALLED)
"""What may be the only copy of commits."""


@dataclass(frozen=True)
class Ages:
    """How old each kind of thing may become."""

    transcripts: timedelta = timedelta(days=30)
    run_files: timedelta = timedelta(days=30)
    rescue: timedelta = timedelta(days=30)

    def of(self, kind: str) -> timedelta:
        return {"transcript": self.transcripts, "run file": self.run_files, RESCUE: self.rescue,
                WALLED: self.rescue}[kind]


def litter(
    remains: Iterable[Remain], tasks: Mapping[str, Task], busy: Collection[str], ages: Ages, now: datetime
) -> Iterator[Litter]:
    """Those remains that are older than their kind may become and that nobody needs. `busy`: jobs that live."""
    for one in remains:
        age = now - one.at
        if age > ages.of(one.kind) and one.task_id not in busy and not needed(one, tasks.get(one.task_id)):
            yield Litter(one.kind, one.name, f"{age.days} days old", one.size)


def needed(one: Remain, task: Task | None) -> bool:
    """A task on its way needs all of it; one that a person must look at, what its last attempt left and all its
    rescued work. Rescued work of a task that nobody knows may be all that a lost memory left: it stays."""
    if task is None:
        return one.kind in _WORK
    if task.state in NEEDS_PERSON:
        return one.newest or one.kind in _WORK
    return task.state not in ENDED
