"""What an hour asks of GitHub in which nothing happens: engine, store and client are the coordinator's own, on a clock
that is put forward, and GitHub is the stand-in over HTTP. The suite holds the hour to its budget, scale_idle.py prints
it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from coordinator.adapters.github import GitHubClient
from coordinator.adapters.providers.command import CommandProvider
from coordinator.adapters.store import rows, schema
from coordinator.adapters.store.opening import open_engine
from coordinator.adapters.store.sql import SqlStore
from coordinator.adapters.system.files import SystemFiles
from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, Vet, fingerprint
from coordinator.domain.outward import Outward
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.domain.worker import Beat, HostState, Running, Witness
from coordinator.engine.foresight import Unwritten
from coordinator.engine.memory import Memory
from coordinator.engine.speech import speech_of
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.world import Options, World
from coordinator.planning.policy import HostRules, Policy
from coordinator.ports import Handle
from coordinator.rehearsal.hub.wire import Exchange
from coordinator.rehearsal.standin import StandIn

REPO, TOKEN, BOT = "acme/widgets", "token-of-the-hour", "bot"
RESERVE = 500
BEGUN = datetime(2026, 9, 21, 13, tzinfo=UTC)
SLURM = "slurm"
"""Where the workers are: nobody asks this machine whether their agent is at home on it."""


@dataclass(frozen=True)
class Load:
    """Labelled issues; so many of them run, and of so many a pull request is awaited. The others wait for a slot."""

    issues: int = 50
    running: int = 10
    in_review: int = 0


@dataclass(frozen=True)
class Cost:
    """Requests by what they asked for; a 304 costs GitHub's limit nothing. `points` are those of GraphQL."""

    counted: Counter[str]
    unchanged: int
    points: int

    def __str__(self) -> str:
        shown = ", ".join(f"{times} × {what}" for what, times in sorted(self.counted.items())) or "none"
        return (f"{self.counted.total()} requests that count ({shown}), {self.points} GraphQL points, "
                f"{self.unchanged} answered by 304")


def cost(requests: Sequence[Exchange]) -> Cost:
    """Of requests of the API; git's own count against no limit of it."""
    asked = [one for one in requests if ".git/" not in one.path]
    rest = [one for one in asked if one.path != "/graphql"]
    return Cost(Counter(shown(one) for one in rest if one.status != 304), sum(one.status == 304 for one in rest),
                len(asked) - len(rest))


def shown(one: Exchange) -> str:
    """A request without what is different each time."""
    path = one.path.partition("?")[0].removeprefix(f"/repos/{REPO}")
    words = ["N" if word.isdigit() else "SHA" if len(word) == 40 else word for word in path.split("/")]
    return f"`{one.method} {'/'.join(words)}`"


@dataclass
class Clock:
    """Everybody's, GitHub's too."""

    at: datetime = BEGUN

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def local(self, moment: datetime) -> datetime:
        return moment


class Workers:
    """They all go on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, Running]:
        now = self._clock.now().timestamp()
        sign = Witness(now, now)
        return dict.fromkeys(handles, Running(1, BEGUN.timestamp(), Beat(now, BEGUN.timestamp(), *[sign] * 4, 0.5)))

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        return Path(f"{handle.job}.log"), Path(f"{handle.job}.err")

    def hosts(self) -> Mapping[str, HostState]:
        return {}

    def reap(self) -> tuple[tuple[int, int], ...]:
        return ()


@dataclass
class Idle:
    """A coordinator with work of every kind, at rest."""

    github: StandIn
    engine: Engine
    clock: Clock
    lines: list[str] = field(default_factory=list)

    def tick(self) -> Cost:
        """As at the next poll; what that cost."""
        self.github.forget_requests()
        self.clock.at += self.engine.world.policy.poll
        self.engine.memory.poll_due = True
        self.engine.tick()
        return cost(self.github.requests)

    def hour(self) -> Cost:
        """The dearest there is: the daily listing of everything falls into it."""
        memory, day = self.engine.memory, self.engine.world.policy.relist
        memory.listed_at = self.clock.now() - day + timedelta(minutes=30)
        ticks = [self.tick() for _ in range(int(timedelta(hours=1) / self.engine.world.policy.poll))]
        return Cost(sum((one.counted for one in ticks), Counter()), sum(one.unchanged for one in ticks),
                    sum(one.points for one in ticks))


@contextmanager
def idle(folder: Path, load: Load) -> Iterator[Idle]:
    """All is taken up and said already."""
    clock = Clock()
    with StandIn(folder / "github", clock.seconds) as github:
        github.add_user(BOT, TOKEN)
        github.add_user("ann", permission="admin")
        ann = github.add_repository(REPO, {"README.md": "# widgets\n"}).as_user("ann")
        for number in range(1, load.issues + 1):
            ann.open_issue(f"Make part {number} of it better", "What is wanted, and why.", ["rpi-auto"])
            clock.at += timedelta(seconds=1)
        for number in range(1, load.in_review + 1):
            ann.commit(f"rpi/gh-{number}", {f"{number}.txt": "done\n"}, "Work")
            ann.open_pull(f"rpi/gh-{number}", f"Part {number}")
        clock.at += timedelta(minutes=1)
        client = GitHubClient(REPO, token=lambda: TOKEN, clock=clock, api_url=github.url, reserve=RESERVE)
        policy = Policy(provider="command", executor=SLURM, hosts={SLURM: HostRules(load.running)},
                        max_workers=load.running, sessions_per_day=0, confirm_above=load.issues)  # fmt: skip
        store = _filled(folder / "state.db", client, load, policy, clock.now())
        made = Idle(github, _engine(folder, client, store, policy, clock), clock)
        for _ in range(3):
            made.tick()
        try:
            yield made
        finally:
            store.close()
            client.close()


def _engine(folder: Path, client: GitHubClient, store: SqlStore, policy: Policy, clock: Clock) -> Engine:
    unused: Any = None
    workers: Any = Workers(clock)
    world = World(
        root=folder, clock=clock, store=store, github=client, repo=unused, executor=workers,
        providers={"command": CommandProvider()}, probe=unused, transcript=Unwritten(), files=SystemFiles(),
        policy=policy, options=Options(reserve=RESERVE), environ={}, template=unused, new_token=lambda: "0" * 32,
        say=lambda _: None)
    return Engine(world, AtOnce(), lambda _: None, Memory())


def _filled(path: Path, client: GitHubClient, load: Load, policy: Policy, now: datetime) -> SqlStore:
    """The store as it is when all was taken up: what GitHub tells of the issues, and a task for each."""
    listing, pulls = client.changed_issues(None), {one.head_ref: one.number for one in client.recent_pulls({}).pulls}
    issues = [one for one in listing.issues if not one.is_pull]
    made = [_task(issue, load, pulls, now) for issue in issues]
    attempts = {task.id: _attempt(task, now) for task in made if task.state is not TaskState.QUEUED}
    said = [(task, speech_of(task, (attempts[task.id],) if task.id in attempts else (), policy)) for task in made]
    engine = open_engine(path)
    with engine.begin() as connection:
        for table, values in (
            (schema.tasks, [rows.task_row(task) for task in made]),
            (schema.attempts, [rows.attempt_row(one) for one in attempts.values()]),
            (schema.vets, [rows.flat(Vet(one.number, one.updated_at, one.number, "ann", "admin", ()))
                           for one in issues]),
            (schema.outward, [rows.flat(Outward(task.id, task.issue, one.living, one.notices, one.labels))
                              for task, one in said]),
        ):  # fmt: skip
            if values:
                connection.execute(insert(table), values)
    engine.dispose()
    store = SqlStore(path)
    store.keep_document("swept_at", now.isoformat())
    return store


def _task(issue: Issue, load: Load, pulls: Mapping[str, int], now: datetime) -> Task:
    pin = Pin(issue.title, issue.body, fingerprint(issue.title, issue.body), issue.number, "ann", now)
    name = f"gh-{issue.number}"
    plain = Task(name, pin, f"rpi/{name}", now, now, now, issue=issue.number, provider="command")
    if issue.number <= load.in_review:
        return replace(plain, state=TaskState.IN_REVIEW, attempts=1, pr_number=pulls[plain.branch])
    if issue.number <= load.in_review + load.running:
        return replace(plain, state=TaskState.RUNNING, attempts=1, worktree=f"trees/{name}")
    return plain


def _attempt(task: Task, now: datetime) -> Attempt:
    token = f"{task.issue:032x}"
    ended = now if task.state is TaskState.IN_REVIEW else None
    return Attempt(task.id, 1, token, 1, f"w-{token[-6:]}", "command", now.strftime("%Y%m%d%H%M%S"), now,
                   prepared_at=now, base_sha="b" * 40, launched_at=now, pid=1, host=SLURM, ended_at=ended,
                   settled_at=ended)  # fmt: skip
