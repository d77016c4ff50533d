"""The two blocks of tools/status.py, out of the texts of metrics.json and tasks.md."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from coordinator.wording.entries import Entry, Section
from coordinator.wording.metrics import render as render_metrics
from coordinator.wording.summary import health_block, summary_lines, tasks_block
from coordinator.wording.tasks_md import render as render_tasks

COUNTED = {"workers_launched": 31, "workers_completed": 24, "workers_failed": 2, "prs_created": 24}
METRICS = render_metrics(COUNTED, datetime(2026, 3, 4, tzinfo=UTC))
TASKS = render_tasks([
    Entry("gh-1", "One", Section.PENDING),
    Entry("m-1", "Mine", Section.PENDING),
    Entry("gh-2", "[❌ w-abc123] [✅ [🟡 w-", Section.ACTIVE, worker="w-0a1b2c"),
    Entry("gh-3", "Three", Section.COMPLETED),
    Entry("gh-4", "Four", Section.FAILED, reason="[❌ not a mark"),
    Entry("gh-5", "Five", Section.BLOCKED),
])


@pytest.mark.req("E52")
def test_the_health_block_shows_status_and_counters() -> None:
    assert health_block(METRICS) == (
        "📊 Coordinator Health", "   Status: OK", "   Workers launched: 31", "   Completed: 24", "   Failed: 2",
        "   PRs created: 24", "   Worktree errors: 0",
    )


@pytest.mark.req("E53", "E54", "P61", "E9")
def test_the_tasks_block_counts_marks_at_the_start_of_a_line_only() -> None:
    assert tasks_block(TASKS) == (
        "📋 Tasks", "   Pending: 2", "   Active: 1", "   Completed today: 1", "   Failed: 1", "   Blocked: 1",
    )


@pytest.mark.req("E51")
def test_each_block_is_there_only_if_its_file_is() -> None:
    assert summary_lines(None, None) == ()
    assert summary_lines(METRICS, None) == health_block(METRICS)
    assert summary_lines(None, TASKS) == tasks_block(TASKS)


@pytest.mark.parametrize("text", ["{", '{"schema": 99}'])
def test_a_file_that_cannot_be_read_is_said_and_hides_nothing_else(text: str) -> None:
    lines = summary_lines(text, TASKS)
    assert lines[1].startswith("   unreadable: metrics.json ")
    assert lines[2:] == tasks_block(TASKS)
