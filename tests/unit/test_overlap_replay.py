"""Tasks that would be in each other's way are run one after the other, and little time is lost by it."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "overlap.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = spec_from_file_location("bench_overlap", SCRIPT)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.req("N15", "W22")
def test_soft_edges_halve_the_conflicts_of_thirty_tasks_for_less_than_a_third_more_time(bench: ModuleType) -> None:
    sums = [bench.measured(seed) for seed in range(8)]
    whole = bench.total(sums)
    assert whole.plain_conflicts > 50
    assert whole.conflict_ratio <= 0.5
    assert whole.time_ratio <= 1.3
    assert max(one.time_ratio for one in sums) <= 1.3


def test_a_replay_is_the_same_each_time_and_runs_every_task_after_what_it_depends_on(bench: ModuleType) -> None:
    work = bench.jobs(3)
    run = bench.replay(work, soft=True)
    assert run == bench.replay(work, soft=True)
    assert len(run.ended) == len(work) == 30
    assert all(run.ended[other] <= run.began[job.one.id] for job in work for other in job.one.depends_on)
    at_once = [sum(run.began[other] <= start < run.ended[other] for other in run.began) for start in run.began.values()]
    assert max(at_once) == bench.SLOTS


def test_a_conflict_is_a_shared_file_merged_while_one_was_at_work(bench: ModuleType) -> None:
    def job(name: str, *files: str) -> object:
        return bench.Job(bench.PlanTask(name, name), frozenset(files), 10)

    work = [job("T1", "a"), job("T2", "a", "b"), job("T3", "b"), job("T4", "c")]
    assert bench.conflicts(work, bench.Run({"T1": 0, "T2": 5, "T3": 0, "T4": 0},
                                           {"T1": 10, "T3": 20, "T4": 20, "T2": 30})) == 1  # fmt: skip
    in_turn = bench.Run({"T1": 0, "T2": 10, "T3": 30, "T4": 0}, {"T1": 10, "T4": 20, "T2": 30, "T3": 40})
    assert bench.conflicts(work, in_turn) == 0
