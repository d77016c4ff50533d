"""Everything outside that the engine works with, given by app.py once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.prices import Prices
from coordinator.domain.remains import Remain
from coordinator.domain.task import Task
from coordinator.domain.walls import Cell, Walls
from coordinator.domain.workflow import Library
from coordinator.engine.claimant import Claimant
from coordinator.engine.contacts import Contacts
from coordinator.engine.inheritance import expected
from coordinator.planning.plans.commits import Strictness
from coordinator.planning.policy import Policy
from coordinator.planning.protection import Protection
from coordinator.planning.retention import Ages
from coordinator.ports import (
    Clock,
    Command,
    Executor,
    Files,
    GitError,
    GitHub,
    Notifier,
    Probe,
    Provider,
    Repository,
    Settings,
    Store,
    Transcript,
)
from coordinator.wording.prompt import Template


@dataclass(frozen=True)
class Sandbox:
    """Walls around the workers of this host: `around` draws them for a cell, a command and files to be read; None where
    there are none. `must`: no worker starts without."""

    around: Callable[[Cell, Command, Sequence[Path]], Walls] | None = None
    must: bool = False


@dataclass(frozen=True)
class Options:
    """Settings that effects need and decisions do not. `copy` and hooks are those of `[worktree]`; `agents` is where
    tasks of plans have their worktrees."""

    timeout: timedelta = timedelta(hours=2)
    stop_grace: timedelta = timedelta(seconds=10)
    copy: tuple[str, ...] = ()
    after_create: str = ""
    before_run: str = ""
    after_run: str = ""
    before_remove: str = ""
    hook_timeout: timedelta = timedelta(minutes=1)
    base: str = ""
    providers: Mapping[str, Settings] = field(default_factory=dict)
    contacts: Contacts = field(default_factory=Contacts)
    ages: Ages = field(default_factory=Ages)
    reserve: int = 0
    agents: Path | None = None
    validation_timeout: timedelta = timedelta(minutes=15)
    strictness: Strictness = field(default_factory=Strictness)
    protection: Protection = field(default_factory=Protection)
    sandbox: Sandbox = field(default_factory=Sandbox)


@dataclass(frozen=True)
class Site:
    """A repository that tasks of a plan are worked on in. `github` None: nobody can be asked there, for `why_not`."""

    repo: Repository
    github: GitHub | None
    name: str = ""
    why_not: str = ""


def _nowhere(root: str) -> Site:
    raise GitError(f"there is no repository at {root}")


@dataclass
class World:
    """The ports, and what was configured. `policy` and `options` are replaced on SIGHUP, between two ticks.

    `environ` is the coordinator's environment, out of which providers pick by allow-list. `learn` tells `mask` of
    secrets that are not in it, `known` are all it was told. `renew` asks for the GitHub token anew: whether another one
    is there. `site` gives the repository of a plan's task by its checkout; it raises GitError. `shut_hosts` are those
    that may take no work, and why. `claimant` keeps our claim on the repository, None where nobody asks for one.
    """

    root: Path
    clock: Clock
    store: Store
    github: GitHub
    repo: Repository
    executor: Executor
    providers: Mapping[str, Provider]
    probe: Probe
    transcript: Transcript
    files: Files
    policy: Policy
    options: Options
    environ: Mapping[str, str]
    template: Callable[[str], Template]
    new_token: Callable[[], str]
    repository_name: str = ""
    mask: Callable[[str], str] = str
    learn: Callable[[Iterable[str]], None] = lambda _: None
    known: Callable[[], tuple[str, ...]] = tuple
    renew: Callable[[], bool] = bool
    me: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print
    save_bug: Callable[[str], object] = print
    remains: Callable[[], Sequence[Remain]] = tuple
    prices: Prices = field(default_factory=Prices)
    notifier: Notifier | None = None
    site: Callable[[str], Site] = _nowhere
    workflows: Callable[[], Library] = Library
    shut_hosts: Callable[[], Mapping[str, str]] = dict
    claimant: Claimant | None = None

    def repo_of(self, task: Task) -> Repository:
        """The repository that a task is worked on in. Raises GitError when its checkout is gone."""
        return self.site(task.repo).repo if task.repo else self.repo

    def push(self, task: Task, search: Search, passes: Callable[[Cargo], None]) -> str:
        """Pushes the task's branch, with the claim where there is one; its sha. Raises what `push_claimed` raises."""
        expect = expected(self.store, task)
        if self.claimant is not None:
            return self.claimant.push(task.branch, expect, search, passes)
        return self.repo.push(task.branch, expect=expect, search=search, passes=passes)

    def keep_bug(self, trace: str) -> object:
        """Where the trace of a bug of ours is kept."""
        try:
            return self.save_bug(trace)
        except OSError as error:   # a full disk must not make two troubles of one
            self.say(f"the trace of a bug of ours could not be saved: {error}\n{trace}")
            return "in the log"

    def no_provider(self, name: str) -> str:
        """Words for an attempt whose provider this version does not have."""
        return f"there is no provider {name!r} here (known: {', '.join(sorted(self.providers))})"
