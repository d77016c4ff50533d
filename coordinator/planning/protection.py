"""Paths that an agent should not change unseen: which of them a push carries, and what becomes of it then."""

from __future__ import annotations

from dataclasses import dataclass

from coordinator.domain import agentfiles
from coordinator.domain.cargo import Cargo
from coordinator.domain.patterns import matches, matching
from coordinator.domain.task import Task


@dataclass(frozen=True)
class Protection:
    """`mode`: `draft` makes the pull request one, `block` pushes nothing, `off`."""

    paths: tuple[str, ...] = ()
    mode: str = "draft"

    def touched(self, cargo: Cargo) -> tuple[str, ...]:
        """The protected paths among those that changed. What a protected link leads to is protected with it."""
        if self.mode == "off":
            return ()
        through = [target for path, target in cargo.links if any(matches(path, rule) for rule in self.paths)]
        inside = [f"/{target}/**" for target in through if target not in (".", "..") and not target.startswith("../")]
        return matching(cargo.files, (*self.paths, *(f"/{target}" for target in through), *inside))


AGENTS = Protection(agentfiles.PATTERNS)
"""What the next agent would obey."""


def clearing(reason: str, sha: str) -> str:
    """How it is kept on the task that a person let this pass."""
    return f"{reason}:{sha}"


def cleared(task: Task, *reasons: str) -> tuple[str, ...]:
    """The commits at which a person let pass what was held back for one of these reasons."""
    pairs = (one.partition(":") for one in task.cleared)
    return tuple(sha for reason, _, sha in pairs if reason in reasons)
