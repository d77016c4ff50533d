"""Hypothesis strategies for whatever the store must give back unchanged: every field of every dataclass."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from coordinator.domain.attempt import Attempt
from coordinator.domain.issue import Edit, Issue, PullRequest, PullState, Vet
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.outward import Outward
from coordinator.domain.request import Event
from coordinator.domain.task import Pin, Task, TaskState

# Everything UTF-8 can carry: NUL, line ends, right-to-left marks, emoji; a lone surrogate is no text.
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers(min_value=0, max_value=2**53)
FLOATS = st.floats(min_value=0, max_value=1e9, allow_nan=False)
TASK_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
NAMES = st.frozensets(WORDS, max_size=3)


def _or_none(values: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | values


def every_field(noun: type, **values: st.SearchStrategy[object]) -> st.SearchStrategy[Any]:
    """A noun with each of its fields drawn: a forgotten one would only ever be tried as its default."""
    assert {item.name for item in fields(noun)} == set(values), noun
    return st.builds(noun, **values)


def some(values: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(values, max_size=3).map(tuple)


def words(names: str) -> dict[str, st.SearchStrategy[object]]:
    return dict.fromkeys(names.split(), WORDS)


def numbers(names: str) -> dict[str, st.SearchStrategy[object]]:
    return dict.fromkeys(names.split(), NUMBERS)


def moments(names: str) -> dict[str, st.SearchStrategy[object]]:
    return dict.fromkeys(names.split(), MOMENTS)


PINS = every_field(
    Pin, **words("title body sha256 actor"), **numbers("label_event_id begun"), labelled_at=_or_none(MOMENTS)
)
TASKS = every_field(
    Task,
    id=TASK_IDS,
    pin=PINS,
    state=st.sampled_from(TaskState),
    version=st.integers(0, 50),
    **words("branch reason detail provider template model base_sha pushed_sha pr_url pr_head_sha worktree"),
    **words("plan repo workflow withheld"),
    **numbers("stage sent_back revived priority attempts retries_used last_retry_event_id"),
    **moments("created_at updated_at state_since"),
    issue=_or_none(NUMBERS),
    pr_number=_or_none(NUMBERS),
    retry_at=_or_none(MOMENTS),
    completed_at=_or_none(MOMENTS),
    fresh=st.booleans(),
    pr_draft=st.booleans(),
    tidied=st.booleans(),
    depends_on=some(NUMBERS),
    spent=some(WORDS),
    cleared=some(WORDS),
)
USAGES = every_field(
    Usage, tokens_in=_or_none(NUMBERS), tokens_out=_or_none(NUMBERS), cost_usd=_or_none(FLOATS),
    tokens_cached=_or_none(NUMBERS),
)
ATTEMPTS = every_field(
    Attempt,
    task_id=TASK_IDS,
    number=st.integers(1, 9),
    usage=USAGES,
    ending=_or_none(st.sampled_from(Ending)),
    **words(
        "token worker_id provider run_id model session_id base_sha stop_reason stop_words stop_by reason "
        "switch_from fallback_reason "
        "detail head_sha summary log_tail rescue_ref stage host heard"
    ),
    **numbers("fence commits"),
    answered=st.booleans(),
    duration_sec=FLOATS,
    created_at=MOMENTS,
    **dict.fromkeys(
        ["prepared_at", "launched_at", "stop_asked_at", "ended_at", "settled_at"], _or_none(MOMENTS)
    ),
    pid=_or_none(NUMBERS),
    exit_code=_or_none(st.integers(-128, 255)),
)
EVENTS = every_field(Event, **words("task_id kind detail"), at=MOMENTS, attempt=NUMBERS)
ISSUES = every_field(
    Issue,
    number=st.integers(1, 30),
    **words("title body author url"),
    state=st.sampled_from(["open", "closed"]),
    labels=NAMES,
    **moments("created_at updated_at"),
    assignees=some(WORDS),
    is_pull=st.booleans(),
    blocked_by_count=NUMBERS,
)
VETS = every_field(
    Vet,
    **numbers("number label_event_id retry_event_id"),
    issue_updated_at=MOMENTS,
    blocked_by=some(NUMBERS),
    **words("actor permission retry_actor retry_permission blind sha256"),
    sure=st.booleans(),
    **dict.fromkeys(["labelled_at", "retried_at", "missing_until", "asked_at"], _or_none(MOMENTS)),
    edits=some(st.builds(Edit, MOMENTS, WORDS, WORDS)),
    times=NUMBERS,
)
PULLS = every_field(
    PullRequest,
    number=st.integers(1, 30),
    state=st.sampled_from(PullState),
    draft=st.booleans(),
    **words("url title author head_ref head_sha head_owner base_ref"),
    **moments("created_at updated_at"),
)
OUTWARDS = every_field(
    Outward,
    task_id=TASK_IDS,
    comment_id=_or_none(NUMBERS),
    living_key=WORDS,
    notices=NAMES,
    labels=_or_none(NAMES),
)
