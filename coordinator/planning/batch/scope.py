"""Which tasks or jobs are one batch, and how a person names it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

PREFIX, LABEL, PLAN = "prefix", "label", "plan"
KINDS = (PREFIX, LABEL, PLAN)


@dataclass(frozen=True)
class Scope:
    """`place` is where its members are found: a folder of run files, or a repository. `log_dir` is the option a folder
    was named by, "" for the usual one."""

    kind: str
    name: str
    place: str = ""
    log_dir: str = ""

    @property
    def key(self) -> str:
        """`prefix:bd-`, as `wait --batch` takes it."""
        return f"{self.kind}:{self.name}"

    @property
    def by_hand(self) -> bool:
        """Jobs that a person started; the others are tasks of a coordinator."""
        return self.kind == PREFIX

    @property
    def options(self) -> str:
        """As they are typed behind a command."""
        given = f" --log-dir {shlex.quote(self.log_dir)}" if self.log_dir else ""
        return f"--{self.kind} {shlex.quote(self.name)}{given}"

    def command(self, words: str) -> str:
        """`words` are those behind `batch`, such as `status`."""
        return f"coordinator batch {words} {self.options}"

    def job_command(self, word: str, job: str) -> str:
        """The same of one job of a prefix: `report`, `tail`, `diagnose`."""
        given = f" --log-dir {shlex.quote(self.log_dir)}" if self.log_dir else ""
        return f"coordinator job {word} --beads {shlex.quote(job)}{given}"


def parse_key(text: str) -> tuple[str, str]:
    """(kind, name) of a key. Raises ValueError."""
    kind, colon, name = text.partition(":")
    if not colon or kind not in KINDS or not name:
        raise ValueError(f"{text!r} is no batch: prefix:P, label:L or plan:P")
    return kind, name
