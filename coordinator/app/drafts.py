"""Builders for plan files that nobody runs yet: the shape of one, and a new one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.planfile import PlanFile, PlanTask


class NoDraft(Exception):
    """A new plan file cannot be made; `cure` says what to do."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(words)
        self.cure = cure


class BadTopic(NoDraft):
    """No file can be named by the topic."""


@dataclass(frozen=True)
class Overlap:
    """Tasks of one wave that are run one after the other, and the locations they share."""

    wave: int
    tasks: tuple[str, ...]
    locations: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """A plan by its dependencies. `critical` is the longest chain; `never` are the tasks that wait for a circle."""

    waves: tuple[tuple[PlanTask, ...], ...]
    critical: tuple[str, ...]
    overlaps: tuple[Overlap, ...]
    never: tuple[PlanTask, ...]


def shape(plan: PlanFile) -> Shape:
    """The waves of a plan, and what decides how long it takes."""
    from coordinator.planning.plans.advice import overlapping
    from coordinator.planning.plans.waves import critical_path, waves

    tasks = {task.id: task for task in plan.tasks}
    depends = {task.id: task.depends_on for task in tasks.values()}
    found = tuple(tuple(tasks[task_id] for task_id in wave) for wave in waves(depends))
    overlaps = tuple(
        Overlap(number, tuple(task.id for task in group), locations)
        for number, wave in enumerate(found, 1)
        for group, locations in overlapping(wave).items()
    )
    started = {task.id for wave in found for task in wave}
    return Shape(found, critical_path(depends), overlaps, tuple(tasks[one] for one in tasks if one not in started))


def new_plan(where: Path, topic: str, name: str, tasks: int, repo: str) -> Path:
    """Writes the skeleton of a plan and returns its path. `topic` may be the file's name, with folders before it; the
    repository is the one stood in where none is named. Raises NoDraft, OSError."""
    from coordinator.config.rooting import find_root
    from coordinator.runfiles import atomic
    from coordinator.wording.plan_md.making import skeleton
    from coordinator.wording.plan_md.reading import ENDING, plan_id, valid_topic

    found = plan_id(topic) if topic.lower().endswith((ENDING, ".md")) else Path(topic).name
    if not valid_topic(found):
        raise BadTopic(f"no plan can be named {topic!r}", "Name its topic in letters, digits and dashes, such as auth.")
    path = where / Path(topic).parent / f"{found}{ENDING}"
    if path.is_symlink() or path.exists():
        raise NoDraft(f"{path} is there already", f"Look at it with coordinator plan show {path}, or name another.")
    if not path.parent.is_dir():
        raise NoDraft(f"there is no folder {path.parent}", f"mkdir -p {path.parent}")
    title = " ".join(name.split()) or found.replace("-", " ").replace("_", " ").strip().capitalize()
    text = skeleton(found, title, tasks, repo or (find_root(where) or where).name)
    atomic.write(str(path), text.encode(), mode=0o644)
    return path
