"""The first schema. It stands by itself: a later change of schema.py must not change what this step made."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _documents()
    _events()
    _issues()
    _outward()
    _pulls()
    _requests()
    _tasks()
    _vets()
    _attempts()


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_kind", "events", ["kind", "at"])
    op.create_index("events_by_task", "events", ["task_id"])


def _issues() -> None:
    op.create_table(
        "issues",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("assignees", sa.Text, nullable=False),
        sa.Column("is_pull", sa.Boolean, nullable=False),
        sa.Column("blocked_by_count", sa.Integer, nullable=False),
    )


def _outward() -> None:
    op.create_table(
        "outward",
        sa.Column("task_id", sa.Text, primary_key=True),
        sa.Column("comment_id", sa.Integer),
        sa.Column("living_key", sa.Text, nullable=False),
        sa.Column("notices", sa.Text, nullable=False),
        sa.Column("labels", sa.Text),
    )


def _pulls() -> None:
    op.create_table(
        "pulls",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("draft", sa.Boolean, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("head_ref", sa.Text, nullable=False),
        sa.Column("head_sha", sa.Text, nullable=False),
        sa.Column("head_owner", sa.Text, nullable=False),
        sa.Column("base_ref", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
    )


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("args", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("asked_at", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sqlite_autoincrement=True,
    )


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("pin_title", sa.Text, nullable=False),
        sa.Column("pin_body", sa.Text, nullable=False),
        sa.Column("pin_sha256", sa.Text, nullable=False),
        sa.Column("pin_label_event_id", sa.Integer, nullable=False),
        sa.Column("pin_actor", sa.Text, nullable=False),
        sa.Column("pin_labelled_at", sa.Text),
        sa.Column("branch", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("state_since", sa.Text, nullable=False),
        sa.Column("issue", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("template", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("fresh", sa.Boolean, nullable=False),
        sa.Column("depends_on", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retries_used", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.Text),
        sa.Column("base_sha", sa.Text, nullable=False),
        sa.Column("pushed_sha", sa.Text, nullable=False),
        sa.Column("pr_number", sa.Integer),
        sa.Column("pr_url", sa.Text, nullable=False),
        sa.Column("pr_head_sha", sa.Text, nullable=False),
        sa.Column("pr_draft", sa.Boolean, nullable=False),
        sa.Column("worktree", sa.Text, nullable=False),
        sa.Column("last_retry_event_id", sa.Integer, nullable=False),
        sa.Column("completed_at", sa.Text),
        sa.Column("tidied", sa.Boolean, nullable=False),
    )


def _vets() -> None:
    op.create_table(
        "vets",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("issue_updated_at", sa.Text, nullable=False),
        sa.Column("label_event_id", sa.Integer, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("permission", sa.Text, nullable=False),
        sa.Column("blocked_by", sa.Text, nullable=False),
        sa.Column("retry_event_id", sa.Integer, nullable=False),
        sa.Column("retry_actor", sa.Text, nullable=False),
        sa.Column("retry_permission", sa.Text, nullable=False),
        sa.Column("sure", sa.Boolean, nullable=False),
        sa.Column("labelled_at", sa.Text),
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("task_id", sa.Text, sa.ForeignKey("tasks.id"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text, nullable=False),
        sa.Column("prepared_at", sa.Text),
        sa.Column("base_sha", sa.Text, nullable=False),
        sa.Column("launched_at", sa.Text),
        sa.Column("pid", sa.Integer),
        sa.Column("stop_asked_at", sa.Text),
        sa.Column("stop_reason", sa.Text, nullable=False),
        sa.Column("stop_words", sa.Text, nullable=False),
        sa.Column("stop_by", sa.Text, nullable=False),
        sa.Column("ended_at", sa.Text),
        sa.Column("settled_at", sa.Text),
        sa.Column("ending", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer),
        sa.Column("head_sha", sa.Text, nullable=False),
        sa.Column("commits", sa.Integer, nullable=False),
        sa.Column("duration_sec", sa.Float, nullable=False),
        sa.Column("usage_tokens_in", sa.Integer),
        sa.Column("usage_tokens_out", sa.Integer),
        sa.Column("usage_cost_usd", sa.Float),
        sa.Column("summary", sa.Text, nullable=False),
        sa.Column("log_tail", sa.Text, nullable=False),
        sa.Column("rescue_ref", sa.Text, nullable=False),
    )
