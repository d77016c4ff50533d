"""What every store promises, asked of the one on SQLite and of its twin in memory alike."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import methodcaller
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from coordinator.adapters.store import SqlStore
from coordinator.adapters.system import seam
from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Issue, PullRequest, PullState, Vet
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event, Request, RequestKind
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.ports import Stale, Store, StoreError
from tests.support import nouns
from tests.support.memory_store import MemoryStore

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
KINDS: dict[str, Callable[[Path], Store]] = {
    "sqlite": SqlStore,
    "memory": lambda path: MemoryStore(),
}
WITHIN_A_TEST = settings(deadline=None, max_examples=40)


@pytest.fixture(params=sorted(KINDS))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = KINDS[request.param](tmp_path / "state.db")
    yield made
    made.close()


def a_task(number: int = 1, **changes: object) -> Task:
    pin = Pin("Mend the parser", "It drops a token.", "ab" * 32, 11, "ann")
    task = Task(
        id=f"gh-{number}",
        pin=pin,
        branch=f"rpi/gh-{number}",
        created_at=NOW + timedelta(seconds=number),
        updated_at=NOW,
        state_since=NOW,
        issue=number,
    )
    return replace(task, **changes)


def an_attempt(number: int = 1, task_id: str = "gh-1", **changes: object) -> Attempt:
    attempt = Attempt(
        task_id=task_id,
        number=number,
        token=f"t{number}",
        fence=number,
        worker_id="w-a1b2c3",
        provider="claude",
        run_id="20260301120000",
        created_at=NOW,
    )
    return replace(attempt, **changes)


def an_event(kind: str = "moved", task_id: str = "gh-1", at: datetime = NOW) -> Event:
    return Event(task_id, at, kind)


def an_issue(number: int, **changes: object) -> Issue:
    labels, url = frozenset({"rpi-auto"}), f"https://x/{number}"
    issue = Issue(number, f"Issue {number}", "", "open", labels, "ann", url, NOW, NOW)
    return replace(issue, **changes)


def a_pull(number: int, **changes: object) -> PullRequest:
    pull = PullRequest(
        number=number,
        url=f"https://x/pull/{number}",
        state=PullState.OPEN,
        draft=False,
        title="Mend",
        author="bot",
        head_ref="rpi/gh-1",
        head_sha="c0ffee",
        head_owner="acme",
        base_ref="main",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(pull, **changes)


@pytest.mark.req("E59", "P49")
@pytest.mark.parametrize("state", TaskState)
def test_a_task_in_any_state_comes_back_as_it_was_stored(store: Store, state: TaskState) -> None:
    task = a_task(
        7,
        state=state,
        priority=0,
        reason="stalled",
        detail="a {p0} line\nand another",
        version=4,
        retry_at=NOW,
        depends_on=(3, 1),
        attempts=2,
        pr_number=512,
        pr_url="https://x/pull/512",
        pr_draft=True,
        worktree="trees/gh-7",
        completed_at=NOW + timedelta(microseconds=1),
        pin=Pin("Fix {p0} parsing [✅", "body", "cd" * 32, 5, "ann"),
    )
    assert store.add(task, an_event(task_id=task.id))
    assert store.task("gh-7") == task
    assert store.tasks() == (task,)


def test_each_noun_comes_back_as_it_was_stored(store: Store) -> None:
    @WITHIN_A_TEST
    @given(task=nouns.TASKS, attempt=nouns.ATTEMPTS, event=nouns.EVENTS)
    def our_own(task: Task, attempt: Attempt, event: Event) -> None:
        event = replace(event, task_id=task.id)
        if not store.add(task, event):
            stored = store.task(task.id)
            assert stored is not None
            task = replace(task, version=stored.version + 1)
            store.save(task, event, was=stored.version)
        attempt = replace(attempt, task_id=task.id)
        store.record(attempt, event)
        assert store.task(task.id) == task
        assert attempt in store.attempts()[task.id]
        assert store.events()[-1] == event

    @WITHIN_A_TEST
    @given(issue=nouns.ISSUES, vet=nouns.VETS, pull=nouns.PULLS, outward=nouns.OUTWARDS, text=nouns.WORDS)
    def of_github(issue: Issue, vet: Vet, pull: PullRequest, outward: Outward, text: str) -> None:
        store.keep_issues([issue], text, full=False)
        store.keep_vet(vet)
        store.keep_pulls([pull])
        store.keep_outward(outward)
        store.keep_document("note", text)

        assert (store.issues()[issue.number], store.cursor()) == (issue, text)
        assert store.vets()[vet.number] == vet
        assert store.pulls()[pull.number] == pull
        assert store.outward()[outward.task_id] == outward
        assert store.document("note") == text

    our_own()
    of_github()


def test_adding_an_id_twice_changes_nothing(store: Store) -> None:
    assert store.add(a_task(), an_event("adopted"))
    assert not store.add(a_task(priority=0), an_event("adopted again"))
    assert store.tasks() == (a_task(),)
    assert [event.kind for event in store.events()] == ["adopted"]


def test_tasks_come_oldest_first(store: Store) -> None:
    for number in (3, 1, 2):
        store.add(a_task(number), an_event(task_id=f"gh-{number}"))
    assert [task.id for task in store.tasks()] == ["gh-1", "gh-2", "gh-3"]


def test_a_save_from_the_version_read_moves_task_attempt_event_and_answer_together(store: Store) -> None:
    store.add(a_task(), an_event("adopted"))
    asked = store.ask(RequestKind.RETRY, "gh-1", {"fresh": "1"}, "cli", NOW)
    moved = a_task().move(TaskState.PREPARING, NOW)
    store.save(moved, an_event("preparing"), was=0, attempt=an_attempt(), answer=(asked, "set going"))
    assert store.task("gh-1") == moved
    assert store.attempts() == {"gh-1": (an_attempt(),)}
    assert [event.kind for event in store.events("gh-1")] == ["adopted", "preparing"]
    assert store.requests() == ()
    assert store.answered(asked) == "set going"


def test_a_stale_save_leaves_nothing_behind(store: Store) -> None:
    store.add(a_task(), an_event("adopted"))
    asked = store.ask(RequestKind.STOP, "gh-1", {}, "cli", NOW)
    moved = a_task().move(TaskState.PREPARING, NOW)
    store.save(moved, an_event("preparing"), was=0)
    other = a_task().move(TaskState.CANCELLED, NOW)
    with pytest.raises(Stale, match="gh-1"):
        store.save(other, an_event("cancelled"), was=0, attempt=an_attempt(), answer=(asked, "stopped"))
    assert store.task("gh-1") == moved
    assert store.attempts() == {}
    assert [event.kind for event in store.events()] == ["adopted", "preparing"]
    assert store.answered(asked) is None


def test_saving_a_task_that_was_never_added_is_stale(store: Store) -> None:
    with pytest.raises(Stale):
        store.save(a_task(version=1), an_event(), was=0)


def test_a_save_that_would_not_raise_the_version_is_refused(store: Store) -> None:
    store.add(a_task(), an_event())
    with pytest.raises(ValueError, match="gh-1: a save must raise the version"):
        store.save(a_task(priority=0), an_event(), was=0)
    assert store.task("gh-1") == a_task()


def test_an_event_of_another_task_is_refused(store: Store) -> None:
    """What is read again follows from the events."""
    with pytest.raises(ValueError, match="gh-1: its event tells of 'gh-2'"):
        store.add(a_task(), an_event(task_id="gh-2"))
    assert store.add(a_task(), an_event())
    with pytest.raises(ValueError, match="gh-1: its event tells of 'gh-2'"):
        store.save(a_task(version=1), an_event(task_id="gh-2"), was=0)
    with pytest.raises(ValueError, match="gh-1: its event tells of 'gh-2'"):
        store.record(an_attempt(), an_event(task_id="gh-2"))
    assert (store.tasks(), store.attempts()) == ((a_task(),), {})


def test_an_attempt_is_replaced_by_its_number_and_listed_in_order(store: Store) -> None:
    store.add(a_task(), an_event())
    ended = an_attempt(1, ending=Ending.FAILED, reason="stalled", ended_at=NOW, usage=Usage(12, None, 0.25))
    for attempt in (an_attempt(2), an_attempt(1), an_attempt(10), ended):
        store.record(attempt, an_event("attempt"))
    assert store.attempts() == {"gh-1": (ended, an_attempt(2), an_attempt(10))}
    assert store.count("attempt") == 4


def test_an_attempt_of_no_task_is_refused_with_its_event(store: Store) -> None:
    with pytest.raises(StoreError):
        store.record(an_attempt(task_id="gh-99"), an_event("lost", "gh-99"))
    assert store.events() == ()


def test_events_are_found_by_task_and_kind_and_counted_from_a_moment_on(store: Store) -> None:
    later = NOW + timedelta(microseconds=1)
    for event in (
        an_event("launched", "gh-1"),
        an_event("launched", "gh-2", later),
        an_event("ended", "gh-1", later),
        an_event("drained", ""),
    ):
        store.log(event)
    assert [event.task_id for event in store.events(kinds=["launched", "drained"])] == ["gh-1", "gh-2", ""]
    assert [event.kind for event in store.events("gh-1")] == ["launched", "ended"]
    assert store.events("gh-1", kinds=["drained"]) == ()
    assert (store.count("launched"), store.count("launched", later), store.count("none")) == (2, 1, 0)


def test_requests_are_answered_once_and_listed_oldest_first(store: Store) -> None:
    first = store.ask(RequestKind.STOP, "gh-1", {"reason": "wrong\nway"}, "cli", NOW)
    second = store.ask(RequestKind.PAUSE, "", {}, "ledger", NOW)
    third = store.ask(RequestKind.RETRY, "gh-2", {}, "cli", NOW)
    store.answer(second, "paused")
    store.answer(second, "paused twice")
    store.answer(999, "nobody asked")
    assert store.requests() == (
        Request(first, RequestKind.STOP, "gh-1", {"reason": "wrong\nway"}, "cli", NOW),
        Request(third, RequestKind.RETRY, "gh-2", {}, "cli", NOW),
    )
    assert store.answered(second) == "paused"
    assert store.answered(999) is None


def test_issues_and_cursor_are_kept_together_and_a_full_listing_forgets_what_is_gone(store: Store) -> None:
    assert store.cursor() is None
    store.keep_issues([an_issue(1), an_issue(2), an_issue(3, state="closed")], "one", full=True)
    store.keep_issues([an_issue(2, title="Changed")], "two", full=False)
    assert (sorted(store.issues()), store.issues()[2].title, store.cursor()) == ([1, 2, 3], "Changed", "two")
    store.keep_issues([an_issue(1)], "three", full=True)
    assert (sorted(store.issues()), store.cursor()) == ([1, 3], "three")
    store.keep_issues([], "four", full=False)
    assert (sorted(store.issues()), store.cursor()) == ([1, 3], "four")


def test_an_issue_whose_fingerprint_was_asked_for_is_kept_like_any_other(store: Store) -> None:
    issue = an_issue(1)
    assert len(issue.sha256) == 64
    store.keep_issues([issue], "one", full=True)
    assert store.issues() == {1: an_issue(1)}


def test_vets_pulls_and_outward_are_replaced_by_their_key(store: Store) -> None:
    vet = Vet(1, NOW, 11, "ann", "write", (3, 2))
    store.keep_vet(vet)
    store.keep_vet(replace(vet, permission="read"))
    assert store.vets() == {1: replace(vet, permission="read")}
    store.keep_pulls([a_pull(5), a_pull(6)])
    store.keep_pulls([a_pull(5, state=PullState.MERGED, head_owner="")])
    store.keep_pulls([])
    assert store.pulls() == {5: a_pull(5, state=PullState.MERGED, head_owner=""), 6: a_pull(6)}
    store.keep_outward(Outward("gh-1", notices=frozenset({"b", "a"})))
    store.keep_outward(Outward("gh-1", 77, "done", frozenset(), frozenset({"rpi:blocked"})))
    assert store.outward() == {"gh-1": Outward("gh-1", 77, "done", frozenset(), frozenset({"rpi:blocked"}))}


def test_a_document_is_kept_replaced_and_forgotten(store: Store) -> None:
    assert store.document("tasks.md") is None
    store.keep_document("tasks.md", "# Tasks\r\n\x00")
    store.keep_document("tasks.md", "# Tasks 2\n")
    assert store.document("tasks.md") == "# Tasks 2\n"
    store.keep_document("tasks.md", None)
    assert store.document("tasks.md") is None


def test_edits_of_the_ledger_become_requests_together_with_what_was_seen(store: Store) -> None:
    store.keep_document("foreign", "a line")
    edits = [(RequestKind.ADD, "m-1", {"title": "Tidy up"}), (RequestKind.STOP, "gh-1", {})]
    store.take_edits(edits, {"ledger": "# Tasks", "foreign": None}, NOW)
    asked = [(request.kind, request.task_id, request.args, request.source) for request in store.requests()]
    assert asked == [(kind, task_id, args, "ledger") for kind, task_id, args in edits]
    assert (store.document("ledger"), store.document("foreign")) == ("# Tasks", None)


def test_every_write_crosses_the_seam_once_and_no_read_does(store: Store) -> None:
    crossed: list[str] = []
    leave = seam.watch(
        lambda when, kind, what: crossed.append(f"{kind}: {what}") if when == "before" else None
    )
    try:
        store.add(a_task(), an_event())
        store.save(a_task(version=1), an_event(), was=0)
        store.record(an_attempt(), an_event())
        store.log(an_event("noted"))
        store.answer(store.ask(RequestKind.STOP, "gh-1", {}, "cli", NOW), "ok")
        store.keep_issues([an_issue(1)], "c", full=True)
        store.keep_vet(Vet(1, NOW, 11, "ann", "write", ()))
        store.keep_pulls([a_pull(5)])
        store.keep_outward(Outward("gh-1"))
        store.keep_document("paused", "1")
        store.take_edits([], {"ledger": ""}, NOW)
        for read in (
            store.tasks,
            store.attempts,
            store.events,
            store.requests,
            store.issues,
            store.cursor,
            store.vets,
            store.pulls,
            store.outward,
        ):
            read()
    finally:
        leave()
    assert crossed == [
        "store: add gh-1",
        "store: save gh-1",
        "store: record gh-1",
        "store: log noted gh-1",
        "store: ask stop gh-1",
        "store: answer 1",
        "store: keep issues",
        "store: keep vet 1",
        "store: keep pulls",
        "store: keep outward gh-1",
        "store: keep document paused",
        "store: take edits",
    ]


def test_ten_thousand_tasks_are_all_read(store: Store) -> None:
    if isinstance(store, SqlStore):
        with store._engine.begin() as connection:
            from coordinator.adapters.store import rows, schema

            connection.execute(
                schema.tasks.insert(), [rows.task_row(a_task(number)) for number in range(10_000)]
            )
    else:
        for number in range(10_000):
            store.add(a_task(number), an_event(task_id=f"gh-{number}"))
    read = store.tasks()
    assert len(read) == 10_000
    assert read[-1] == a_task(9_999)


class Twins(RuleBasedStateMachine):
    """The same history told to both stores; each step must be answered alike and leave the same behind."""

    folder: Path
    files = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.pair: tuple[Store, Store] = (SqlStore(self.folder / f"{next(self.files)}.db"), MemoryStore())

    def both(self, act: Callable[[Store], object]) -> None:
        first, second = (_told(act, store) for store in self.pair)
        assert first == second

    @rule(number=st.integers(1, 3))
    def add(self, number: int) -> None:
        self.both(lambda store: store.add(a_task(number), an_event("add", f"gh-{number}")))

    @rule(
        number=st.integers(1, 3), was=st.integers(0, 3), attempt=st.integers(0, 2), answer=st.integers(0, 3)
    )
    def save(self, number: int, was: int, attempt: int, answer: int) -> None:
        task = a_task(number, version=was + 1, detail=str(attempt))
        made = an_attempt(attempt, task.id) if attempt else None
        told = (answer, "done") if answer else None
        self.both(
            lambda store: store.save(task, an_event("save", task.id), was=was, attempt=made, answer=told)
        )

    @rule(number=st.integers(1, 4), attempt=st.integers(1, 2))
    def record(self, number: int, attempt: int) -> None:
        made = an_attempt(attempt, f"gh-{number}", detail="recorded")
        self.both(lambda store: store.record(made, an_event("record", f"gh-{number}")))

    @rule(number=st.integers(1, 2))
    def ask(self, number: int) -> None:
        self.both(lambda store: store.ask(RequestKind.STOP, f"gh-{number}", {}, "cli", NOW))

    @rule(numbers=st.sets(st.integers(1, 5)), full=st.booleans(), state=st.sampled_from(["open", "closed"]))
    def listing(self, numbers: set[int], full: bool, state: str) -> None:
        issues = [an_issue(number, state=state) for number in numbers]
        self.both(lambda store: store.keep_issues(issues, str(sorted(numbers)), full=full))

    @invariant()
    def nobody_can_tell_them_apart(self) -> None:
        for read in ("tasks", "attempts", "events", "requests", "issues", "cursor"):
            self.both(methodcaller(read))

    def teardown(self) -> None:
        for store in self.pair:
            store.close()


def _told(act: Callable[[Store], object], store: Store) -> object:
    try:
        return act(store)
    except (Stale, StoreError) as error:
        return type(error)


def test_nobody_can_tell_the_two_stores_apart(tmp_path: Path) -> None:
    Twins.folder = tmp_path
    how = settings(max_examples=15, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(Twins, settings=how)
