"""What is old goes, and only that: nothing of a task on its way, of a living job, of the newest failure."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.system.remains import remains
from coordinator.domain.remains import WALLED, Remain
from coordinator.domain.task import ENDED, NEEDS_PERSON, TaskState
from coordinator.engine import retention
from coordinator.engine.tick import AtOnce, Engine
from coordinator.engine.world import Options
from coordinator.planning.actions import Sweep
from coordinator.planning.plan import plan
from coordinator.planning.retention import RESCUE, Ages, litter
from tests.factories import NOW, a_snapshot, a_task
from tests.support.fakes import Outside, an_outside

AGES = Ages(timedelta(days=10), timedelta(days=20), timedelta(days=30))
KINDS = ("transcript", "run file", RESCUE, WALLED)
WORK = (RESCUE, WALLED)
_S = TaskState


def left(kind: str = "transcript", days: float = 100, *, task: str = "gh-1", newest: bool = True) -> Remain:
    return Remain(kind, f"{kind} of {task}", task, NOW - timedelta(days=days), newest, 10)


def goes(one: Remain, *states: TaskState, busy: tuple[str, ...] = ()) -> bool:
    """Whether it goes when gh-1 is in this state; without a state nobody knows the task."""
    tasks = {task.id: task for task in (a_task(1, state) for state in states)}
    return bool(list(litter([one], tasks, busy, AGES, NOW)))


@pytest.mark.req("X6")
@pytest.mark.parametrize(("kind", "state", "newest", "gone"), [
    *[(kind, state, newest, False) for kind in KINDS for state in TaskState if state not in ENDED
      for newest in (True, False)],
    *[(kind, _S.DONE, True, True) for kind in KINDS],
    *[(kind, state, True, False) for kind in KINDS for state in sorted(NEEDS_PERSON)],
    *[(kind, state, False, kind not in WORK) for kind in KINDS for state in sorted(NEEDS_PERSON)],
])  # fmt: skip
def test_what_goes_when_it_is_old_depends_on_who_may_need_it(
    kind: str, state: TaskState, newest: bool, gone: bool
) -> None:
    assert goes(left(kind, newest=newest), state) is gone


@pytest.mark.parametrize(("kind", "days"), [("transcript", 10), ("run file", 20), (RESCUE, 30), (WALLED, 30)])
def test_each_kind_has_an_age_of_its_own(kind: str, days: int) -> None:
    assert not goes(left(kind, days), _S.DONE)
    assert goes(left(kind, days + 0.001), _S.DONE)


def test_of_a_task_nobody_knows_files_go_and_rescued_work_stays() -> None:
    assert [kind for kind in KINDS if goes(left(kind))] == ["transcript", "run file"]


def test_nothing_of_a_job_that_lives_goes_whatever_the_store_says() -> None:
    assert not any(goes(left(kind), _S.DONE, busy=("gh-1",)) or goes(left(kind), busy=("gh-1",)) for kind in KINDS)


remain = st.builds(
    Remain,
    kind=st.sampled_from(KINDS),
    name=st.text(max_size=4),
    task_id=st.sampled_from(["gh-1", "gh-2", "gh-3", "gh-4"]),
    at=st.integers(-50, 400).map(lambda days: NOW - timedelta(days=days)),
    newest=st.booleans(),
)


@pytest.mark.req("X6")
@given(st.lists(remain), st.lists(st.sampled_from(TaskState), max_size=3), st.sets(st.sampled_from(["gh-1", "gh-4"])))
def test_never_a_live_tasks_nor_the_newest_failure_nor_anything_young(
    found: list[Remain], states: list[TaskState], busy: set[str]
) -> None:
    tasks = {f"gh-{number}": a_task(number, state) for number, state in enumerate(states, 1)}
    named = [replace(one, name=str(number)) for number, one in enumerate(found)]
    for item in litter(named, tasks, busy, AGES, NOW):
        one = named[int(item.name)]
        task = tasks.get(one.task_id)
        assert one.task_id not in busy
        assert NOW - one.at > AGES.of(one.kind)
        assert task is None or task.state in ENDED
        assert not (task is not None and task.state in NEEDS_PERSON and one.newest)
        assert one.kind not in WORK or (task is not None and task.state is _S.DONE)


# --- what lies there ----------------------------------------------------------------------------------


def test_remains_are_named_by_task_and_attempt_with_size_and_age(tmp_path: Path) -> None:
    logs, jobs = tmp_path / "logs", tmp_path / "jobs"
    names = ["gh-1.jsonl", "gh-1.2.jsonl", "note.txt", "claude/gh-1.log", "claude/gh-1.log.1", "claude/gh-1.meta",
             "claude/gh-1.lock", "claude/gh-1.fence", "claude/bundle-1234.pyz"]  # fmt: skip
    for name in names:
        path = (jobs if "/" in name else logs) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("12345")
        os.utime(path, (NOW.timestamp(), NOW.timestamp()))
    (logs / "gh-9.jsonl").symlink_to(logs / "gh-1.jsonl")
    found = {Path(one.name).name: (one.kind, one.task_id, one.newest) for one in remains(logs, jobs)}
    assert found == {
        "gh-1.jsonl": ("transcript", "gh-1", True),
        "gh-1.2.jsonl": ("transcript", "gh-1", False),
        "gh-1.log": ("run file", "gh-1", True),
        "gh-1.log.1": ("run file", "gh-1", False),
        "gh-1.meta": ("run file", "gh-1", True),
    }
    assert {(one.at, one.size) for one in remains(logs, jobs)} == {(NOW, 5)}
    assert remains(tmp_path / "no", tmp_path / "such") == ()


# --- the sweep ----------------------------------------------------------------------------------------


def untidy() -> Outside:
    """A finished and a failed task, each with an old transcript and an old rescue ref."""
    outside = an_outside()
    for number, state in ((1, _S.DONE), (2, _S.FAILED)):
        outside.store._tasks[f"gh-{number}"] = a_task(number, state)
        outside.repo.rescued[f"refs/coordinator/rescue/gh-{number}/1"] = []
        outside.repo.cells.append(replace(left(WALLED, task=f"gh-{number}"), at=NOW))
    outside.clock.pass_by(timedelta(days=400).total_seconds())
    return outside


def test_what_a_sweep_removes_is_what_was_found_before(tmp_path: Path) -> None:
    outside = untidy()
    old = tuple(left(task=f"gh-{number}") for number in (1, 2))
    world = outside.world(options=Options(ages=AGES), remains=lambda: old)
    found = retention.find(world)
    assert retention.sweep(world) == found
    assert {item.name for item in found} == {"transcript of gh-1", "refs/coordinator/rescue/gh-1/1",
                                               f"{WALLED} of gh-1"}
    assert set(outside.repo.rescued) == {"refs/coordinator/rescue/gh-2/1"}
    assert [one.task_id for one in outside.repo.cells] == ["gh-2"]


def test_a_file_that_cannot_be_removed_is_said_and_the_rest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = untidy()

    def refuses(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(outside.files, "remove", refuses)
    world = outside.world(remains=lambda: (left(task="gh-1"),))
    assert [item.kind for item in retention.sweep(world)] == [RESCUE, WALLED]
    assert any("not removed" in line for line in outside.lines)


# --- once a day ---------------------------------------------------------------------------------------


def sweeps(**changes: object) -> bool:
    return any(isinstance(action, Sweep) for action in plan(a_snapshot(**changes)).actions)


def test_a_sweep_is_due_at_first_and_once_a_day_and_not_while_nothing_new_is_begun() -> None:
    assert sweeps(swept_at=None)
    assert not sweeps(swept_at=NOW - timedelta(hours=23))
    assert sweeps(swept_at=NOW - timedelta(days=1))
    assert not sweeps(swept_at=None, draining="the coordinator is ending")
    assert not sweeps(swept_at=None, busy=frozenset({"clean"}))


@pytest.mark.req("X6")
def test_a_coordinator_sweeps_by_itself_and_remembers_it_across_a_restart() -> None:
    outside = untidy()
    files = [left(task="gh-1")]
    removed: list[str] = []
    outside.files.remove = lambda path: removed.append(str(path))  # type: ignore[method-assign]
    for _ in range(2):
        Engine(outside.world(remains=lambda: tuple(files)), AtOnce(), lambda why: None).tick()
    assert removed == ["transcript of gh-1"]
    outside.clock.pass_by(timedelta(days=1).total_seconds())
    Engine(outside.world(remains=lambda: tuple(files)), AtOnce(), lambda why: None).tick()
    assert len(removed) == 2
