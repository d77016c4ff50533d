"""A plan file as people look at it before it is run: what is wrong with it, and its waves as a tree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from coordinator.cli.views.fitting import Line, clean, cut

if TYPE_CHECKING:
    from coordinator.app.drafts import Shape
    from coordinator.domain.finding import Finding
    from coordinator.domain.planfile import PlanFile, PlanTask

_KINDS = {"error": "FAILED", "warning": "warning"}


def findings(name: str, plan: PlanFile, found: Sequence[Finding]) -> list[Line]:
    """The verdict first, then each finding with its cure below; whole lines, since a cure that is cut is none."""
    counts = [f"{number} {word}{'s' * (number != 1)}" for word in ("error", "warning")
              if (number := sum(one.level == word for one in found))]  # fmt: skip
    verdict = ", ".join(counts) or f"good, {counted(len(plan.tasks), 'task')}"
    lines = [Line("head", f"{clean(name)}: {verdict}")]
    for one in found:
        where = f"line {one.line}" if one.line else "the file"
        lines.append(Line(_KINDS[one.level], f"  {where}: {one.level}: {clean(one.words)}"))
        lines.append(Line("plain", f"    → {clean(one.cure)}"))
    return lines


def finding_row(one: Finding) -> dict[str, Any]:
    return {"level": one.level, "line": one.line, "task": one.task, "words": one.words, "cure": one.cure}


def tree(plan: PlanFile, shape: Shape, errors: int, width: int) -> list[Line]:
    """The waves as a tree, then what decides how long the plan takes."""
    repos = len({task.repo for task in plan.tasks})
    size = [counted(len(plan.tasks), "task"), counted(len(shape.waves), "wave"), counted(repos, "repository")]
    lines = [Line("head", f"plan {clean(plan.id)} · {clean(plan.name)} · {' · '.join(size)}")]
    if errors:
        lines.append(Line("warning", f"! it has {counted(errors, 'error')} and cannot be run: coordinator plan check"))
    branches = [(f"wave {number}", wave) for number, wave in enumerate(shape.waves, 1)]
    branches += [("never: in a circle, or waiting for one", shape.never)] if shape.never else []
    for place, (title, tasks) in enumerate(branches, 1):
        lines += _branch(title, tasks, last=place == len(branches))
    lines += _below(plan, shape)
    return [Line(line.kind, cut(line.text, width)) for line in lines]


def counted(number: int, word: str) -> str:
    many = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else many}"


def _branch(title: str, tasks: Sequence[PlanTask], *, last: bool) -> Iterator[Line]:
    yield Line("title", f"{'└─' if last else '├─'} {title}")
    for task in tasks:
        twig = f"{'  ' if last else '│ '} {'└─' if task is tasks[-1] else '├─'}"
        words = [clean(task.id), clean(task.name), clean(task.repo), _places(task.location)]
        after = f"after {', '.join(map(clean, task.depends_on))}" if task.depends_on else ""
        yield Line("plain", f"{twig} {'  '.join(filter(None, (*words, after)))}")


def _places(locations: Sequence[str]) -> str:
    shown = [clean(path) for path in locations[:3]]
    return ", ".join(shown) + (f" +{len(locations) - 3}" if len(locations) > 3 else "")


def _below(plan: PlanFile, shape: Shape) -> Iterator[Line]:
    if shape.critical:
        yield Line("plain", f"critical path: {' → '.join(map(clean, shape.critical))} "
                   f"({len(shape.critical)} of {counted(len(plan.tasks), 'task')})")  # fmt: skip
    for one in shape.overlaps:
        who, where = _list(one.tasks), _list(one.locations)
        yield Line("warning", f"overlap: {who} of wave {one.wave} in {where}: run one after the other")


def _list(words: Iterable[str]) -> str:
    return ", ".join(map(clean, words))


def tree_row(plan: PlanFile, shape: Shape) -> dict[str, Any]:
    """The same as data."""
    wave = {task.id: number for number, tasks in enumerate(shape.waves, 1) for task in tasks}
    return {
        "id": plan.id,
        "name": plan.name,
        "waves": [[task.id for task in tasks] for tasks in shape.waves],
        "tasks": [
            {"id": task.id, "name": task.name, "line": task.line, "wave": wave.get(task.id), "repo": task.repo,
             "depends_on": list(task.depends_on), "location": list(task.location), "status": task.status}
            for task in plan.tasks
        ],
        "critical_path": list(shape.critical),
        "overlaps": [{"wave": one.wave, "tasks": list(one.tasks), "locations": list(one.locations)}
                     for one in shape.overlaps],
        "never": [task.id for task in shape.never],
    }  # fmt: skip
