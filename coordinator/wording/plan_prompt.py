"""What a worker's prompt says of the plan that its task stands in. What a plan file says is material: it enters on one
line, or between lines of dashes that it cannot hold."""

from __future__ import annotations

from coordinator.domain.planfile import PlanFile, PlanTask
from coordinator.wording.escape import clean, fenced_words, one_line

NONE = "None"


def plan_words(plan: PlanFile, one: PlanTask, file: str, *, worktree: str, key: str, agent: str) -> dict[str, object]:
    """The words that a template names as `plan`. `file` is the plan file's path, `key` the Feature-Key of its commits,
    `agent` who signs them."""
    return {
        "file": _path(file),
        "name": one_line(plan.name) or plan.id,
        "task": one.id,
        "title": one_line(one.name),
        "dependencies": ", ".join(_dependency(plan, task_id) for task_id in one.depends_on) or NONE,
        "repo": one_line(one.repo) or NONE,
        "location": tuple(_path(path) for path in one.location),
        "description": fenced_words(clean(one.description).strip()),
        "validation": _validation(one.validation),
        "worktree": _path(worktree),
        "key": one_line(key),
        "agent": one_line(agent),
    }


def _dependency(plan: PlanFile, task_id: str) -> str:
    other = plan.task(task_id)
    return f"{task_id} ({one_line(other.name)})" if other is not None and other.name else task_id


def _validation(words: str) -> str:
    text = clean(words).strip()
    return text if text and "\n" not in text else f"\n\n{fenced_words(text)}" if text else NONE


def _path(path: str) -> str:
    """A path on one line; unlike other words it is never shortened."""
    return clean(path).replace("\n", " ").replace("`", "'").strip()
