"""The store without a file, for unit tests of the engine. tests/contract/test_store.py holds it to the same
promises as the real one, its write seam included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from coordinator.adapters.system.seam import crossing
from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, PullRequest, Vet
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event, Request, RequestKind
from coordinator.domain.task import Task
from coordinator.ports import Stale, StoreError


@dataclass
class MemoryStore:
    """ports.Store in dictionaries. A transaction checks first and changes last, so it needs no roll-back."""

    _tasks: dict[str, Task] = field(default_factory=dict)
    _attempts: dict[tuple[str, int], Attempt] = field(default_factory=dict)
    _events: list[Event] = field(default_factory=list)
    _requests: list[Request] = field(default_factory=list)
    _answers: dict[int, str] = field(default_factory=dict)
    _issues: dict[int, Issue] = field(default_factory=dict)
    _cursor: str | None = None
    _vets: dict[int, Vet] = field(default_factory=dict)
    _pulls: dict[int, PullRequest] = field(default_factory=dict)
    _outward: dict[str, Outward] = field(default_factory=dict)
    _documents: dict[str, str] = field(default_factory=dict)
    _lock: RLock = field(default_factory=RLock)

    def changes(self) -> int:
        return len(self._events)

    def close(self) -> None:
        """Nothing is held: what was kept stays, as it would in a file."""

    def tasks(self) -> tuple[Task, ...]:
        return tuple(sorted(self._tasks.values(), key=lambda task: (task.created_at, task.id)))

    def task(self, task_id: str) -> Task | None:
        return self._tasks.get(task_id)

    def attempts(self) -> Mapping[str, tuple[Attempt, ...]]:
        found: dict[str, tuple[Attempt, ...]] = {}
        for task_id, number in sorted(self._attempts):
            found[task_id] = (*found.get(task_id, ()), self._attempts[task_id, number])
        return found

    def add(self, task: Task, event: Event) -> bool:
        _of_it(task.id, event)
        with self._writing(f"add {task.id}"):
            if task.id in self._tasks:
                return False
            self._tasks[task.id] = task
            self._events.append(event)
            return True

    def save(self, task: Task, event: Event, *, was: int, attempt: Attempt | None = None,
             answer: tuple[int, str] | None = None) -> None:
        if task.version <= was:
            raise ValueError(f"{task.id}: a save must raise the version, got {task.version} after {was}")
        _of_it(task.id, event)
        with self._writing(f"save {task.id}"):
            stored = self._tasks.get(task.id)
            if stored is None or stored.version != was:
                raise Stale(f"{task.id} is no longer at version {was}")
            if attempt is not None:
                self._keep_attempt(attempt)
            self._tasks[task.id] = task
            self._events.append(event)
            if answer is not None:
                self._answer(*answer)

    def record(self, attempt: Attempt, event: Event) -> None:
        _of_it(attempt.task_id, event)
        with self._writing(f"record {attempt.task_id}"):
            self._keep_attempt(attempt)
            self._events.append(event)

    def log(self, event: Event) -> None:
        with self._writing(f"log {event.kind} {event.task_id}".rstrip()):
            self._events.append(event)

    def events(self, task_id: str | None = None, kinds: Sequence[str] = ()) -> tuple[Event, ...]:
        return tuple(event for event in self._events
                     if (task_id is None or event.task_id == task_id) and (not kinds or event.kind in kinds))

    def count(self, kind: str, since: datetime | None = None) -> int:
        return sum(event.kind == kind and (since is None or event.at >= since) for event in self._events)

    def ask(self, kind: RequestKind, task_id: str, args: Mapping[str, str], source: str, at: datetime) -> int:
        with self._writing(f"ask {kind} {task_id}".rstrip()):
            return self._ask(kind, task_id, args, source, at)

    def take_edits(self, asks: Sequence[tuple[RequestKind, str, Mapping[str, str]]],
                   documents: Mapping[str, str | None], at: datetime) -> None:
        with self._writing("take edits"):
            for kind, task_id, args in asks:
                self._ask(kind, task_id, args, "ledger", at)
            for name, text in documents.items():
                self._keep(name, text)

    def requests(self) -> tuple[Request, ...]:
        return tuple(request for request in self._requests if request.id not in self._answers)

    def answer(self, request_id: int, words: str) -> None:
        with self._writing(f"answer {request_id}"):
            self._answer(request_id, words)

    def answered(self, request_id: int) -> str | None:
        return self._answers.get(request_id)

    def issues(self) -> Mapping[int, Issue]:
        return dict(self._issues)

    def keep_issues(self, issues: Sequence[Issue], cursor: str, *, full: bool) -> None:
        with self._writing("keep issues"):
            if full:
                self._issues = {number: issue for number, issue in self._issues.items() if not issue.open}
            self._issues |= {issue.number: issue for issue in issues}
            self._cursor = cursor

    def cursor(self) -> str | None:
        return self._cursor

    def vets(self) -> Mapping[int, Vet]:
        return dict(self._vets)

    def keep_vet(self, vet: Vet) -> None:
        with self._writing(f"keep vet {vet.number}"):
            self._vets[vet.number] = vet

    def pulls(self) -> Mapping[int, PullRequest]:
        return dict(self._pulls)

    def keep_pulls(self, pulls: Sequence[PullRequest]) -> None:
        if not pulls:
            return
        with self._writing("keep pulls"):
            self._pulls |= {pull.number: pull for pull in pulls}

    def outward(self) -> Mapping[str, Outward]:
        return dict(self._outward)

    def keep_outward(self, outward: Outward) -> None:
        with self._writing(f"keep outward {outward.task_id}"):
            self._outward[outward.task_id] = outward

    def document(self, name: str) -> str | None:
        return self._documents.get(name)

    def keep_document(self, name: str, text: str | None) -> None:
        with self._writing(f"keep document {name}"):
            self._keep(name, text)

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        with crossing("store", what), self._lock:
            yield

    def _keep_attempt(self, attempt: Attempt) -> None:
        if attempt.task_id not in self._tasks:
            raise StoreError(f"no task {attempt.task_id} to which attempt {attempt.number} could belong")
        self._attempts[attempt.task_id, attempt.number] = attempt

    def _ask(
        self, kind: RequestKind, task_id: str, args: Mapping[str, str], source: str, at: datetime
    ) -> int:
        made = Request(len(self._requests) + 1, kind, task_id, dict(args), source, at)
        self._requests.append(made)
        return made.id

    def _keep(self, name: str, text: str | None) -> None:
        if text is None:
            self._documents.pop(name, None)
        else:
            self._documents[name] = text

    def _answer(self, request_id: int, words: str) -> None:
        if 0 < request_id <= len(self._requests):
            self._answers.setdefault(request_id, words)


def _of_it(task_id: str, event: Event) -> None:
    if event.task_id != task_id:
        raise ValueError(f"{task_id}: its event tells of {event.task_id!r}")
