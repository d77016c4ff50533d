"""A worktree here, and a worker on a host that does not see it: what goes there, and what comes home."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from coordinator.adapters.git.repository import GitRepository
from coordinator.domain.parcel import Inbound
from coordinator.ports import LaunchSpec
from tests.support.executor_yard import Closing, Yard, far_yard
from tests.support.gitworld import PERSON, World, make_world

BRANCH = "rpi/gh-1"
EXTRA = (".env", ".coordinator/handoff")


@dataclass
class Field:
    world: World
    yard: Yard
    repo: GitRepository

    def sent(self, executor: Closing, script: str, *, attempt: int = 1, fresh: bool = False) -> LaunchSpec:
        """A worker with this script in a worktree there, of the worktree here."""
        self.repo.fetch()
        self.repo.ensure_worktree("gh-1", BRANCH, "main", fresh=fresh, attempt=attempt)
        if not (self.world.checkout / ".git/info/exclude").read_text().count("/.env"):
            self.repo.exclude(["/.env", "/.coordinator/"])
        (self.tree / ".env").write_text("KEY=1\n")
        spec = self.yard.spec("sh", "-ec", script, job="gh-1", env={**self.yard.spec("x", job="gh-1").env, **PERSON})
        where = executor.quarters(spec.handle, self.tree, "widgets")
        assert where.apart
        assert where.cwd != self.tree
        packed = self.repo.pack("gh-1", BRANCH, had=where.had, extra=EXTRA, repository="widgets")
        full = replace(spec, cwd=where.cwd, outbound=replace(packed, extra=(EXTRA[1], "STOP", "BLOCKED.md")))
        executor.submit(full)
        return full

    @property
    def tree(self) -> Path:
        return self.world.tree()

    def home(self, executor: Closing, spec: LaunchSpec) -> Inbound:
        inbound = executor.fetch(spec.handle)
        assert inbound is not None
        self.repo.unpack("gh-1", BRANCH, inbound, 1)
        executor.taken_in(spec.handle)
        return inbound


@pytest.fixture
def field(tmp_path: Path) -> Iterator[Field]:
    world = make_world(tmp_path)
    with far_yard(tmp_path / "yard", shared=False) as yard:
        yield Field(world, yard, world.repository())
