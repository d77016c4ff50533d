"""A plan of which tasks fail alike, from the storm to the report, by the commands a person types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.plan_yard import PlanYard, make_yard, task


@pytest.fixture
def yard(tmp_path: Path) -> PlanYard:
    return make_yard(tmp_path, "shop")


@pytest.mark.req("D22", "D79")
def test_a_plan_whose_tasks_fail_alike_is_held_mended_tried_by_one_task_and_then_goes_on(yard: PlanYard) -> None:
    fix = yard.folder / "table"
    needs = f'os.path.exists("{fix}") or sys.exit("KeyError: no such table")'
    plan = yard.plan(
        *(task(f"T{number}", f"part {number}", needs, f'write("src/{number}")', location=f"src/{number}")
          for number in (1, 2, 3, 4)),
        task("T5", "whole", 'write("src/whole")', on="T1, T2, T3, T4", location="src/whole"))
    assert yard.run("plan", "run", str(plan)).returncode == 1
    found = json.loads(yard.run("batch", "status", "--plan", str(plan), "--json").stdout)
    assert (found["word"], found["counts"]["bad"] >= 3, found["gate"].startswith("held: the same crash")) == (
        "systemic", True, True), found
    watched = yard.run("batch", "watch", "plan:auth", "--once")
    assert (watched.returncode, "KeyError: no such table" in watched.stdout) == (3, True)

    fix.touch()
    again = yard.run("batch", "resubmit", "plan:auth", "--only-failed", "--yes", "--fix", "the table is made")
    assert again.returncode == 0, again.stderr
    assert "is tried alone" in json.loads(yard.run("batch", "status", "plan:auth", "--json").stdout)["gate"]
    ran = yard.run("plan", "run", str(plan))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert yard.run("batch", "watch", "plan:auth", "--quiet").returncode == 0
    report = json.loads(yard.run("batch", "report", "plan:auth", "--format", "json").stdout)
    assert (report["decision"]["decision"], report["completion"]["good"]) == ("intervened", 5)
    assert report["intervention"]["fixes"] == ["the table is made"]
    assert list(report["failures"]["earlier"]) == ["process_exit"]
    assert [one["segment"] for one in report["learnings"]["segments"] if one["by"] == "wave"] == ["1", "2"]
