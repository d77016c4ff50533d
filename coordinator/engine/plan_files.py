"""Plan files as people read them: status, log and edited files of each task, written from what was observed.

An edit that a person makes meanwhile stays: only the lines that the coordinator owns are changed, and only in a
file that is still what was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending
from coordinator.domain.planfile import PlanTask, Result, Undertaking
from coordinator.domain.task import Task, TaskState
from coordinator.engine.world import World
from coordinator.planning.snapshot import Snapshot
from coordinator.wording.escape import one_line
from coordinator.wording.plan_md.writing import STATUS_WORDS, Change, update

_S = TaskState


class PlanFiles:
    """The one writer of what the coordinator knows into plan files. A file that is gone is said once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._written: dict[str, dict[str, Change]] = {}
        self._missed: set[str] = set()

    def write(self, s: Snapshot) -> None:
        """Brings the file of every plan up to date, where it lies if it has become a link. Raises OSError."""
        for under in s.plans.values():
            changes = {one.id: change for one in under.plan.tasks if (change := self._change(s, under, one))}
            if changes and changes != self._written.get(under.id) and self._put(Path(under.path).resolve(), changes):
                self._written[under.id] = changes

    def _put(self, path: Path, changes: dict[str, Change]) -> bool:
        text = self._world.files.read(path)
        if text is None:
            if str(path) not in self._missed:
                self._missed.add(str(path))
                self._world.say(f"the plan file {path} is gone: the plan goes on as it was taken up, nothing is "
                                f"written there")
            return False
        fresh = update(text, changes)
        return fresh == text or self._world.files.put_if_unchanged(path, fresh, text)

    def _change(self, s: Snapshot, under: Undertaking, one: PlanTask) -> Change | None:
        task = s.tasks.get(under.key(one))
        if task is None or (task.state is _S.QUEUED and not task.attempts):
            return None
        result = under.results.get(one.id) if task.state is _S.DONE else None
        log = self._log(task, s.attempts.get(task.id, ()), result)
        return Change(STATUS_WORDS[task.state], log, result.files if result is not None else ())

    def _log(self, task: Task, history: Sequence[Attempt], result: Result | None) -> str:
        """One entry a line, none of which changes later: each attempt that ended, then what came of the task."""
        entries = [_attempt(attempt) for attempt in history if attempt.ending is not None]
        if result is not None:
            commits = f"{result.commits} commit{'s' if result.commits != 1 else ''}"
            entries += [f"{commits} merged as {result.sha[:12]}", result.validation, *result.notes]
        elif task.state in (_S.BLOCKED, _S.FAILED, _S.CANCELLED):
            entries.append(f"{STATUS_WORDS[task.state].lower()}: {task.reason} {task.detail}")
        return "\n".join(one_line(entry, 400) for entry in entries if entry)


def _attempt(attempt: Attempt) -> str:
    began = attempt.launched_at or attempt.created_at
    minutes, seconds = divmod(int(attempt.duration_sec), 60)
    end = "ended well" if attempt.ending == Ending.SUCCEEDED else attempt.reason
    return f"{began:%Y-%m-%d %H:%M} UTC attempt {attempt.number} ({attempt.provider}, {minutes}m {seconds:02d}s): {end}"
