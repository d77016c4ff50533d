"""Whole pages as people see them, beside the files in tests/golden: a change of words is seen in a review."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.domain.attempt import Attempt
from coordinator.domain.outcome import Ending, Usage
from coordinator.domain.task import Pin, Task, TaskState
from coordinator.wording.comments import desired_living, desired_notices
from coordinator.wording.prompt import parse_template, render_prompt
from coordinator.wording.pull_request import pull_body

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 4, 14, 5, tzinfo=UTC)
TASK = Task(
    id="gh-471", pin=Pin("Parse dates", "They fail on **leap** days.", "", 0, ""), branch="rpi/gh-471",
    created_at=NOW, updated_at=NOW, state_since=NOW, issue=471,
)
FIRST = Attempt(
    task_id="gh-471", number=1, token="t", fence=1, worker_id="w-0a1b2c", provider="claude", run_id="r",
    created_at=NOW, launched_at=NOW, model="m-1", ending=Ending.STALLED, reason="stalled", duration_sec=1860.0,
    detail="no sign of progress for 20m", usage=Usage(180_000, 7_000, 0.5), log_tail="npm install\n...\n",
    base_sha="a" * 40, head_sha="b" * 40, commits=2, rescue_ref="refs/coordinator/rescue/gh-471/1",
)
SECOND = replace(FIRST, number=2, fence=2, summary="Mended the parser.\n\nChecked with `pytest -q`: 33 passed.")


def pages() -> dict[str, str]:
    blocked = replace(TASK, state=TaskState.BLOCKED, reason="max_retries", detail="stalled twice")
    living = desired_living(replace(TASK, state=TaskState.RUNNING), replace(FIRST, ending=None))
    (notice,) = desired_notices(blocked, SECOND, (FIRST, SECOND))
    folder = ROOT / "worker_templates" / "default"
    template = parse_template("default", (folder / "template.toml").read_text(), (folder / "prompt.md").read_text())
    assert living is not None
    return {
        "living-running.md": living.body,
        "notice-blocked.md": notice.body,
        "pull-request.md": pull_body(TASK, (FIRST, SECOND), ("bbbbbbb Parse leap days",), ("M src/parse.py",)),
        "prompt.md": render_prompt(template, TASK, SECOND, FIRST, base="main", repository="acme/widgets"),
    }


@pytest.mark.parametrize("name", ["living-running.md", "notice-blocked.md", "pull-request.md", "prompt.md"])
def test_a_page_reads_as_its_golden_file(name: str) -> None:
    golden = (ROOT / "tests" / "golden" / name).read_text(encoding="utf-8")
    assert pages()[name].rstrip("\n") == golden.rstrip("\n")
