"""tasks.md as text: what is written for each state, and that reading it gives the same tasks back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.attempt import Attempt
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.wording.entries import Entries, Entry, Section, reason_words, safe_title, section_of
from coordinator.wording.tasks_md import Line, parse, render

NOW = datetime(2026, 3, 4, 14, 5, 11, tzinfo=UTC)
GOLDEN = Path(__file__).parent.parent / "golden" / "tasks.md"


def a_task(number: int, state: TaskState, **changes: object) -> Task:
    task = Task(
        id=f"gh-{number}", pin=Pin(f"Title of {number}", "", "", 0, ""), branch=f"rpi/gh-{number}",
        created_at=NOW - timedelta(hours=number), updated_at=NOW, state_since=NOW, issue=number, state=state,
    )
    return replace(task, **changes)  # type: ignore[arg-type]


def an_attempt(task: Task, number: int = 1, **changes: object) -> Attempt:
    attempt = Attempt(
        task_id=task.id, number=number, token="t", fence=number, worker_id=f"w-00000{number}",
        provider="claude", run_id="20260304140511", created_at=NOW, launched_at=NOW, pid=4711,
        head_sha="0123456789abcdef",
    )
    return replace(attempt, **changes)  # type: ignore[arg-type]


ONE_OF_EACH = (
    a_task(1, TaskState.QUEUED, priority=1),
    a_task(2, TaskState.BACKOFF),
    a_task(3, TaskState.PREPARING),
    a_task(4, TaskState.RUNNING, worktree="/srv/widgets/trees/gh-4"),
    a_task(5, TaskState.PUBLISHING),
    a_task(6, TaskState.IN_REVIEW, completed_at=NOW, pr_number=512, pr_url="https://github.com/a/w/pull/512"),
    a_task(7, TaskState.DONE, completed_at=NOW, pr_head_sha="abc1234def", pr_number=7),
    a_task(8, TaskState.FAILED, reason="no_change"),
    a_task(9, TaskState.CANCELLED, reason="manual_stop", detail="wrong\napproach"),
    a_task(10, TaskState.BLOCKED, reason="max_retries", detail="stalled twice"),
)
ATTEMPTS = {task.id: (an_attempt(task),) for task in ONE_OF_EACH if task.state is not TaskState.QUEUED}


def entries(*tasks: Task) -> tuple[Entry, ...]:
    return Entries(lambda moment: moment).of(tasks, ATTEMPTS, NOW)


def lines_of(text: str) -> list[tuple[Section | None, Line]]:
    return list(parse(text).lines())


def test_the_file_with_one_task_of_each_state_is_as_the_golden_file_shows() -> None:
    assert render(entries(*ONE_OF_EACH)) == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.req("P49")
def test_a_task_of_every_state_is_read_back_with_its_title_and_priority() -> None:
    tasks = [replace(task, pin=replace(task.pin, title=f"Cut {{p0}} at {task.issue}"), priority=3)
             for task in ONE_OF_EACH]
    read = lines_of(render(entries(*tasks)))
    assert {(line.id, section, line.priority, line.title) for section, line in read} == {
        (task.id, section_of(task.state), 3, task.title) for task in tasks
    }


def test_the_pid_stands_on_the_second_line_after_the_mark() -> None:
    rows = render(entries(ONE_OF_EACH[3])).split("\n")
    at = next(number for number, row in enumerate(rows) if row.startswith("[🟡 w-000001, trees/gh-4] gh-4: "))
    assert rows[at + 2] == "- PID: 4711"


def test_an_empty_section_holds_a_comment() -> None:
    assert render(()).count("<!-- none -->") == len(Section)


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["title", "state", "attempt", "day"])), max_size=12))
def test_what_is_kept_from_call_to_call_is_what_would_be_made_anew(changes: list[tuple[int, str]]) -> None:
    tasks, attempts, now = {task.id: task for task in ONE_OF_EACH}, dict(ATTEMPTS), NOW
    keeping = Entries(lambda moment: moment)
    for turn, (at, change) in enumerate(changes):
        task = list(tasks.values())[at]
        if change == "title":
            tasks[task.id] = replace(task, pin=replace(task.pin, title=f"turn {turn}"))
        elif change == "state":
            tasks[task.id] = replace(task, state=ONE_OF_EACH[turn % len(ONE_OF_EACH)].state, priority=turn % 3)
        elif change == "attempt":
            attempts = attempts | {task.id: (*attempts.get(task.id, ()), an_attempt(task, worker_id=f"w-{turn:06x}"))}
        else:
            now += timedelta(days=1)
        told = tuple(tasks.values())
        made = keeping.of(told, attempts, now)
        assert made == Entries(lambda moment: moment).of(told, attempts, now)
        assert keeping.of(told, attempts, now) is made


def test_completed_today_means_the_hosts_day() -> None:
    task = a_task(6, TaskState.IN_REVIEW, completed_at=datetime(2026, 3, 3, 23, 30, tzinfo=UTC))
    east = timezone(timedelta(hours=2))
    assert Entries(lambda moment: moment.astimezone(east)).of([task], {}, NOW)
    assert not Entries(lambda moment: moment).of([task], {}, NOW)


def test_pending_is_ordered_by_priority_then_age_then_number() -> None:
    old, new, urgent = (a_task(n, TaskState.QUEUED, created_at=NOW - timedelta(days=d), priority=p)
                        for n, d, p in ((9, 2, 2), (3, 1, 2), (8, 0, 0)))
    same = a_task(10, TaskState.QUEUED, created_at=new.created_at)
    assert [entry.id for entry in entries(same, new, old, urgent)] == ["gh-8", "gh-9", "gh-3", "gh-10"]


@pytest.mark.req("E31")
def test_no_change_is_told_in_the_words_of_the_guide() -> None:
    text = render(entries(ONE_OF_EACH[7]))
    assert "\n- Reason: no_change: Worker exited without creating PR\n" in text


def test_a_reason_without_words_of_its_own_is_explained() -> None:
    assert reason_words("max_runtime") == "max_runtime: the time limit was reached"
    assert reason_words("", "") == ""


ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
titles = st.text(max_size=300) | st.sampled_from([
    "ends in {p0}", "{p3}", "[❌ w-abc123] gh-9: not a mark", "\n## Failed\n[] gh-7: x", "`` `x` ``",
    "<!-- hide",
    "<\u200b!-- hide", "\x1b[31mred\x1b[0m", "\u202eevil", "gh-5: gh-6: nested", "- PID: 1", "😀" * 300,
    "#" * 5,
    "]] , [[", "\ud800", " ", "x" * 5000,
])


@st.composite
def some_entries(draw: st.DrawFn) -> tuple[Entry, ...]:
    names = draw(st.lists(ids, unique=True, max_size=8))
    return tuple(
        Entry(
            id=name, title=draw(titles), section=draw(st.sampled_from(Section)),
            priority=draw(st.integers(0, 3)), worker=draw(st.sampled_from(["", "w-0a1b2c"])),
            reason=draw(titles), worktree=draw(st.sampled_from(["", "trees/x", "a]b, c/trees"])),
            pid=draw(st.none() | st.just(7)),
            sha=draw(st.sampled_from(["", "0123456789"])), pr_number=draw(st.none() | st.just(3)),
        )
        for name in names
    )


@pytest.mark.req("P49", "E18")
@given(some_entries())
def test_reading_what_was_written_gives_the_same_tasks(given_entries: tuple[Entry, ...]) -> None:
    read = {(line.id, section, line.section, line.priority, line.title)
            for section, line in lines_of(render(given_entries))}
    assert read == {(e.id, e.section, e.section, e.priority, safe_title(e.title)) for e in given_entries}


@given(some_entries())
def test_writing_what_was_read_changes_nothing(given_entries: tuple[Entry, ...]) -> None:
    text = render(given_entries)
    assert render(given_entries, parse(text)) == text


def test_every_line_of_the_file_is_one_visible_line_however_long_the_title() -> None:
    title = "a\r\nb\u2028c\x0bd\x1b]0;x\x07" + "y" * 1_000_000
    nasty = replace(ONE_OF_EACH[3], pin=Pin(title, "", "", 0, ""))
    text = render(entries(nasty))
    assert max(map(len, text.splitlines())) < 300
    assert text.splitlines() == text[:-1].split("\n")
    assert "a b c dyyy" in text


def test_a_file_with_windows_line_ends_and_a_byte_order_mark_is_read_alike() -> None:
    text = render(entries(*ONE_OF_EACH))
    assert render(entries(*ONE_OF_EACH), parse("\ufeff" + text.replace("\n", "\r\n"))) == text
