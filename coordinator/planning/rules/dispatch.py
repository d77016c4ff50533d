"""Which queued task starts next: gates, dependencies, slots, caps. Order: priority, age, number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from coordinator.domain.task import HOLDS_SLOT, Task, TaskState
from coordinator.planning import dependencies, stages, trust
from coordinator.planning.actions import Begin, Move, Prove, VetIssue, Wait, prove_lane, work_lane
from coordinator.planning.batch import gate as batch_gate
from coordinator.planning.berths import Berths
from coordinator.planning.limits import caps
from coordinator.planning.limits.ladder import Ladder
from coordinator.planning.plans.starting import Waves
from coordinator.planning.rules import recalled
from coordinator.planning.snapshot import Gate, Snapshot

_S = TaskState
_NONE: frozenset[int] = frozenset()
SET_BACK = timedelta(minutes=1)
"""A pause that began so far in the future was measured by a clock that has been set back since."""


def rule(s: Snapshot) -> Iterator[Begin | Move | Prove | VetIssue | Wait]:
    yield from _backoff_over(s)
    queued = sorted((task for task in s.tasks.values() if task.state is _S.QUEUED), key=place)
    rings = dependencies.circles({task.issue: open_blockers(s, task) for task in queued if task.issue is not None})
    room = _Room(s)
    ladder = Ladder(s, room.full)
    shut = batch_gate.shut(s)
    for task in queued:
        no = withdrawn(s, task)
        ring = rings.get(task.issue or -1)
        if no is not None:
            yield no
        elif ring is not None:
            names = " → ".join(f"#{number}" for number in (*ring, ring[0]))
            yield Move(task, _S.BLOCKED, "cycle", f"the dependencies form a circle: {names}")
        elif words := _used_up(s, task):
            yield Move(task, _S.BLOCKED, "cap_reached", words)
        elif task.id in shut:
            yield shut[task.id]
        else:
            yield from _next(s, task, room, ladder)


def _used_up(s: Snapshot, task: Task) -> str:
    """The cap that leaves no further session to the task; ""."""
    cap = s.policy.sessions_per_task * stages.turns(s.workflows, task)
    if cap and caps.sessions(s, task) >= cap:
        return f"caps.sessions_per_task: {cap} sessions were spent on it"
    return caps.over(s, task)


def _next(s: Snapshot, task: Task, room: _Room, ladder: Ladder) -> Iterator[Begin | Move | Prove | VetIssue | Wait]:
    """What brings a task that may start nearer to it, or what holds it."""
    look = stages.dressed(s.workflows, s.policy, task)
    choice = (stages.hindrance(s, task) or _hindrance(s, task) or trust.hold(s, task)
              or room.waves.hindrance(task, room.starting) or ladder.choose(look))
    if isinstance(choice, Move):
        yield replace(choice, task=task)
    elif isinstance(choice, Wait):
        yield choice
    elif wait := room.hindrance(task, choice.provider) or trust.unseen(s, task):
        yield wait
    elif (issue := s.issue_of(task)) is not None and trust.unstarted(s, task) and trust.stale(s, issue):
        yield trust.asking(s, task, issue)
        if trust.may_ask(s, issue):
            yield VetIssue(issue)
    elif choice.unproven:
        lane = prove_lane(choice.provider)
        words = f"{choice.provider} is asked whether it answers, to stand in for {look.provider}"
        yield Wait(task.id, "proving", words, f"coordinator retry {task.id} --provider NAME", s.holdoff.get(lane))
        if s.free(lane):
            yield Prove(choice.provider)
    else:
        host = room.berths.choose(task)
        if isinstance(host, Wait):
            yield host
            return
        room.take(task, choice.provider, host)
        ladder.take(task, choice.provider)
        stage = stages.stage_of(s.workflows, task).name
        yield Begin(task, choice.provider, choice.instead_of, choice.reason, stage, host)


def place(task: Task) -> tuple[int, object, int, str]:
    """The place in the queue: priority, oldest, number."""
    return (task.priority, task.created_at, task.issue or 0, task.id)


def open_blockers(s: Snapshot, task: Task) -> frozenset[int]:
    """Issues it depends on that are still open, by its own text and by GitHub's relation."""
    vet = s.vets.get(task.issue) if task.issue is not None else None
    numbers = {*task.depends_on, *(vet.blocked_by if vet is not None else ())}
    if not numbers:
        return _NONE
    return frozenset(n for n in numbers if (issue := s.issues.get(n)) is not None and issue.open)


def withdrawn(s: Snapshot, task: Task) -> Move | None:
    """A task that has not started and whose issue was closed or lost the label: a person said no."""
    issue = s.issue_of(task)
    if issue is None and not gone(s, task):
        return None
    if issue is None or not issue.open:
        words = issue.over if issue is not None else "the issue was closed"
        return Move(task, _S.CANCELLED, "issue_closed", words)
    if s.policy.labels.auto not in issue.labels and s.label_gate is None:
        return Move(task, _S.CANCELLED, "label_removed", f"the label {s.policy.labels.auto} was removed")
    return None


def gone(s: Snapshot, task: Task) -> bool:
    """Whether its issue is not among the open ones, of which we have seen all: closed, moved or deleted."""
    return task.issue is not None and s.listed_at is not None and task.issue not in s.issues


def _backoff_over(s: Snapshot) -> Iterator[Move | Wait]:
    for task in s.tasks.values():
        if task.state is not _S.BACKOFF:
            continue
        no = withdrawn(s, task)
        if no is not None:
            yield no
        elif task.retry_at is None or task.retry_at <= s.now or s.now < task.state_since - SET_BACK:
            yield Move(task, _S.QUEUED, task.reason, task.detail)
        else:
            yield Wait(task.id, "backoff", f"tries again after a pause ({task.reason})",
                       f"coordinator retry {task.id}", task.retry_at)


def _hindrance(s: Snapshot, task: Task) -> Wait | None:
    """What of the task itself keeps it from starting."""
    issue = s.issue_of(task)
    if issue is not None and s.policy.labels.pause in issue.labels:
        return Wait(task.id, "paused", f"the issue carries {s.policy.labels.pause}",
                    f"remove the label {s.policy.labels.pause}")
    if wait := recalled.hindrance(s, task):
        return wait
    blockers = sorted(open_blockers(s, task))
    if blockers:
        names = ", ".join(f"#{number}" for number in blockers)
        return Wait(task.id, "depends", f"waits for {names} (Depends on)", f"close {names}")
    return None


def _provider_of(s: Snapshot, task: Task) -> str:
    """The provider that works on it, which may stand in for its own."""
    attempt = s.attempt(task.id)
    return attempt.provider if attempt is not None else task.provider


def _begun(s: Snapshot, task: Task) -> bool:
    """Whether a session of it was decided on and not started yet: the day's sessions do not know of it."""
    attempt = s.attempt(task.id)
    return task.state is _S.PREPARING and attempt is not None and attempt.launched_at is None


class _Room:
    """Slots and caps as they fill up while one plan is made."""

    def __init__(self, s: Snapshot) -> None:
        self._s = s
        self.waves, self.starting = Waves(s), dict[str, Task]()
        self.berths = Berths(s)
        holding = [task for task in s.tasks.values() if task.state in HOLDS_SLOT or task.id in s.survivors]
        self._total = len(holding)
        self._sessions = s.sessions_today + sum(_begun(s, task) for task in holding)
        self._providers = Counter(_provider_of(s, task) for task in holding)
        self._labels: Counter[str] = Counter()
        for task in holding:
            self._labels.update(self._capped(task))

    def take(self, task: Task, provider: str, host: str) -> None:
        self.berths.take(host)
        self.starting[task.id] = task
        self._total += 1
        self._sessions += 1
        self._providers[provider] += 1
        self._labels.update(self._capped(task))

    def full(self, provider: str) -> bool:
        cap = self._s.policy.provider_caps.get(provider, 0)
        return bool(cap) and self._providers[provider] >= cap

    def hindrance(self, task: Task, provider: str) -> Wait | None:
        s, policy = self._s, self._s.policy
        for gate in self._gates():
            return Wait(task.id, gate.code, gate.words, gate.cure)
        if self._total >= policy.max_workers:
            return Wait(task.id, "slot", f"waits for a slot ({self._total}/{policy.max_workers} in use)",
                        "a worker ends, or workers.max is raised")
        if self.full(provider):
            return Wait(task.id, "provider_cap", f"{provider} is at its cap of {policy.provider_caps[provider]}",
                        f"a {provider} worker ends, or providers.{provider}.max is raised")
        for label in self._capped(task):
            if self._labels[label] >= policy.label_caps[label]:
                return Wait(task.id, "label_cap", f"label {label} is at its cap of {policy.label_caps[label]}",
                            f"a worker of that label ends, or caps.labels is raised for {label}")
        return None if s.free(work_lane(task.id)) else self._rests(task)

    def _rests(self, task: Task) -> Wait:
        lane = work_lane(task.id)
        return Wait(task.id, "holdoff", "rests after a failure, or its last work is still being kept",
                    until=self._s.holdoff.get(lane))

    def _gates(self) -> Iterator[Gate]:
        s = self._s
        if s.draining:
            yield Gate("draining", s.draining, "remove the STOP file, or start the coordinator again")
        if s.paused:
            yield Gate("coordinator_paused", "the whole coordinator is paused", "coordinator resume")
        if not s.github_ok:
            yield Gate("github", s.github_words, "coordinator doctor")
        yield from s.floors
        if s.policy.sessions_per_day and self._sessions >= s.policy.sessions_per_day:
            yield Gate("sessions_per_day", f"the daily cap of {s.policy.sessions_per_day} sessions is reached",
                       "wait for tomorrow, or raise caps.sessions_per_day")
        if words := caps.day(s):
            yield Gate("money_per_day", words, "wait for tomorrow, or raise caps.money_per_day")

    def _capped(self, task: Task) -> list[str]:
        issue = self._s.issue_of(task)
        labels = issue.labels if issue is not None else frozenset()
        return [label for label in self._s.policy.label_caps if label in labels]


