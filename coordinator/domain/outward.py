"""What we have already said outside about a task, so that nothing is said twice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outward:
    """`living_key` names the content last written to the living comment; `notices` the keys of new comments.

    `labels` are our own labels as last set on the issue, None when never looked at.
    """

    task_id: str
    comment_id: int | None = None
    living_key: str = ""
    notices: frozenset[str] = frozenset()
    labels: frozenset[str] | None = None
