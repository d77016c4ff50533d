"""A small world in memory for the engine: GitHub, git, workers, files and a clock, each with state of its own.

They live outside the engine: a coordinator that dies and comes back finds them as they are. Each refuses what the
real one refuses, and every write passes the crossing, so that a test can die at it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatch
from itertools import count
from pathlib import Path
from typing import Any

from coordinator.adapters.system.seam import crossing
from coordinator.domain.cargo import Cargo, Search
from coordinator.domain.checkout import Found, Survey, Worktree
from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending, Outcome, Work
from coordinator.domain.parcel import Inbound, Outbound
from coordinator.domain.remains import Remain
from coordinator.domain.worker import Beat, Exited, Missing, Running, Witness, WorkerView
from coordinator.engine.world import Options, World
from coordinator.planning.policy import Policy
from coordinator.ports import (
    Choice,
    Command,
    Credentials,
    Finished,
    GitBusy,
    Handle,
    LaunchSpec,
    MergeConflict,
    PushRefused,
    Readiness,
    Signs,
    StopOrder,
)
from coordinator.wording.prompt import Template
from tests.factories import NOW
from tests.support.fake_carrying import Clean
from tests.support.fake_files import FakeFiles
from tests.support.fake_github import BOT, FakeClock, FakeGitHub, FarClock
from tests.support.fake_hosts import FakeHosts, NoWalls, Script, Worker
from tests.support.memory_store import MemoryStore

ROOT = Path("/repo")


@dataclass
class Tree:
    """A worktree: who owns it, notes of people and workers, changes not committed, files that are no work."""

    branch: str
    onto: str = ""
    notes: dict[str, str] = field(default_factory=dict)
    dirty: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)


class FakeRepository(Clean, NoWalls):
    """Branches are lists of commits, oldest first, here and at the remote."""

    def identity(self) -> dict[str, str]:
        return {}

    def __init__(self) -> None:
        self.local: dict[str, list[str]] = {"main": ["m0"]}
        self.remote: dict[str, list[str]] = {"main": ["m0"]}
        self.trees: dict[str, Tree] = {}
        self.rescued: dict[str, list[str]] = {}
        self.cells: list[Remain] = []
        self.made: set[str] = set()
        self.refuse_push = ""
        self.fails: list[Exception] = []
        self.passes: Callable[[str], bool] = lambda name: True
        self.came: Callable[[str], None] = lambda token: None
        self.conflicts: set[str] = set()
        self.invalid: dict[str, int] = {}
        self._shas = count(1)

    def commit(self, task_id: str) -> str:
        """A worker's commit in its worktree."""
        sha = f"{task_id}-c{next(self._shas)}"
        self.local[self.trees[task_id].branch].append(sha)
        self.made.add(sha)
        return sha

    def kept(self) -> set[str]:
        """Every commit that some ref still holds."""
        refs = (*self.local.values(), *self.remote.values(), *self.rescued.values())
        return {sha for commits in refs for sha in commits}

    def default_branch(self) -> str:
        return "main"

    def fetch(self) -> None:
        if self.fails:
            raise self.fails.pop(0)

    def ensure_worktree(self, task_id: str, branch: str, base: str, *, fresh: bool, attempt: int,
                        expect: str = "", onto: str = "") -> Worktree:
        with crossing("git", f"worktree {task_id}"):
            reused = task_id in self.trees and not fresh
            if onto:
                commits = self.local.setdefault(branch, list(self.local[onto]))
                self.trees.setdefault(task_id, Tree(branch, onto))
                return Worktree(self.worktree_path(task_id), branch, self.local[onto][-1], commits[-1], reused)
            if fresh and branch in self.local:
                ref = f"refs/coordinator/rescue/{task_id}/{attempt}-{len(self.rescued)}"
                self.rescued[ref] = self.local.pop(branch)
            commits = self.local.setdefault(branch, list(self.remote.get(branch, ()) if expect else ()))
            if not commits:
                commits += self.remote[base]
            self.trees.setdefault(task_id, Tree(branch))
            begun = next(sha for sha in reversed(commits) if sha in self.remote[base])
            return Worktree(self.worktree_path(task_id), branch, begun, commits[-1], reused)

    def work(self, task_id: str, branch: str, base_sha: str) -> Work | None:
        if task_id not in self.trees:
            return None
        commits = self.local[branch]
        head = commits[-1]
        pushed = head in self.remote.get(branch, ())
        if onto := self.trees[task_id].onto:
            new = [sha for sha in commits if sha not in self.local[onto]]
            return Work(base_sha, head, len(new), self.trees[task_id].dirty, pushed)
        return Work(base_sha, head, len(commits) - 1 - commits.index(base_sha), self.trees[task_id].dirty, pushed)

    def note(self, task_id: str, name: str) -> str:
        return self.trees[task_id].notes.get(name, "") if task_id in self.trees else ""

    def forget_note(self, task_id: str, name: str) -> None:
        self.trees[task_id].notes.pop(name, None)

    def commit_all(self, task_id: str, message: str) -> str | None:
        with crossing("git", f"commit {task_id}"):
            if not self.trees[task_id].dirty:
                return None
            self.trees[task_id].dirty = ()
            return self.commit(task_id)

    def take_home(self, task_id: str, branch: str) -> bool:
        return self.trees[task_id].branch == branch

    def rescue(self, task_id: str, attempt: int) -> str | None:
        with crossing("git", f"rescue {task_id}"):
            return f"refs/coordinator/rescue/{task_id}/{attempt}" if self.trees[task_id].dirty else None

    def rescues(self) -> tuple[tuple[str, datetime], ...]:
        return tuple((ref, NOW) for ref in self.rescued)

    def expire_rescues(self, older_than: datetime, keep: Collection[str] = ()) -> tuple[str, ...]:
        old = tuple(ref for ref in self.rescued if older_than > NOW and ref.split("/")[-2] not in keep)
        for ref in old:
            del self.rescued[ref]
        return old

    def left_cells(self, drop: Collection[str] = ()) -> tuple[Remain, ...]:
        self.cells = [one for one in self.cells if one.name not in drop]
        return tuple(self.cells)

    def push(self, branch: str, *, expect: str, search: Search, passes: Callable[[Cargo], None]) -> str:
        with crossing("git", f"push {branch}"):
            passes(self.cargo(self.local[branch][-1], search))
            if self.refuse_push:
                raise PushRefused(self.refuse_push)
            mine, theirs = self.local[branch], self.remote.get(branch, [])
            ancestor = theirs == mine[: len(theirs)]
            if not ancestor and theirs[-1] != expect:
                raise PushRefused(f"{branch} holds work that is not ours")
            if not ancestor:
                self.rescued[f"refs/coordinator/rescue/{branch}/pushed-{len(self.rescued)}"] = theirs
            self.remote[branch] = list(mine)
            return mine[-1]

    def feature(self, branch: str, base: str, last: str = "") -> str:
        with crossing("git", f"feature {branch}"):
            return self.local.setdefault(branch, list(self.remote[base]))[-1]

    def merge(self, branch: str, head: str, message: str) -> str:
        """The branch takes what it does not have; nothing twice."""
        with crossing("git", f"merge {branch}"):
            theirs = next(commits for commits in self.local.values() if head in commits)
            into, task_id = self.local[branch], head.rpartition("-c")[0]
            if head in into:
                return into[-1]
            if task_id in self.conflicts:
                raise MergeConflict(f"{head} and {branch} change the same lines of file", ("file",))
            into += [sha for sha in theirs[: theirs.index(head) + 1] if sha not in into]
            into.append(f"merge-of-{head}")
            return into[-1]

    def survey(self, base_sha: str, head: str, into: str = "") -> Survey:
        task_id = head.rpartition("-c")[0]
        return Survey((f"{task_id}.py",), 3, ((head, f"work\n\nFeature-Key: {task_id}\nAgent: command"),))

    def log(self, base_sha: str, head: str) -> tuple[str, ...]:
        return (f"{head} a commit",)

    def remote_tip(self, branch: str) -> str:
        return self.remote.get(branch, [""])[-1]

    def contains(self, sha: str, branch: str) -> bool:
        return sha in self.remote.get(branch, ())

    def summary(self, task_id: str, base_sha: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return ("a commit",), ("M file",)

    def worktrees(self) -> tuple[Found, ...]:
        return tuple(Found(task_id, self.worktree_path(task_id), tree.branch, True, bool(tree.dirty), 0)
                     for task_id, tree in self.trees.items())

    def remove_worktree(self, task_id: str, unless: Callable[[], bool] = lambda: False) -> None:
        if unless():
            raise GitBusy(f"{task_id} was set going meanwhile")
        with crossing("git", f"remove {task_id}"):
            self.trees.pop(task_id, None)

    def run_hook(self, task_id: str, command: str, name: str, timeout: timedelta,
                 env: Mapping[str, str]) -> tuple[bool, str]:
        if not self.passes(name):
            return False, "it does not pass"
        left = self.invalid.get(task_id, 0)
        self.invalid[task_id] = max(0, left - 1)
        return left == 0, "" if left == 0 else "1 failed"

    def hand(self, task_id: str, files: Mapping[str, str], drop: Sequence[str]) -> None:
        with crossing("file", f"hand-off {task_id}"):
            kept = {name: text for name, text in self.trees[task_id].files.items() if name not in drop}
            self.trees[task_id].files = {**kept, **files}

    def left(self, task_id: str, patterns: Sequence[str]) -> Mapping[str, Sequence[tuple[str, str]]]:
        files = self.trees[task_id].files
        return {one: [(name, text) for name, text in files.items() if fnmatch(name, one)] for one in patterns}

    def copy_into(self, task_id: str, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def pack(self, task_id: str, branch: str, *, had: Sequence[str], extra: Sequence[str], repository: str) -> Outbound:
        return Outbound(repository, branch, self.local[branch][-1], "", None)

    def unpack(self, task_id: str, branch: str, inbound: Inbound, attempt: int) -> None:
        with crossing("git", f"unpack {task_id}"):
            self.came(inbound.head)

    def worktree_path(self, task_id: str) -> Path:
        return ROOT / "trees" / task_id


class FakeExecutor(FakeHosts):
    """Workers by token. They go on while the coordinator is dead, and what they were started with is remembered."""

    def __init__(self, clock: FakeClock, repo: FakeRepository, github: FakeGitHub) -> None:
        FakeHosts.__init__(self, clock.now, lambda: clock.passed)
        self.clock, self.repo, self.github = clock, repo, github
        repo.came = self._came
        self.scripts: Callable[[LaunchSpec], Script] = lambda spec: Script()
        self.undying: dict[str, tuple[int, ...]] = {}
        self.unasked: dict[str, WorkerView] = {}
        self.read: Handle | None = None

    def submit(self, spec: LaunchSpec) -> int:
        with crossing("process", f"start {spec.handle.job}"):
            self.reach(spec.handle)
            if self.started(spec.handle) is None:
                self.workers.append(Worker(spec.handle, self.scripts(spec), self.clock.now(), self.passed()))
            self.heard(spec.handle)
            return 4000 + len(self.workers)

    def started(self, handle: Handle) -> Worker | None:
        """What the run files show of this token."""
        return next((one for one in self.workers if one.handle.token == handle.token), None)

    def pass_by(self) -> None:
        """Lets every worker do what its script says until now."""
        for worker in self.workers:
            over = self.passed() - worker.begun - timedelta(seconds=worker.script.seconds)
            if worker.alive and not worker.script.silent and over >= timedelta():
                if worker.handle.host not in self.apart:
                    self._work(worker)
                worker.ended_at = self.clock.now() - over

    def _came(self, token: str) -> None:
        """What a worker did on a host that has worktrees of its own comes home."""
        worker = next(one for one in self.workers if one.handle.token == token)
        if worker.stopped is None and worker.handle not in self.brought:
            self.brought.append(worker.handle)
            self._work(worker)

    def _work(self, worker: Worker) -> None:
        script, job = worker.script, worker.handle.job
        tree = self.repo.trees.get(job)
        if tree is None:
            return
        for _ in range(script.commits):
            self.repo.commit(job)
        if script.dirty:
            tree.dirty = ("forgotten.txt",)
        tree.files |= script.files
        if script.blocked:
            tree.notes["BLOCKED.md"] = script.blocked
        taken = any(one.head_ref == tree.branch and one.state is PullState.OPEN for one in self.github.pulls.values())
        if script.opens_pull and not taken and not worker.handle.host:
            self.repo.remote[tree.branch] = list(self.repo.local[tree.branch])
            self.github.opens(tree.branch, self.repo.local[tree.branch][-1], "agent")

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        self.pass_by()
        self.ask_hosts(self.clock.now())
        return {handle: self._view(handle) for handle in handles}

    def _view(self, handle: Handle) -> WorkerView:
        if handle.job in self.unasked:
            return self.unasked[handle.job]
        worker = self.started(handle)
        if away := self.unknown(handle):
            return away
        if worker is None:
            return Missing(started=False)
        if not worker.alive:
            self.came_home(handle)
        start = worker.started_at.timestamp()
        if worker.ended_at is None:
            now, quiet = self.clock.now(), self.passed() - worker.begun
            since = (now - quiet).timestamp()   # the wrapper counts on a clock that nobody sets, back from now
            seen = Witness(1.0, since if worker.script.silent else now.timestamp())
            return Running(4000, start, Beat(now.timestamp(), since, seen, seen, seen, seen))
        if worker.script.vanishes and worker.stopped is None:
            return Missing(started=True)
        reason = worker.stopped.reason if worker.stopped is not None else "process_exit"
        ended = worker.ended_at.timestamp()
        return Exited(0, None, reason, ended_at=ended, duration_sec=ended - start)

    def stop(self, handle: Handle, order: StopOrder) -> None:
        with crossing("process", f"stop {handle.job}"):
            self.reach(handle)
            worker = self.started(handle)
            if worker is not None and worker.alive:
                worker.stopped, worker.ended_at = order, self.clock.now()

    def reap(self) -> tuple[tuple[int, int], ...]:
        return ()

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        return b"the last line\n"

    def prompt_path(self, handle: Handle) -> Path:
        return ROOT / f"{handle.job}.prompt"

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        self.read = handle
        return ROOT / handle.token / "log", ROOT / handle.token / "err"

    def live(self) -> tuple[Handle, ...]:
        return tuple(worker.handle for worker in self.workers if worker.alive)

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        return self.undying.get(handle.job, ())


@dataclass
class FakeProvider:
    """Judges the run whose files were asked for last by its worker's script; a stop by the wrapper's word."""

    executor: FakeExecutor
    name: str = "command"
    readiness: Readiness = field(default_factory=lambda: Readiness(True, "ready"))
    judged: list[Finished] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    def credentials(self, probe: Any, settings: Any) -> Credentials:
        return Credentials()

    def choose(self, probe: Any, settings: Any) -> Choice:
        return Choice(settings.model)

    def command(self, spec: Any) -> Command:
        return Command(("agent",), {}, "prompt", "TERM")

    def events(self, line: bytes) -> tuple[()]:
        return ()

    def judge(self, run: Finished) -> Outcome:
        self.judged.append(run)
        worker = self.executor.started(self.executor.read) if self.executor.read is not None else None
        script = worker.script if worker is not None else Script()
        if run.wrapper_reason in ("lost", "host_lost"):
            return Outcome(Ending.LOST, run.wrapper_reason)
        if run.wrapper_reason == "stalled":
            return Outcome(Ending.STALLED, "stalled")
        if run.wrapper_reason != "process_exit":
            return Outcome(Ending.CANCELLED, run.wrapper_reason)
        return Outcome(script.ending, script.reason, judged_by="result")

    def ready(self, probe: Any, settings: Any) -> Readiness:
        return self.readiness

    def preflight(self, probe: Any, settings: Any, *, live: bool) -> tuple[Readiness, ...]:
        self.answered |= {self.name} if self.readiness.ok else set()
        return (self.readiness,)


class FakeTranscript:
    """Remembers which runs it finished."""

    def __init__(self) -> None:
        self.finished: list[tuple[str, str]] = []

    def follow(self, run: Any, now: datetime) -> Signs:
        return Signs()

    def finish(self, run: Any, now: datetime, ended: str) -> Signs:
        self.finished.append((run.task_id, ended))
        return Signs()


@dataclass
class Outside:
    """All that a coordinator finds when it comes back, its memory on disk included."""

    clock: FakeClock
    github: FakeGitHub
    repo: FakeRepository
    executor: FakeExecutor
    provider: FakeProvider
    other: FakeProvider
    files: FakeFiles
    store: Any
    transcript: FakeTranscript
    lines: list[str] = field(default_factory=list)
    bugs: list[str] = field(default_factory=list)
    tokens: Any = field(default_factory=lambda: count(1))

    def world(self, policy: Policy | None = None, **changes: Any) -> World:
        """The ports as app.py would give them to a new engine."""
        plain = World(
            root=ROOT,
            clock=self.clock,
            store=self.store,
            github=self.github,
            repo=self.repo,
            executor=self.executor,
            providers={"command": self.provider, "codex": self.other},
            probe=None,  # type: ignore[arg-type]
            transcript=self.transcript,
            files=self.files,
            policy=policy or Policy(provider="command", login=BOT),
            options=Options(),
            environ={},
            template=lambda name: Template(name, "Do {{ task }}"),
            new_token=lambda: f"{next(self.tokens):06x}{0:026x}",
            repository_name="acme/widget",
            say=self.lines.append,
            save_bug=self.bugs.append,
        )
        return replace(plain, **changes)


def an_outside() -> Outside:
    clock = FakeClock()
    github, repo = FakeGitHub(FarClock(clock)), FakeRepository()
    github.head_of = lambda branch: repo.remote[branch][-1]
    executor = FakeExecutor(clock, repo, github)
    return Outside(clock, github, repo, executor, FakeProvider(executor), FakeProvider(executor, "codex"),
                   FakeFiles(), MemoryStore(), FakeTranscript())
