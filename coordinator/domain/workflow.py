"""A workflow: the stages that work passes, one attempt each, and what was seen of the one that ended last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

HANDOFF = ".coordinator/handoff"
"""The folder of a worktree in which a stage leaves what the next ones read; no commit ever holds it."""

COMMITS = "commits"
"""What a stage leaves behind when that is no file."""

APPROVED, CHANGES = "approved", "changes needed"
VERDICT = "VERDICT:"
"""How the first line of a reviewer's file begins; one of the two words above follows."""


@dataclass(frozen=True)
class Gate:
    """What must hold before the next stage begins: a command that ends well in the worktree, a file that is there, a
    person's approval by label."""

    command: str = ""
    timeout: timedelta = timedelta(minutes=10)
    file: str = ""
    approval: bool = False


@dataclass(frozen=True)
class Stage:
    """"" and None mean: as the task or coordinator.toml has it. `leaves` are patterns of files in the worktree, and
    COMMITS. `sends_back_to` names the earlier stage that a verdict of CHANGES gives the work to, `sends_back` times at
    most; the verdict stands in the first file that the stage leaves."""

    name: str
    template: str = ""
    provider: str = ""
    model: str = ""
    leaves: tuple[str, ...] = (COMMITS,)
    gate: Gate = Gate()
    retries: int | None = None
    sends_back_to: str = ""
    sends_back: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(one for one in self.leaves if one != COMMITS)


@dataclass(frozen=True)
class Workflow:
    name: str
    stages: tuple[Stage, ...]

    def place(self, stage: str) -> int | None:
        """The place of the stage of this name, from 0."""
        return next((at for at, one in enumerate(self.stages) if one.name == stage), None)


BUILD = Workflow("build", (Stage("build"),))
"""One stage, as coordinator.toml has it: what a task without a workflow passes."""


@dataclass(frozen=True)
class Library:
    """The workflows by name; `broken` says of a file that cannot be used why not."""

    known: Mapping[str, Workflow] = field(default_factory=lambda: {BUILD.name: BUILD})
    broken: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> Workflow | None:
        """The workflow of this name, "" being the build; None where there is none or it cannot be used."""
        return None if (name or BUILD.name) in self.broken else self.known.get(name or BUILD.name)


@dataclass(frozen=True)
class Left:
    """What a stage was seen to leave. `files` are (path in the worktree, text), `missing` the patterns of `leaves` and
    of the gate that no file fits, `gate` the end of the gate command's output when it failed, else ""; `verdict` what
    the first line of a reviewer's file says, "" where it says neither word, with `first` being that line."""

    files: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    gate: str = ""
    verdict: str = ""
    first: str = ""
