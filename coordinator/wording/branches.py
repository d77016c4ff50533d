"""The names of branches: stable for the life of a task, so that retries and the look-up of its PR agree."""

from __future__ import annotations

PREFIX = "rpi/"


def branch_of(task_id: str) -> str:
    """`rpi/gh-471`. A task id holds only letters, digits, dot, dash and underscore; what git forbids of these
    (`..`, a final dot, a final `.lock`) is written with dashes."""
    name = task_id
    while ".." in name:
        name = name.replace("..", "--")
    if name.endswith(".lock"):
        name = name[:-5] + "-lock"
    if name.endswith("."):
        name = name[:-1] + "-"
    return PREFIX + name
