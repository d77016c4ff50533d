"""What `make proof` does: histories, crash points, races and all that is hostile, and one table of what they were.

COORDINATOR_HISTORIES, COORDINATOR_RACES and COORDINATOR_SOAK set the size; without them it is that of CI. Words are
handed on to pytest. Ends as pytest does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.support.figures import WHERE

ROOT = Path(__file__).resolve().parents[1]
TESTS = (
    "tests/unit/test_simulation.py", "tests/unit/test_plan_tasks.py", "tests/scenario/test_crash_points.py",
    "tests/scenario/test_crash_points_elsewhere.py", "tests/scenario/test_crash_points_typed.py",
    "tests/scenario/test_crash_daemon.py", "tests/integration/test_jobs_many.py",
    "tests/integration/test_claim_races.py", "tests/unit/test_plan_trust.py", "tests/hostile/test_hidden.py",
    "tests/hostile/test_issues.py", "tests/integration/test_git_hardening.py", "tests/scenario/test_canary.py",
    "tests/scenario/test_masking.py", "tests/scenario/test_budget.py",
)
PYTEST = ("-q", "--numprocesses=auto", "--dist=loadscope", "--no-loadscope-reorder", "--timeout=14400")


def main(words: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.jsonl"
        figures.touch()
        code = subprocess.call([sys.executable, "-m", "pytest", *PYTEST, *TESTS, *words], cwd=ROOT,
                               env={**os.environ, WHERE: str(figures)})
        print("\n".join(summary([json.loads(line) for line in figures.read_text("utf-8").splitlines()])))
    return code


def summary(figures: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The lines of the table; of what was not run there is none."""
    histories = [one for one in figures if one["kind"] == "histories"]
    if histories:
        met: Counter[str] = Counter()
        for one in histories:
            met.update(one["troubles"])
        yield f"{'random histories':44}{sum(one['seeds'] for one in histories):>10}"
        yield f"{'  deaths in them':44}{sum(one['deaths'] for one in histories):>10}"
        yield from (f"{f'  {name}':44}{times:>10}" for name, times in sorted(met.items()))
    planted = sorted((one["seeds"], one["fault"]) for one in figures if one["kind"] == "planted")
    if planted:
        yield f"{'planted faults, found by the seed':44}"
        yield from (f"{f'  {fault}':44}{seeds:>10}" for seeds, fault in planted)
    points: Counter[tuple[str, str]] = Counter()
    for one in (one for one in figures if one["kind"] == "points"):
        points[one["life"], one["when"]] += one["points"]
    if points:
        whens = ("before", "within", "after")
        yield f"{'crash points':44}{''.join(f'{when:>10}' for when in (*whens, 'all'))}"
        for life in [*sorted({life for life, _ in points}), "all"]:
            row = [sum(n for (name, at), n in points.items() if life in (name, "all") and at == when)
                   for when in whens]
            yield f"{f'  {life}':44}{''.join(f'{n:>10}' for n in (*row, sum(row)))}"
    counts: Counter[str] = Counter()
    for one in (one for one in figures if one["kind"] == "count"):
        counts[one["of"]] += one["times"]
    yield from (f"{of:54}{times:>10}" for of, times in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
