"""The memory on SQLite: short transactions, compare-and-swap on the task's version, no decisions.

Any number of processes and threads may use one file; a writer waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import Insert, insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from coordinator.adapters.store import rows, schema, trouble
from coordinator.adapters.store.opening import open_engine
from coordinator.adapters.system.seam import crossing
from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, PullRequest, Vet
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event, Request, RequestKind
from coordinator.domain.task import Task
from coordinator.ports import Stale

_T = TypeVar("_T")
_CURSOR = "github.cursor"
_ISSUES, _VETS, _PULLS, _OUTWARD = "github.issues", "github.vets", "github.pulls", "github.outward"
"""Documents that count the changes of these tables."""
_MANY = 500
"""Tasks that changed, from which all rows are read: so many names fit one question."""
_SWAP = update(schema.tasks).where(schema.tasks.c.id == bindparam("its_id"), schema.tasks.c.version == bindparam("was"))
_LOG = insert(schema.events)


class SqlStore:
    """ports.Store in one file. Every method may raise StoreError; nothing is ever half-written."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file and brings it to this version's schema. Raises NewerSchema, StoreError."""
        self._path = path
        self._engine = open_engine(path)
        self._known: dict[str, tuple[object, Any]] = {}

    def close(self) -> None:
        self._engine.dispose()

    # tasks and their attempts

    def tasks(self) -> tuple[Task, ...]:
        return self._unchanged("tasks", self._last_event(), self._read_tasks)

    def _read_tasks(self) -> tuple[Task, ...]:
        table = schema.tasks
        nothing: tuple[Task, ...] = ()
        changed, known = self._changed("tasks", nothing)
        query = select(table) if changed is None else select(table).where(table.c.id.in_(changed))
        found = {one.id: one for one in known} | {one.id: one for one in self._made(query, rows.task_of)}
        return tuple(sorted(found.values(), key=lambda one: (one.created_at, one.id)))

    def _changed(self, name: str, none: _T) -> tuple[set[str] | None, _T]:
        """(Of which tasks events tell since `name` was read, what was read then: of the others the same objects are
        given again). None and `none` where all is to be read: the first time, when it is much, or when the file was put
        back to how it was. Another thread may keep what it read meanwhile: mark and reading are taken together."""
        mark, known = self._known.get(name, (None, none))
        if not isinstance(mark, int) or mark > (self._last_event() or 0):
            return None, none
        events = schema.events
        told = {row["task_id"] for row in self._rows(select(events.c.task_id).where(events.c.id > mark).distinct())}
        return (told, known) if len(told) <= _MANY else (None, none)

    def task(self, task_id: str) -> Task | None:
        found = self._made(select(schema.tasks).where(schema.tasks.c.id == task_id), rows.task_of)
        return found[0] if found else None

    def attempts(self) -> Mapping[str, tuple[Attempt, ...]]:
        return self._unchanged("attempts", self._last_event(), self._read_attempts)

    def _read_attempts(self) -> Mapping[str, tuple[Attempt, ...]]:
        table = schema.attempts
        nothing: Mapping[str, tuple[Attempt, ...]] = {}
        changed, known = self._changed("attempts", nothing)
        query = select(table).order_by(table.c.task_id, table.c.number)
        query = query if changed is None else query.where(table.c.task_id.in_(changed))
        fresh: dict[str, list[Attempt]] = {}
        for attempt in self._made(query, rows.attempt_of):
            fresh.setdefault(attempt.task_id, []).append(attempt)
        return dict(sorted({**known, **{name: tuple(those) for name, those in fresh.items()}}.items()))

    def add(self, task: Task, event: Event) -> bool:
        _of_it(task.id, event)
        with self._writing(f"add {task.id}") as connection:
            row = rows.task_row(task)
            added = connection.execute(insert(schema.tasks).values(row).on_conflict_do_nothing())
            if added.rowcount:
                _log(connection, event)
            return bool(added.rowcount)

    def save(self, task: Task, event: Event, *, was: int, attempt: Attempt | None = None,
             answer: tuple[int, str] | None = None) -> None:
        if task.version <= was:
            raise ValueError(f"{task.id}: a save must raise the version, got {task.version} after {was}")
        _of_it(task.id, event)
        with self._writing(f"save {task.id}") as connection:
            _swap(connection, task, was)
            _log(connection, event)
            if attempt is not None:
                _put(connection, schema.attempts, rows.attempt_row(attempt))
            if answer is not None:
                _answer(connection, *answer)

    def record(self, attempt: Attempt, event: Event) -> None:
        _of_it(attempt.task_id, event)
        with self._writing(f"record {attempt.task_id}") as connection:
            _put(connection, schema.attempts, rows.attempt_row(attempt))
            _log(connection, event)

    # history

    def log(self, event: Event) -> None:
        with self._writing(f"log {event.kind} {event.task_id}".rstrip()) as connection:
            _log(connection, event)

    def events(self, task_id: str | None = None, kinds: Sequence[str] = ()) -> tuple[Event, ...]:
        table = schema.events
        query = select(*(column for column in table.c if column.name != "id")).order_by(table.c.id)
        if task_id is not None:
            query = query.where(table.c.task_id == task_id)
        if kinds:
            query = query.where(table.c.kind.in_(kinds))
        return tuple(Event(**row) for row in self._rows(query))

    def count(self, kind: str, since: datetime | None = None) -> int:
        table = schema.events
        query = select(func.count().label("n")).select_from(table).where(table.c.kind == kind)
        if since is not None:
            query = query.where(table.c.at >= since)
        return int(self._rows(query)[0]["n"])

    def changes(self) -> int:
        return self._last_event() or 0

    def check(self) -> None:
        """Reads all there is. Raises StoreDamaged where it is not what was stored."""
        with self._told(), self._engine.connect().execution_options(reads=True) as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise trouble.unsound(self._path, str(found))
        for read in (self.tasks, self.attempts, self.issues, self.vets, self.pulls, self.outward, self.requests,
                     self.events):
            read()

    # what people asked

    def ask(self, kind: RequestKind, task_id: str, args: Mapping[str, str], source: str, at: datetime) -> int:
        with self._writing(f"ask {kind} {task_id}".rstrip()) as connection:
            return _ask(connection, rows.request_row(kind, task_id, args, source, at))

    def take_edits(self, asks: Sequence[tuple[RequestKind, str, Mapping[str, str]]],
                   documents: Mapping[str, str | None], at: datetime) -> None:
        with self._writing("take edits") as connection:
            for kind, task_id, args in asks:
                _ask(connection, rows.request_row(kind, task_id, args, "ledger", at))
            for name, text in documents.items():
                _keep(connection, name, text)

    def requests(self) -> tuple[Request, ...]:
        table = schema.requests
        query = select(table).where(table.c.answer.is_(None)).order_by(table.c.id)
        return tuple(rows.request_of(row) for row in self._rows(query))

    def answer(self, request_id: int, words: str) -> None:
        with self._writing(f"answer {request_id}") as connection:
            _answer(connection, request_id, words)

    def answered(self, request_id: int) -> str | None:
        table = schema.requests
        found = self._rows(select(table.c.answer).where(table.c.id == request_id))
        return found[0]["answer"] if found else None

    # what GitHub told

    def issues(self) -> Mapping[int, Issue]:
        return self._unchanged("issues", self.document(_ISSUES), self._read_issues)

    def _read_issues(self) -> Mapping[int, Issue]:
        return {row["number"]: Issue(**row) for row in self._rows(select(schema.issues))}

    def keep_issues(self, issues: Sequence[Issue], cursor: str, *, full: bool) -> None:
        with self._writing("keep issues") as connection:
            if full:
                _forget_open(connection, {issue.number for issue in issues})
            _put_all(connection, schema.issues, [rows.flat(issue) for issue in issues])
            _keep(connection, _CURSOR, cursor)
            _count_up(connection, _ISSUES)

    def cursor(self) -> str | None:
        return self.document(_CURSOR)

    def vets(self) -> Mapping[int, Vet]:
        return self._unchanged("vets", self.document(_VETS), self._read_vets)

    def _read_vets(self) -> Mapping[int, Vet]:
        return {row["number"]: Vet(**row) for row in self._rows(select(schema.vets))}

    def keep_vet(self, vet: Vet) -> None:
        with self._writing(f"keep vet {vet.number}") as connection:
            _put(connection, schema.vets, rows.flat(vet))
            _count_up(connection, _VETS)

    def pulls(self) -> Mapping[int, PullRequest]:
        return self._unchanged("pulls", self.document(_PULLS), self._read_pulls)

    def _read_pulls(self) -> Mapping[int, PullRequest]:
        return {row["number"]: PullRequest(**row) for row in self._rows(select(schema.pulls))}

    def keep_pulls(self, pulls: Sequence[PullRequest]) -> None:
        if not pulls:
            return
        with self._writing("keep pulls") as connection:
            _put_all(connection, schema.pulls, [rows.flat(pull) for pull in pulls])
            _count_up(connection, _PULLS)

    # what we told

    def outward(self) -> Mapping[str, Outward]:
        return self._unchanged("outward", self.document(_OUTWARD), self._read_outward)

    def _read_outward(self) -> Mapping[str, Outward]:
        return {row["task_id"]: Outward(**row) for row in self._rows(select(schema.outward))}

    def keep_outward(self, outward: Outward) -> None:
        with self._writing(f"keep outward {outward.task_id}") as connection:
            _put(connection, schema.outward, rows.flat(outward))
            _count_up(connection, _OUTWARD)

    def document(self, name: str) -> str | None:
        found = self._rows(select(schema.documents.c.text).where(schema.documents.c.name == name))
        return found[0]["text"] if found else None

    def keep_document(self, name: str, text: str | None) -> None:
        with self._writing(f"keep document {name}") as connection:
            _keep(connection, name, text)

    # what need not be read again

    def _last_event(self) -> int | None:
        """Every change of a task or an attempt writes an event in its transaction: this number moves with it."""
        last: int | None = self._rows(select(func.max(schema.events.c.id).label("n")))[0]["n"]
        return last

    def _unchanged(self, name: str, mark: object, read: Callable[[], _T]) -> _T:
        """What was read when the mark was the same, whoever wrote since. The mark was taken before reading: what
        changes between the two is read the next time."""
        known = self._known.get(name)
        if known is not None and known[0] == mark:
            found: _T = known[1]
            return found
        found = read()
        if mark is not None:
            self._known[name] = (mark, found)
        return found

    # the two doors to the file

    def _rows(self, query: Select[Any]) -> Sequence[dict[str, Any]]:
        return self._made(query, lambda row: row)

    def _made(self, query: Select[Any], make: Callable[[dict[str, Any]], _T]) -> Sequence[_T]:
        """One of each row, which is made before the next is read: of ten thousand, half are never there at a time."""
        with self._told(), self._engine.connect().execution_options(reads=True) as connection:
            try:
                found = connection.execute(query)
                names = tuple(found.keys())
                return [make(dict(zip(names, row, strict=True))) for row in found]
            except (ValueError, TypeError) as error:
                raise trouble.unreadable(self._path, error) from error

    @contextmanager
    def _writing(self, what: str) -> Iterator[Connection]:
        with self._told(), crossing("store", what), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise trouble.explain(self._path, error.orig or error) from error
        except PoolTimeout as error:
            raise trouble.explain(self._path, error) from error


def _swap(connection: Connection, task: Task, was: int) -> None:
    if connection.execute(_SWAP, {**rows.task_row(task), "its_id": task.id, "was": was}).rowcount == 0:
        raise Stale(f"{task.id} is no longer at version {was}")


def _of_it(task_id: str, event: Event) -> None:
    """What is read again follows from the events."""
    if event.task_id != task_id:
        raise ValueError(f"{task_id}: its event tells of {event.task_id!r}")


def _log(connection: Connection, event: Event) -> None:
    connection.execute(_LOG, rows.flat(event))


def _ask(connection: Connection, values: Mapping[str, Any]) -> int:
    made = connection.execute(insert(schema.requests).values(values)).inserted_primary_key
    assert made is not None
    return int(made[0])


def _keep(connection: Connection, name: str, text: str | None) -> None:
    if text is None:
        connection.execute(schema.documents.delete().where(schema.documents.c.name == name))
    else:
        _put(connection, schema.documents, {"name": name, "text": text})


def _count_up(connection: Connection, name: str) -> None:
    query = select(schema.documents.c.text).where(schema.documents.c.name == name)
    _keep(connection, name, str(int(connection.execute(query).scalar() or 0) + 1))


def _answer(connection: Connection, request_id: int, words: str) -> None:
    """The first answer stands: after a crash the same request may be answered once more."""
    table = schema.requests
    unanswered = update(table).where(table.c.id == request_id, table.c.answer.is_(None))
    connection.execute(unanswered.values(answer=words))


def _put(connection: Connection, table: Table, row: Mapping[str, Any]) -> None:
    _put_all(connection, table, [row])


def _put_all(connection: Connection, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Inserts, or replaces the row of the same key."""
    if not values:
        return
    connection.execute(_upsert(table, frozenset(values[0])), list(values))


@cache
def _upsert(table: Table, names: frozenset[str]) -> Insert:
    """Made once: making a statement takes longer than running it."""
    statement = insert(table)
    keys = [column.name for column in table.primary_key.columns]
    others = {name: statement.excluded[name] for name in sorted(names) if name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)


def _forget_open(connection: Connection, kept: set[int]) -> None:
    table = schema.issues
    stored = connection.execute(select(table.c.number).where(table.c.state == "open")).scalars().all()
    for number in set(stored) - kept:
        connection.execute(table.delete().where(table.c.number == number))
