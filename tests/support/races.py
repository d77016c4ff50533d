"""Random races of two coordinators for one repository, from a seed: each with a memory, workers and a clock of its own.

They step in any order, even in the middle of each other's pushes; they die at any write, are cut off, sleep, end
cleanly and come back. After each step and at rest what must hold is checked; what does not raises Broken.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from coordinator.adapters.git.network import CLAIM as REF
from coordinator.adapters.git.repository import GitRepository
from coordinator.adapters.system.seam import watch
from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.claim import Claim
from coordinator.domain.issue import PullState
from coordinator.domain.task import ACTIVE, COMPLETED
from coordinator.engine.claimant import Claimant
from coordinator.engine.holding import CLAIM
from coordinator.engine.memory import Memory
from coordinator.engine.runner import give_back
from coordinator.engine.tick import Engine
from coordinator.planning.claiming import Terms
from coordinator.planning.policy import LabelNames, Policy
from coordinator.ports import ClaimMoved, GitUnreachable, LaunchSpec, TryLater
from tests.support.claims import Ref
from tests.support.fake_github import FakeClock, FakeGitHub
from tests.support.fakes import FakeExecutor, FakeFiles, FakeProvider, FakeRepository, FakeTranscript, Outside, Script
from tests.support.gitworld import git
from tests.support.histories import Broken, Crash, Later
from tests.support.memory_store import MemoryStore

TERMS = Terms(renew=timedelta(seconds=20), lease=timedelta(seconds=60), watch=timedelta(seconds=5))
MARK = re.compile(r"<!-- coordinator:[^>]*-->")
ISSUES = (1, 2)
NOTHING = Search()
SOON = 6
"""So many looks at most after a coordinator learned that another has the claim, its workers have ended."""


class Cable:
    """GitHub as one machine reaches it."""

    def __init__(self, machine: Machine, github: FakeGitHub) -> None:
        self._machine, self._github = machine, github

    def __getattr__(self, name: str) -> Any:
        if self._machine.cut and name not in ("budget", "pulls"):
            raise TryLater("GitHub does not answer (cut off)")
        return getattr(self._github, name)


class Remote(Ref):
    """The claim on a real bare repository, moved by real pushes by path."""

    def __init__(self, checkout: Path, bare: Path) -> None:
        super().__init__()
        self._repo, self._bare = GitRepository(checkout, default_branch="main"), bare
        git(bare, "update-ref", "-d", REF)

    def now(self, known: str) -> tuple[str, str]:
        """Whoever died right after a push never heard that it was done."""
        return self._repo.claim(known)

    def swap(self, held: str, words: str) -> str:
        self.pushes += 1
        self.sha, self.words = self._repo.put_claim(words, held=held), words
        return self.sha


class Clone(FakeRepository):
    """A clone whose remote is shared, and whose line to it can be cut."""

    def __init__(self, machine: Machine, ref: Ref, remote: dict[str, list[str]]) -> None:
        super().__init__()
        self.remote, self._machine, self._ref = remote, machine, ref
        self.between: Callable[[float], None] = lambda chance: None

    def fetch(self) -> None:
        self._reached()

    def claim(self, known: str) -> tuple[str, str]:
        self._reached()
        return self._ref.now(known)

    def standing(self, prefix: str) -> Mapping[str, str]:
        self._reached()
        return {name: commits[-1] for name, commits in self.remote.items() if name.startswith(prefix)}

    def put_claim(self, words: str, *, held: str) -> str:
        self._reached()
        self.between(0.3)
        try:
            return self._ref.swap(held, words)
        except ClaimMoved:
            self._machine.race.lost += 1
            raise

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()

    def push_claimed(self, words: str, *, held: str, branch: str, expect: str, search: Search = NOTHING,
                     passes: Callable[[Cargo], None] = lambda _: None) -> tuple[str, str]:
        self._reached()
        self.between(0.8)
        if self._ref.now("")[0] != held:   # of two refusals the remote's answer is read for the claim's
            self._machine.race.refused += 1
            raise ClaimMoved("another coordinator moved it")
        tip = self.push(branch, expect=expect, search=search, passes=passes)
        return self._ref.swap(held, words), tip

    def _reached(self) -> None:
        if self._machine.cut:
            raise GitUnreachable("could not resolve host (cut off)")


class Machine:
    """One coordinator: its disk and its workers stay, its mind goes with each death."""

    def __init__(self, race: Race, name: str) -> None:
        self.race, self.name = race, name
        self.cut = False
        self.asleep_until = 0.0
        self.lives = self.overtaken = 0
        self.offset = race.random.random() * 10**6
        repo = Clone(self, race.ref, race.remote)
        repo.between = race.between
        executor = FakeExecutor(race.clock, repo, race.github)
        executor.scripts = self._started
        cable: Any = Cable(self, race.github)
        self.outside = Outside(race.clock, cable, repo, executor, FakeProvider(executor),
                               FakeProvider(executor, "codex"), FakeFiles(), MemoryStore(), FakeTranscript(),
                               tokens=iter(range(1 + ord(name[0]) * 1000, 10**6)))
        self.come_up()

    def come_up(self) -> None:
        self.lives += 1
        self.overtaken = 0
        self.outside.executor.forget()
        known = json.loads(self.outside.store.document(CLAIM) or "{}")
        us = Claim(f"memory-of-{self.name}", f"{self.name}{self.lives}", host=self.name, pid=self.lives)
        self.claimant = Claimant(self.outside.repo, us, TERMS, even=self._even, now=self.race.clock.now,  # type: ignore[arg-type]
                                 sha=known.get("sha", ""), generation=known.get("generation", 0))
        policy = Policy(provider="command", login="", backoff=timedelta(seconds=5), labels=LabelNames(mode="full"))
        self.pool = Later(self.race.random, lambda: False)
        self.engine = Engine(self.outside.world(policy, claimant=self.claimant), self.pool, lambda why: None, Memory())

    def _even(self) -> float:
        return self.race.clock.moment.timestamp() - self.offset

    def step(self) -> None:
        self.engine.memory.poll_due = True
        self.pool.some(3)
        self.engine.tick()
        self.overtaken = self.overtaken + 1 if self.claimant.hold(self.race.clock.now()).other is not None else 0

    @property
    def working(self) -> set[str]:
        """The tasks of its workers that live."""
        return {one.handle.job for one in self.outside.executor.workers if one.alive}

    def end(self) -> None:
        """A clean end, and a new start."""
        self.pool.some(99)
        give_back(self.engine.world)
        self.come_up()

    def _started(self, spec: LaunchSpec) -> Script:
        generation = self.claimant.hold(self.race.clock.now()).generation
        self.race.starts[spec.handle.job, generation].append(self.name)
        self.race.must(self.claimant.fresh, f"{self.name} starts {spec.handle.job} without the claim")
        return Script(seconds=self.race.random.choice((1, 10, 50, 120, 300)))


class Race:
    """One race. `starts` are the agents ever started, by task and generation of the claim; `lost` counts swaps that
    came second, `refused` pushes of work that the remote refused since another had the claim."""

    def __init__(self, seed: int, ref: Ref | None = None) -> None:
        self.seed, self.random, self.clock = seed, Random(seed), FakeClock()
        self.github, self.remote, self.ref = FakeGitHub(self.clock), {"main": ["m0"]}, ref or Ref()
        self.github.head_of = lambda branch: self.remote[branch][-1]
        self.starts: Counter[tuple[str, int]] | Any = _Starts()
        self.story: list[str] = []
        self.forced = seed % 4 == 3   # a person takes it over although its holder lives
        self.resting = False
        self.lost = self.refused = 0
        self._stepping: list[Machine] = []
        self._die_in = 0
        for number in ISSUES:
            self.github.person_opens(number, "rpi-auto")
        self.machines = [Machine(self, "anna"), Machine(self, "berta")]

    def run(self, steps: int = 80) -> None:
        unwatch = watch(self._cross)
        try:
            for _ in range(steps):
                self._act()
                self.clock.pass_by(self.random.choice((1, 1, 3, 7, 15)))
                self._at_all_times()
            self._come_to_rest()
        finally:
            unwatch()

    def between(self, chance: float) -> None:
        """In the middle of one's push the other acts, by this chance."""
        if not self._stepping or self.resting or self.random.random() >= chance:
            return
        for other in self.machines:
            if other not in self._stepping and self._awake(other):   # nobody steps in the middle of its own step
                if self.forced:
                    other.claimant.take_over()
                self._step(other)

    def _act(self) -> None:
        machine = self.random.choice(self.machines)
        rare = ("take over", "take over") if self.forced else ()
        act = self.random.choice(("step",) * 14 + ("die", "die", "cut", "cut", "sleep", "sleep", "end", "merge", *rare))
        if act != "step":
            self.story.append(f"{self.clock.moment:%H:%M:%S} {act} {machine.name}")
        if act == "die":
            self._die_in = self.random.choice((1, 2, 3, 5, 8, 13, 21))
            self._step(machine)
            self._die_in = 0
        elif act == "cut":
            machine.cut = not machine.cut
        elif act == "sleep":
            machine.asleep_until = self.clock.moment.timestamp() + self.random.choice((10, 45, 70, 200, 200))
        elif act == "take over":
            machine.claimant.take_over()
            self._step(machine)
        elif act == "end" and self._awake(machine):
            machine.end()
        elif act == "merge":
            self._merge()
        else:
            self._step(machine)

    def _awake(self, machine: Machine) -> bool:
        return machine.asleep_until <= self.clock.moment.timestamp()

    def _step(self, machine: Machine) -> None:
        if not self._awake(machine):
            return
        self._stepping.append(machine)
        try:
            machine.step()
        except Crash:
            self.story.append(f"{machine.name} dies")
            machine.come_up()
        finally:
            self._stepping.pop()

    def _cross(self, moment: str, kind: str, what: str) -> None:
        if self._die_in and self._stepping:
            self._die_in -= 1
            if not self._die_in:
                self.story.append(f"{moment} {kind} {what}")
                raise Crash

    def _merge(self) -> None:
        for pull in [one for one in self.github.pulls.values() if one.state is PullState.OPEN][:1]:
            self.github.person_ends(pull.number, PullState.MERGED)
            self.github.person_edits(int(pull.head_ref.rpartition("-")[2]), state="closed")

    # --- what must hold ---

    def must(self, holds: bool, words: str) -> None:
        if not holds:
            lines = [f"{one.name}: {line}" for one in self.machines for line in one.outside.lines[-25:]]
            raise Broken(f"race {self.seed}: {words}\n  " + "\n  ".join(self.story[-40:] + lines))

    def _at_all_times(self) -> None:
        holding = [one.name for one in self.machines if one.claimant.fresh]
        self.must(len(holding) <= 1 or self.forced, f"both count on the claim: {holding}")
        for (job, generation), names in self.starts.items():
            self.must(len(names) <= 1, f"{job} was started by {names} in generation {generation}")
        of = Counter(pull.head_ref for pull in self.github.pulls.values())
        self.must(max(of.values(), default=0) <= 1, f"two pull requests: {of}")
        marks = Counter(mark for _, said in self.github.said.values() for mark in MARK.findall(said.body))
        self.must(max(marks.values(), default=0) <= 1, f"a comment was written twice: {marks}")
        for one in self.machines:
            self.must(not one.outside.bugs, "\n".join(one.outside.bugs))
            late = one.overtaken > SOON and one.working
            self.must(not late, f"{one.name} knows that another has the claim, and {late} goes on")

    def _come_to_rest(self) -> None:
        self.story.append("--- all is well again")
        self.resting = True
        for machine in self.machines:
            machine.cut, machine.asleep_until, machine.pool.patient = False, 0.0, True
        for _ in range(60):
            for machine in self.machines:
                machine.pool.some(99)
                self._step(machine)
            self.clock.pass_by(10)
            self._at_all_times()
        self.must(len(self.github.pulls) == len(ISSUES), f"pull requests: {self.github.pulls}")
        [holder] = [one for one in self.machines if one.claimant.fresh]
        for machine in self.machines:
            tasks = machine.outside.store.tasks()
            self.must(not [one for one in machine.outside.executor.workers if one.alive], "a worker lives")
            stuck = [f"{one.id} {one.state} {one.reason}" for one in tasks
                     if one.state in ACTIVE and machine is holder]
            self.must(not stuck, f"{machine.name} does not come to rest: {stuck}")
        done = {one.issue for one in holder.outside.store.tasks() if one.state in COMPLETED}
        closed = {number for number in ISSUES if not self.github.issues[number].open}
        self.must(done | closed == set(ISSUES), f"{holder.name} has {holder.outside.store.tasks()}")


class _Starts(dict[tuple[str, int], list[str]]):
    def __missing__(self, key: tuple[str, int]) -> list[str]:
        self[key] = []
        return self[key]
