"""How an experienced planner would cut a plan: as many agents as its size asks for, one for each change set, those in
each other's way one after the other. Everything here is a warning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.domain.finding import Finding
from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.planning.plans.overlap import crowds, plain
from coordinator.planning.plans.risks import high_risk, risks
from coordinator.planning.plans.waves import waves

SMALL, MIDDLE = 2, 5
"""Files up to which a change is one agent's, and up to which it is one's or two's."""
NAMED = 8


def advice(plan: PlanFile) -> Iterator[Finding]:
    """What is doubtful about a plan that could be run."""
    yield from _size(plan)
    for task in plan.tasks:
        yield from _risky(task)
    for number, wave in enumerate(_waves(plan), 1):
        yield from _crowded(number, wave)
        yield from _one_a_file(number, wave)


def agents(files: int, repositories: int) -> int:
    """The most agents that should work at once on a change of this size."""
    if repositories > 1 or files > MIDDLE:
        return 3
    return 2 if files > SMALL else 1


def plan_needed(files: int, repositories: int, *, risky: bool) -> bool:
    """Whether a change is large or dangerous enough to be written down as a plan first."""
    return files > MIDDLE or repositories > 1 or risky


def _waves(plan: PlanFile) -> Iterator[tuple[PlanTask, ...]]:
    tasks = {task.id: task for task in plan.tasks}
    for wave in waves({task.id: task.depends_on for task in plan.tasks}):
        yield tuple(tasks[task_id] for task_id in wave)


def _size(plan: PlanFile) -> Iterator[Finding]:
    files = len({(task.repo, plain(path)) for task in plan.tasks for path in task.location})
    repos = len({task.repo for task in plan.tasks})
    most = agents(files, repos)
    size = f"{files} file{'s' * (files != 1)} in {repos} repositor{'y' if repos == 1 else 'ies'}"
    for number, wave in enumerate(_waves(plan), 1):
        if len(wave) > most:
            advised = {1: "one agent", 2: "one agent or two", 3: "two agents or three"}[most]
            yield Finding("warning", wave[most].line, "", f"wave {number} has {len(wave)} tasks for {size}: {advised} "
                          "would do", "join tasks that bring one outcome, or run it with --max-workers "
                          f"{most}")  # fmt: skip
    if plan.tasks and not plan_needed(files, repos, risky=high_risk(plan.tasks)):
        yield Finding("warning", 0, "", f"{size} and nothing risky need no plan file",
                      "an issue with an Approach and an Acceptance does; a plan is for six files or more, several "
                      "repositories, or a risk")  # fmt: skip


def _risky(task: PlanTask) -> Iterator[Finding]:
    for risk, told in risks(task):
        yield Finding("warning", task.line, task.id, f"{task.id} looks {risk.name} ({told!r})", risk.cure)


def _crowded(number: int, wave: Sequence[PlanTask]) -> Iterator[Finding]:
    for group, paths in overlapping(wave).items():
        last, shared = group[-1], ", ".join(paths[:3]) + (" and more" if len(paths) > 3 else "")
        yield Finding("warning", last.line, last.id, f"{_names(group)} of wave {number} overlap in {shared}: they are "
                      "run one after the other",
                      f"let {last.id} depend on {group[-2].id}, or give each files of its own", "location")  # fmt: skip


def overlapping(wave: Sequence[PlanTask]) -> dict[tuple[PlanTask, ...], tuple[str, ...]]:
    """Tasks of one wave and repository whose locations overlap, with these locations."""
    found: dict[tuple[PlanTask, ...], tuple[str, ...]] = {}
    for repo in dict.fromkeys(task.repo for task in wave):
        found.update(crowds({task: [plain(path) for path in task.location] for task in wave if task.repo == repo}))
    return found


def _one_a_file(number: int, wave: Sequence[PlanTask]) -> Iterator[Finding]:
    for repo in dict.fromkeys(task.repo for task in wave):
        here = [task for task in wave if task.repo == repo]
        if len(here) > 1 and all(len(task.location) == 1 for task in here):
            yield Finding("warning", here[0].line, "", f"{_names(here)} of wave {number} change one file of {repo} "
                          "each", "one agent for each change set, never one for each file: join those that belong "
                          "together")  # fmt: skip


def _names(tasks: Sequence[PlanTask]) -> str:
    ids = [task.id for task in tasks]
    shown = ids[:NAMED] if len(ids) > NAMED + 1 else ids
    return ", ".join(shown) + (f" and {len(ids) - len(shown)} more" if len(shown) < len(ids) else "")
