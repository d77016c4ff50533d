"""The text of a new plan file, to be filled in: every field that a task needs, in the order people read them."""

from __future__ import annotations

_TASK = """### T{number}: {what}
- **depends_on**: [{depends}]
- **repo**: {repo}
- **location**: [src/part_{number}.py]
- **description**: What is to be done, and what must be true when it is.
- **validation**: `git diff --check HEAD~1`
- **status**: Not Started
- **log**:
- **files edited**: []
"""


def skeleton(topic: str, name: str, tasks: int, repo: str) -> str:
    """A plan that `plan check` accepts: each task waits for the one before."""
    head = f"# Plan: {name}\n\n## Overview\nWhat {topic} is to bring, for whom, and what it leaves alone.\n\n## Tasks\n"
    each = (
        _TASK.format(
            number=number,
            what="Name of the task" if number > 1 else "Name of the first task",
            depends=f"T{number - 1}" if number > 1 else "",
            repo=repo,
        )
        for number in range(1, tasks + 1)
    )
    return "\n".join([head, *each])
