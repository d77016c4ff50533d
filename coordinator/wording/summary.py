"""The two blocks before the table of tools/status.py, from adws/metrics.json and tasks.md; each is optional."""

from __future__ import annotations

from coordinator.wording.metrics import GarbageMetrics, NewerMetrics, parse

_ROWS = (
    ("Workers launched", "workers_launched"),
    ("Completed", "workers_completed"),
    ("Failed", "workers_failed"),
    ("PRs created", "prs_created"),
    ("Worktree errors", "worktree_errors"),
)
_MARKS = (("Pending", "[] "), ("Active", "[🟡 w-"), ("Completed today", "[✅"), ("Failed", "[❌"), ("Blocked", "[⏰"))


def health_block(metrics_text: str | None) -> tuple[str, ...]:
    """`📊 Coordinator Health` and its rows; empty when there is no file."""
    if metrics_text is None:
        return ()
    try:
        data = parse(metrics_text)
    except (GarbageMetrics, NewerMetrics) as error:
        return "📊 Coordinator Health", f"   unreadable: {error}"
    rows = [f"   {words}: {data.get(key, 0)}" for words, key in _ROWS]
    return "📊 Coordinator Health", f"   Status: {str(data.get('health', 'unknown')).upper()}", *rows


def tasks_block(tasks_text: str | None) -> tuple[str, ...]:
    """`📋 Tasks` and its counts; a mark counts only at the start of a line, so that no title is counted."""
    if tasks_text is None:
        return ()
    lines = tasks_text.split("\n")
    return "📋 Tasks", *(f"   {words}: {sum(line.startswith(mark) for line in lines)}" for words, mark in _MARKS)


def summary_lines(metrics_text: str | None, tasks_text: str | None) -> tuple[str, ...]:
    """Both blocks, as far as their files are there."""
    return *health_block(metrics_text), *tasks_block(tasks_text)
