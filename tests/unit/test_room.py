"""Admission by room: figures against floors, held and let go without flutter, on every kind of executor; and what the
janitor may remove before anybody is called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.config import ConfigError, entries, load
from coordinator.domain.issue import PullState
from coordinator.domain.outcome import Ending
from coordinator.domain.room import FLOORS, Floor, Floors, Room
from coordinator.domain.task import Task, TaskState
from coordinator.domain.worker import SLURM, Exited, HostState
from coordinator.engine.memory import Memory
from coordinator.engine.room import admitted
from coordinator.engine.world import Options
from coordinator.planning.actions import Begin, Notify, Reclaim, room_lane, work_lane
from coordinator.planning.plan import plan
from coordinator.planning.policy import HostRules, Policy
from coordinator.planning.room import gate, short
from coordinator.planning.rules.tidy import reclaimable
from coordinator.planning.snapshot import Gate
from tests.factories import NOW, a_pull, a_snapshot, a_task, an_attempt, an_issue

GB = 10**9
SET = Floors(Floor(5 * GB), Floor(50_000), memory=GB, load=4.0)
PLENTY = Room(disk=50 * GB, disk_all=100 * GB, inodes=10**6, inodes_all=10**7, memory=9 * GB, load=0.5)


def held(rooms: list[Room], floors: Floors = SET) -> list[tuple[str, ...]]:
    """What holds work at each of these looks, one after the other."""
    found, before = [], frozenset[str]()
    for room in rooms:
        codes = tuple(one.code for one in short(room, floors, before))
        before = frozenset(codes)
        found.append(codes)
    return found


@pytest.mark.req("W16", "N13")
@pytest.mark.parametrize(("changes", "codes"), [
    ({}, ()), ({"disk": 5 * GB}, ()), ({"disk": 5 * GB - 1}, ("disk",)), ({"inodes": 49_999}, ("inodes",)),
    ({"inodes": 0}, ("inodes",)), ({"memory": GB - 1}, ("memory",)), ({"load": 4.1}, ("load",)), ({"load": 4.0}, ()),
    ({"disk": 0, "inodes": 0, "memory": 0, "load": 99.0}, FLOORS),
    ({"disk": None, "inodes": None, "memory": None, "load": None}, ()),
])  # fmt: skip
def test_each_figure_is_held_against_its_floor_and_what_is_not_known_holds_nothing(
    changes: dict[str, Any], codes: tuple[str, ...]
) -> None:
    assert held([replace(PLENTY, **changes)]) == [codes]
    assert held([replace(PLENTY, **changes)], Floors()) == [()]


@pytest.mark.req("W16")
@pytest.mark.parametrize(("floor", "room", "codes"), [
    (Floors(disk=Floor(percent=5)), replace(PLENTY, disk=5 * GB), ()),
    (Floors(disk=Floor(percent=5)), replace(PLENTY, disk=5 * GB - 1), ("disk",)),
    (Floors(inodes=Floor(percent=2.5)), replace(PLENTY, inodes=249_999), ("inodes",)),
    (Floors(inodes=Floor(percent=2.5)), replace(PLENTY, inodes=250_000), ()),
    (Floors(disk=Floor(percent=5)), replace(PLENTY, disk_all=None), ()),
])  # fmt: skip
def test_a_floor_may_be_a_share_of_the_whole(floor: Floors, room: Room, codes: tuple[str, ...]) -> None:
    assert held([room], floor) == [codes]


@pytest.mark.req("W16")
@pytest.mark.parametrize(("name", "looks", "holds"), [
    ("disk", [6, 4.9, 5.1, 5.4, 5.5, 5.1, 4.9], [0, 1, 1, 1, 0, 0, 1]),
    ("memory", [2, 0.9, 1.05, 1.1, 1.05], [0, 1, 1, 0, 0]),
    ("load", [4.0, 4.1, 3.9, 3.7, 3.6, 3.9], [0, 1, 1, 1, 0, 0]),
])  # fmt: skip
def test_work_that_was_held_goes_on_a_tenth_above_the_floor_so_that_it_does_not_flutter(
    name: str, looks: list[float], holds: list[int]
) -> None:
    scale = 1 if name == "load" else GB
    rooms = [replace(PLENTY, **{name: one * scale if name == "load" else int(one * scale)}) for one in looks]
    assert [len(codes) for codes in held(rooms)] == holds


def test_a_floor_near_the_whole_can_still_be_come_up_from() -> None:
    floors = Floors(disk=Floor(percent=96))
    assert held([replace(PLENTY, disk=95 * GB), replace(PLENTY, disk=98 * GB)], floors) == [("disk",), ()]


figures = st.builds(
    Room, disk=st.none() | st.integers(0, 12 * GB), disk_all=st.none() | st.integers(GB, 12 * GB),
    inodes=st.none() | st.integers(0, 99_999), inodes_all=st.none() | st.integers(1, 10**5),
    memory=st.none() | st.integers(0, 3 * GB), load=st.none() | st.floats(0, 9))


@given(st.lists(figures, max_size=9))
def test_over_any_history_nothing_is_let_go_below_a_floor_and_plenty_lets_all_go(rooms: list[Room]) -> None:
    for room, codes in zip(rooms, held(rooms), strict=True):
        assert set(held([room])[0]) <= set(codes), "what is short now holds, whatever was before"
        assert all(getattr(room, code) is not None for code in codes)
    assert held([*rooms, PLENTY])[-1] == ()


@pytest.mark.req("W16")
@pytest.mark.parametrize(("written_as", "least", "percent", "shown"), [
    ("5GB", 5 * 10**9, 0.0, '"5GB"'), ("5%", 0, 5.0, '"5%"'), (" 2.5 % ", 0, 2.5, '"2.5%"'), ("0", 0, 0.0, '"0B"'),
])  # fmt: skip
def test_a_floor_is_an_amount_or_a_share_in_the_file_and_in_the_environment(
    tmp_path: Path, written_as: str, least: int, percent: float, shown: str
) -> None:
    path = tmp_path / "coordinator.toml"
    path.write_text(f'[floors]\ndisk = "{written_as}"\n')
    for config in (load(path, {}), load(None, {"COORDINATOR_FLOORS_DISK": written_as})):
        assert (config.floors.disk.least, config.floors.disk.percent) == (least, percent)
        assert next(one.value for one in entries(config) if one.key == "floors.disk") == shown
    assert load(None, {"COORDINATOR_FLOORS_INODES": "3%"}).floors.inodes.percent == 3
    assert load(None, {"COORDINATOR_FLOORS_INODES": "70"}).floors.inodes.least == 70
    assert load(None, {"COORDINATOR_FLOORS_LOAD": "1.5"}).floors.load == 1.5


@pytest.mark.parametrize(("line", "words"), [
    ('disk = "100%"', 'floors.disk = "100%" is out of range; less than 100%'),
    ('inodes = "few"', 'floors.inodes = "few" is text, but must be a whole number'),
    ('memory = "5%"', 'floors.memory = "5%" is no size'),
    ('load = "4"', 'floors.load = "4" is text, but must be a number'),
    ("load = -1", "floors.load = -1 is out of range; 0 to 1000"),
])  # fmt: skip
def test_a_floor_that_is_none_is_refused_with_what_can_be_written(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "coordinator.toml"
    path.write_text(f"[floors]\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(path, {})


# --- where ------------------------------------------------------------------------------------------

HOSTS = {"a": HostRules(2), "b": HostRules(1), SLURM: HostRules(9)}


def waits(executor: str, shorts: dict[str, tuple[str, ...]], of_all: tuple[str, ...] = ()) -> str:
    """Where the queued task begins, or the code of what it waits for."""
    policy = Policy(provider="command", executor=executor, hosts=HOSTS)
    gates = {host: tuple(Gate(code, f"{host} {code}", "cure") for code in codes) for host, codes in shorts.items()}
    s = a_snapshot(a_task(), policy=policy, short=gates, floors=tuple(Gate(code, code) for code in of_all))
    made = plan(s)
    begun = [one.host or "here" for one in made.actions if isinstance(one, Begin)]
    return begun[0] if begun else made.waits["gh-1"].code


@pytest.mark.req("N13")
@pytest.mark.parametrize(("executor", "shorts", "of_all", "where"), [
    ("local", {"": ("memory",)}, (), "memory"), ("local", {"": ("load",)}, (), "load"),
    ("local", {"a": ("disk",), SLURM: ("disk",)}, (), "here"), ("local", {}, ("disk",), "disk"),
    ("ssh", {"": ("memory", "load")}, (), "a"), ("ssh", {"a": ("disk",)}, (), "b"),
    ("ssh", {"a": ("disk",), "b": ("inodes",)}, (), "disk"), ("ssh", {"a": ("memory",), "b": ("load",)}, (), "memory"),
    ("ssh", {}, ("inodes",), "inodes"),
    ("slurm", {"": ("memory",), "a": ("disk",)}, (), SLURM), ("slurm", {SLURM: ("inodes",)}, (), "inodes"),
])  # fmt: skip
def test_a_floor_holds_what_would_run_there_and_that_of_our_own_disk_all(
    executor: str, shorts: dict[str, tuple[str, ...]], of_all: tuple[str, ...], where: str
) -> None:
    assert waits(executor, shorts, of_all) == where


class Measured:
    """As much of the engine's world as admission looks at; `rooms` of the repository's folder one after the other, and
    what other folders have."""

    def __init__(self, *rooms: Room | OSError, **apart: Room | OSError) -> None:
        self.root, self.files, self.policy, self.lines = Path("/repo"), self, Policy(floors=SET), list[str]()
        self.options = Options(agents=Path("/agents"))
        self._rooms: Iterator[Room | OSError] = chain(rooms, repeat(rooms[-1]))
        self.apart = {Path("/") / name: room for name, room in apart.items()}
        self.say = self.lines.append

    def room(self, path: Path) -> Room:
        found = next(self._rooms) if path == self.root else self.apart[path]
        if isinstance(found, OSError):
            raise found
        return found


def looked(world: Any, memory: Memory, *, plans: bool = False,
           **hosts: Room | None) -> tuple[list[str], dict[str, list[str]]]:
    found = admitted(world, memory, {name: HostState(met=True, room=room) for name, room in hosts.items()}, plans=plans)
    return [one.code for one in found.of_all], {name: [one.code for one in many]
                                                for name, many in found.of_hosts.items()}


@pytest.mark.req("N13")
def test_our_own_disk_holds_all_and_memory_and_each_host_what_runs_there() -> None:
    empty = Room(disk=0, disk_all=9, inodes=0, inodes_all=9, memory=0, load=9.0)
    world = Measured(empty)
    assert looked(world, Memory(), a=empty, b=PLENTY, c=None) == (
        ["disk", "inodes"], {"": ["memory", "load"], "a": list(FLOORS)})
    assert looked(Measured(OSError(5, "input/output error")), Memory()) == ([], {})


@pytest.mark.req("N13", "W16")
def test_where_plans_have_their_worktrees_is_another_file_system_that_counts_while_they_need_one() -> None:
    full = replace(PLENTY, disk=GB, inodes=0, memory=0, load=99.0)
    world, memory = Measured(PLENTY, agents=full), Memory()
    assert looked(world, memory) == ([], {})
    assert looked(world, memory, plans=True) == (["disk", "inodes"], {})
    assert world.lines[0].startswith("new work is held: /agents: disk: 1.0 GB free")
    [found, _] = admitted(cast("Any", world), memory, {}, plans=True).of_all
    assert "plans.worktrees" in found.cure
    world.apart[Path("/agents")] = PLENTY
    assert looked(world, memory, plans=True) == ([], {})
    assert world.lines[-2:] == ["there is room again in /agents: disk", "there is room again in /agents: inodes"]


@pytest.mark.req("N13")
def test_of_two_file_systems_the_one_with_less_holds_and_one_not_made_yet_is_measured_where_it_will_be() -> None:
    full, gone = replace(PLENTY, disk=GB), FileNotFoundError(2, "none")
    assert looked(Measured(full, agents=full), Memory(), plans=True) == (["disk"], {})
    above = Measured(PLENTY, agents=gone)
    above.apart[Path("/")] = full
    assert looked(above, Memory(), plans=True) == (["disk"], {})
    assert looked(Measured(full, agents=OSError(5, "input/output error")), Memory(), plans=True) == (["disk"], {})


@pytest.mark.req("W16")
def test_the_log_says_once_that_work_is_held_and_once_that_it_goes_on() -> None:
    world, memory = Measured(PLENTY, *[replace(PLENTY, disk=GB)] * 3, PLENTY, PLENTY), Memory()
    for _ in range(6):
        looked(world, memory, gpu=replace(PLENTY, memory=0) if "disk" in memory.short.get("", ()) else PLENTY)
    assert world.lines == [
        "new work is held: disk: 1.0 GB free, the floor is 5.0 GB, work goes on from 5.5 GB",
        "new work is held: gpu: memory: 0.0 GB free, the floor is 1.0 GB, work goes on from 1.1 GB",
        "there is room again: disk", "there is room again on gpu: memory"]


# --- the janitor -------------------------------------------------------------------------------------

SHORT = (Gate("disk", "disk: 1.0 GB free", "coordinator clean --dry-run"),)
WELL = an_attempt(ended_at=NOW, ending=Ending.SUCCEEDED, host="")


def merged(number: int = 1, **changes: Any) -> Task:
    return a_task(number, TaskState.DONE, **{"worktree": f"trees/gh-{number}", "pr_number": 7, **changes})


def world(task: Task, attempts: tuple[Any, ...] = (WELL,), **more: Any) -> Any:
    given = {"pulls": {7: a_pull(7, PullState.MERGED)}, "attempts": {task.id: attempts}, "floors": SHORT,
             "issues": {1: an_issue(state="closed")}, **more}
    return a_snapshot(task, **given)


@pytest.mark.req("N13")
@pytest.mark.parametrize(("task", "changes", "goes"), [
    (merged(), {}, True),
    (merged(worktree=""), {}, False),
    (merged(tidied=True), {}, False),
    (merged(), {"pulls": {7: a_pull(7, PullState.CLOSED)}}, False),
    (merged(), {"pulls": {7: a_pull(7, PullState.OPEN)}}, False),
    (merged(), {"pulls": {}}, False),
    (merged(pr_number=None), {}, False),
    (merged(), {"attempts": {"gh-1": (WELL, replace(WELL, number=2, ending=Ending.FAILED))}}, False),
    (merged(), {"attempts": {"gh-1": (replace(WELL, ending=Ending.CANCELLED, reason="manual_stop"),)}}, False),
    (merged(), {"attempts": {"gh-1": (replace(WELL, ending=None),)}}, False),
    (merged(), {"attempts": {}}, False),
    (merged(), {"survivors": {"gh-1": (4711,)}}, False),
    (merged(), {"views": {"gh-1": Exited(0, None, "process_exit")}}, False),
    (merged(), {"busy": frozenset({work_lane("gh-1")})}, False),
    *((replace(merged(), state=state), {}, False) for state in TaskState if state is not TaskState.DONE),
])  # fmt: skip
def test_the_janitor_is_given_merged_work_that_ended_well_and_no_other(
    task: Task, changes: dict[str, Any], goes: bool
) -> None:
    s = replace(world(task), **changes)
    assert [one.id for one in reclaimable(s, "")] == ["gh-1"] * goes
    [made] = [one for one in plan(s).actions if isinstance(one, Reclaim)]
    assert [one.id for one in made.tasks] == ["gh-1"] * goes


@pytest.mark.req("N13")
def test_on_a_host_the_janitor_forgets_merged_work_that_ran_there_whose_worktree_here_may_be_gone() -> None:
    there = merged(worktree="", tidied=True)
    s = world(there, (replace(WELL, number=1, host="a"), WELL), floors=(), short={"a": SHORT})
    [made] = [one for one in plan(s).actions if isinstance(one, Reclaim)]
    assert (made.host, [one.id for one in made.tasks]) == ("a", ["gh-1"])
    assert reclaimable(s, "b") == ()


def reclaims(**changes: Any) -> bool:
    return any(isinstance(one, Reclaim) for one in plan(replace(world(merged()), **changes)).actions)


@pytest.mark.req("N13")
def test_the_janitor_comes_where_files_are_short_at_once_and_then_after_a_rest() -> None:
    assert reclaims()
    assert reclaims(floors=(Gate("inodes", "few"),))
    assert not reclaims(floors=())
    assert not reclaims(floors=(Gate("disk", "full", "", "/agents"),)), "nothing merged lies where plans work"
    assert not reclaims(floors=(Gate("reserve", "few requests"),))
    assert not reclaims(floors=(), short={"": (Gate("memory", "little"),)})
    assert not reclaims(holdoff={room_lane(""): NOW.replace(hour=13)})
    assert reclaims(holdoff={room_lane(""): NOW})
    assert not reclaims(busy=frozenset({room_lane("")}))
    assert not reclaims(busy=frozenset({"clean"}))


def told(**changes: Any) -> list[str]:
    return [one.key for one in plan(replace(world(merged()), **changes)).actions if isinstance(one, Notify)]


@pytest.mark.req("N13", "W16")
def test_a_person_is_called_once_and_only_when_the_janitor_could_not_help_or_no_worker_could() -> None:
    tried = {room_lane(""): NOW.replace(hour=13)}
    memory = {"floors": (), "short": {"": (Gate("memory", "little"),)}}
    running = {**memory, "tasks": {"gh-9": replace(a_task(9), state=TaskState.RUNNING)},
               "attempts": {"gh-9": (an_attempt(task=9),)}}
    assert told() == []
    assert told(floors=(Gate("disk", "full", "", "/agents"),)) == ["room::disk:2026-03-02"]
    assert told(holdoff=tried) == ["room::disk:2026-03-02"]
    assert told(holdoff=tried, notified=frozenset({"room::disk:2026-03-02"})) == []
    assert told(**memory) == ["room::memory:2026-03-02"]
    assert told(**running) == []


def test_a_gate_names_its_host_and_what_opens_it() -> None:
    [level] = short(replace(PLENTY, disk=0), SET, ())
    assert gate("", level).cure == "coordinator clean --dry-run"
    assert gate("", level, "/agents").elsewhere == "/agents"
    assert gate("gpu", level).words == "gpu: disk: 0.0 GB free, the floor is 5.0 GB, work goes on from 5.5 GB"
    assert gate("gpu", level).cure == "coordinator hosts check gpu"
    assert "slurm.workdir" in gate(SLURM, level).cure
