"""The tables as this version knows them. A change here needs a new file in migrations/versions
and its number in REVISIONS.

A column has the name of the dataclass field it holds; a test keeps the two lists equal.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text

from coordinator.adapters.store.columns import Choice, Edits, Mapping, Moment, Names, Sequence, Words
from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.request import RequestKind
from coordinator.domain.task import TaskState

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""What this version can bring to its own, the last one."""
HEAD = REVISIONS[-1]
"""The revision this version reads and writes."""

metadata = MetaData()


def _text(name: str) -> Column[str]:
    return Column(name, Words, nullable=False)


def _number(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    _text("pin_title"),
    _text("pin_body"),
    _text("pin_sha256"),
    _number("pin_label_event_id"),
    _text("pin_actor"),
    Column("pin_labelled_at", Moment),
    _number("pin_begun"),
    _text("branch"),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("state_since", Moment, nullable=False),
    Column("issue", Integer),
    Column("state", Choice(TaskState), nullable=False),
    _number("priority"),
    _text("reason"),
    _text("detail"),
    _number("version"),
    _text("provider"),
    _text("template"),
    _text("model"),
    Column("fresh", Boolean, nullable=False),
    Column("depends_on", Sequence, nullable=False),
    _number("attempts"),
    _number("retries_used"),
    Column("retry_at", Moment),
    _text("base_sha"),
    _text("pushed_sha"),
    Column("pr_number", Integer),
    _text("pr_url"),
    _text("pr_head_sha"),
    Column("pr_draft", Boolean, nullable=False),
    _text("worktree"),
    _number("last_retry_event_id"),
    Column("spent", Sequence, nullable=False),
    Column("completed_at", Moment),
    Column("tidied", Boolean, nullable=False),
    _text("plan"),
    _text("repo"),
    _text("workflow"),
    _number("stage"),
    _number("sent_back"),
    Column("cleared", Sequence, nullable=False),
    _text("withheld"),
    _number("revived"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("task_id", Text, ForeignKey("tasks.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _text("token"),
    _number("fence"),
    _text("worker_id"),
    _text("provider"),
    _text("run_id"),
    Column("created_at", Moment, nullable=False),
    _text("model"),
    _text("session_id"),
    Column("prepared_at", Moment),
    _text("base_sha"),
    Column("launched_at", Moment),
    Column("pid", Integer),
    Column("stop_asked_at", Moment),
    _text("stop_reason"),
    _text("stop_words"),
    _text("stop_by"),
    _text("switch_from"),
    _text("fallback_reason"),
    Column("ended_at", Moment),
    Column("settled_at", Moment),
    Column("ending", Choice(Ending)),
    _text("reason"),
    _text("detail"),
    Column("exit_code", Integer),
    _text("head_sha"),
    _number("commits"),
    Column("duration_sec", Float, nullable=False),
    Column("usage_tokens_in", Integer),
    Column("usage_tokens_out", Integer),
    Column("usage_cost_usd", Float),
    Column("usage_tokens_cached", Integer),
    _text("summary"),
    _text("log_tail"),
    _text("rescue_ref"),
    _text("stage"),
    _text("host"),
    _text("heard"),
    Column("answered", Boolean, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    _text("task_id"),
    Column("at", Moment, nullable=False),
    _text("kind"),
    _text("detail"),
    _number("attempt"),
    Index("events_by_task", "task_id"),
    Index("events_by_kind", "kind", "at"),
    sqlite_autoincrement=True,
)

requests = Table(
    "requests",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Choice(RequestKind), nullable=False),
    _text("task_id"),
    Column("args", Mapping, nullable=False),
    _text("source"),
    Column("asked_at", Moment, nullable=False),
    Column("answer", Words),
    sqlite_autoincrement=True,
)

issues = Table(
    "issues",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _text("title"),
    _text("body"),
    _text("state"),
    Column("labels", Names, nullable=False),
    _text("author"),
    _text("url"),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("assignees", Sequence, nullable=False),
    Column("is_pull", Boolean, nullable=False),
    _number("blocked_by_count"),
)

vets = Table(
    "vets",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("issue_updated_at", Moment, nullable=False),
    _number("label_event_id"),
    _text("actor"),
    _text("permission"),
    Column("blocked_by", Sequence, nullable=False),
    _number("retry_event_id"),
    _text("retry_actor"),
    _text("retry_permission"),
    Column("sure", Boolean, nullable=False),
    Column("labelled_at", Moment),
    Column("retried_at", Moment),
    Column("edits", Edits, nullable=False),
    Column("missing_until", Moment),
    _text("blind"),
    _text("sha256"),
    Column("asked_at", Moment),
    _number("times"),
)

pulls = Table(
    "pulls",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    _text("url"),
    Column("state", Choice(PullState), nullable=False),
    Column("draft", Boolean, nullable=False),
    _text("title"),
    _text("author"),
    _text("head_ref"),
    _text("head_sha"),
    _text("head_owner"),
    _text("base_ref"),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
)

outward = Table(
    "outward",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("comment_id", Integer),
    _text("living_key"),
    Column("notices", Names, nullable=False),
    Column("labels", Names),
)

documents = Table("documents", metadata, Column("name", Text, primary_key=True), _text("text"))
