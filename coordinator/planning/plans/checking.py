"""What is wrong with a plan once its text is read: what cannot be run, and what an experienced planner would do
otherwise. Which repositories there are is told; nothing is looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from coordinator.domain.finding import Finding
from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.planning.dependencies import circles
from coordinator.planning.plans.advice import advice
from coordinator.planning.plans.overlap import plain
from coordinator.planning.plans.waves import natural

_SPAN = re.compile(r"(`{1,3})[ \t]*(?P<command>[^`\n]+?)[ \t]*\1")
_FENCE = re.compile(r"(```+|~~~+)[^\n]*\n(?P<command>.*?)\n[ \t]*\1", re.DOTALL)
_PROMPT = re.compile(r"^[ \t]*\$[ \t]+", re.MULTILINE)
_ELSEWHERE = re.compile(r"[/~\\]|[A-Za-z]:[\\/]|[A-Za-z][\w+.-]*://")


def findings(plan: PlanFile, repos: Mapping[str, object | None]) -> tuple[Finding, ...]:
    """Everything wrong or doubtful about the plan, in the file's order. `repos` has each repository by the name the
    plan gives it, None for one that is not there."""
    found = [*_circles(plan), *_repositories(plan, repos)]
    for task in plan.tasks:
        found += [*_outside(task), *_by_hand(task)]
    return tuple(sorted([*found, *advice(plan)], key=lambda one: one.line))


def command_of(validation: str) -> str:
    """The command that a validation is: the whole of it one code span or fenced block, or after `$ `. "" for prose,
    which only a person can check."""
    text = validation.strip()
    found = _SPAN.fullmatch(text) or _FENCE.fullmatch(text)
    if found is not None:
        return _PROMPT.sub("", found["command"]).strip()
    return text[2:].strip() if text.startswith("$ ") and "\n" not in text else ""


def _circles(plan: PlanFile) -> Iterator[Finding]:
    tasks = {task.id: task for task in plan.tasks}
    waits_for = {task.id: frozenset(task.depends_on) & tasks.keys() for task in tasks.values()}
    for members in dict.fromkeys(circles(waits_for).values()):
        chain = _chain(waits_for, frozenset(members), min(members, key=natural))
        first = tasks[chain[0]]
        words = f"{first.id} depends on itself"
        if len(chain) > 1:
            words = f"tasks wait for each other in a circle: {' waits for '.join((*chain, chain[0]))}"
        cure = f"take {chain[1 % len(chain)]} out of the depends_on of {first.id}, or another link of the circle"
        yield Finding("error", first.line, first.id, words, cure, "depends_on")


def _chain(waits_for: Mapping[str, frozenset[str]], members: frozenset[str], start: str) -> tuple[str, ...]:
    """The shortest way round the circle from here."""
    before: dict[str, str] = {}
    edge = [start]
    while start not in before:
        following = []
        for one in edge:
            for other in sorted(waits_for[one] & members, key=natural):
                if other not in before:
                    before[other] = one
                    following.append(other)
        edge = following
    chain = [before[start]]
    while chain[-1] != start:
        chain.append(before[chain[-1]])
    return tuple(reversed(chain))


def _repositories(plan: PlanFile, repos: Mapping[str, object | None]) -> Iterator[Finding]:
    first = {task.repo: task for task in reversed(plan.tasks) if task.repo}
    seen: dict[object, str] = {}
    for name, task in sorted(first.items(), key=lambda pair: pair[1].line):
        root = repos.get(name)
        if root is None:
            yield Finding("error", task.line, task.id, f"there is no checkout of the repository {name!r}",
                          "clone it into a folder of this name beside the one you stand in, or write the path of its "
                          "checkout as repo", "repo")  # fmt: skip
        elif seen.setdefault(root, name) != name:
            yield Finding("warning", task.line, task.id, f"{seen[root]} and {name} are one repository",
                          f"write {seen[root]} everywhere: each name has a pull request of its own",
                          "repo")  # fmt: skip


def _outside(task: PlanTask) -> Iterator[Finding]:
    for path in task.location:
        if _ELSEWHERE.match(path) or plain(path).split("/")[0] in ("..", ".git"):
            yield Finding("error", task.line, task.id, f"the location {path!r} of {task.id} is outside its repository",
                          f"write the path from the root of {task.repo or 'the repository'}, such as src/a.py; for "
                          "another repository write a task of its own", "location")  # fmt: skip


def _by_hand(task: PlanTask) -> Iterator[Finding]:
    if task.validation and not command_of(task.validation):
        yield Finding("warning", task.line, task.id, f"the validation of {task.id} is no command, so nobody runs it",
                      "write the command alone in backticks, such as `pytest tests/test_keys.py`",
                      "validation")  # fmt: skip
