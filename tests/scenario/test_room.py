"""Room runs short and comes back: new work is held with its reason, merged and clean worktrees go, what runs goes on,
and what was held begins by itself. Here, on a host by ssh and with Slurm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.executors.remote.link import Link
from coordinator.adapters.system.files import SystemFiles
from coordinator.domain.room import Floor, Floors, Room
from coordinator.domain.task import Task
from coordinator.planning.berths import LOCAL
from coordinator.runfiles import identity
from tests.support.fake_slurm import FakeSlurm
from tests.support.fake_ssh import FakeSsh
from tests.support.stories import Later, go, later, restart, waiting
from tests.support.yard import Yard, a_yard

__all__ = ["later"]
GB = 10**9
PLENTY = Room(disk=50 * GB, disk_all=100 * GB, inodes=10**6, inodes_all=10**7, memory=9 * GB, load=0.5)
FULL = replace(PLENTY, disk=GB)
FLOORS = Floors(Floor(percent=5), Floor(50_000), memory=GB, load=4.0)
STOP = "commit()\nwrite('STOP', 'not this way')\ntime.sleep(60)"


@dataclass
class Figures(SystemFiles):
    """Files that are real, on a disk that has what a test says."""

    left: Room = PLENTY

    def room(self, path: Path) -> Room:
        return self.left


def measured(yard: Yard) -> Figures:
    world, figures = yard.engine.world, Figures()
    world.files, world.policy = figures, replace(world.policy, floors=FLOORS)
    return figures


def merged(yard: Yard, title: str, method: str = "merge") -> Task:
    """A task whose work was merged; its worktree is in its grace time."""
    task = yard.until_state(yard.issue(title), "IN_REVIEW")
    yard.ann.merge(task.pr_number or 0, method)
    return yard.until_state(task.issue or 0, "DONE")


def at_work(yard: Yard) -> Task:
    number = yard.issue("At work", waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING" and yard.engine.world.store.attempts()[f"gh-{number}"][-1].pid)
    return yard.task(number)


def pids(yard: Yard, task: Task) -> set[int]:
    return {one.pid for one in identity.with_token(yard.engine.world.store.attempts()[task.id][-1].token)}


def said(yard: Yard, *words: str) -> list[str]:
    return [line for line in yard.lines if line.startswith(words)]


def rested(yard: Yard, host: str = LOCAL) -> None:
    """As after the janitor's rest."""
    yard.engine.memory.looked.pop(f"room:{host}", None)


@pytest.mark.req("N13", "W16")
def test_short_of_disk_new_work_waits_merged_and_clean_trees_go_and_it_goes_on_by_itself(tmp_path: Path) -> None:
    with a_yard(tmp_path, settings={"tidy": "1d", "retries": "0"}) as yard:
        names = ("clean", "dirty", "ahead", "with a STOP")
        yard.repository.state.delete_branch_on_merge = True
        done = {name: merged(yard, name, "squash") for name in names}
        trees = {name: yard.worktree(task.issue or 0) for name, task in done.items()}
        (trees["dirty"] / "notes.txt").write_text("keep me")
        (trees["with a STOP"] / "STOP").touch()
        yard.git("-c", "user.name=ann", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "more",
                 cwd=trees["ahead"])  # fmt: skip
        review = yard.until_state(yard.issue("in review"), "IN_REVIEW")
        failed = yard.until_state(yard.issue("fails", "sys.exit(3)"), "FAILED", "BLOCKED")
        stopped = yard.until_state(yard.issue("stopped", STOP), "CANCELLED", "BLOCKED")
        trees |= {task.title: yard.worktree(task.issue or 0) for task in (review, failed, stopped)}
        working = at_work(yard)
        before = pids(yard, working)
        figures = measured(yard)

        figures.left = FULL
        number = yard.issue("Waits for room")
        yard.until(lambda: yard.state(number) == "QUEUED")
        yard.until(lambda: not trees["clean"].exists())
        for _ in range(3):
            rested(yard)
            yard.tick()

        wait = yard.plan.waits[f"gh-{number}"]
        assert (wait.code, wait.moves) == ("disk", "coordinator clean --dry-run")
        assert "1.0 GB free, the floor is 5.0 GB (5 %)" in wait.words
        assert [name for name, tree in trees.items() if not tree.exists()] == ["clean"]
        assert yard.task(done["clean"].issue or 0).tidied
        assert (yard.state(number), yard.state(working.issue or 0)) == ("QUEUED", "RUNNING")
        assert pids(yard, working) == before
        assert len(said(yard, "new work is held: disk")) == 1
        assert len(said(yard, "ESCALATE: new work is held: disk")) == 1
        assert said(yard, "made room") == ["made room: 1 merged worktrees and 0 other things went"]

        figures.left = PLENTY
        yard.until_state(number, "IN_REVIEW")
        assert len(said(yard, "there is room again: disk")) == 1
        assert yard.state(working.issue or 0) == "RUNNING"
        go(yard)
        assert yard.until_state(working.issue or 0, "IN_REVIEW").attempts == 1


@pytest.mark.req("W16", "N13")
@pytest.mark.parametrize(("short", "code"), [
    ({"inodes": 9}, "inodes"), ({"memory": 9}, "memory"), ({"load": 4.5}, "load"),
])  # fmt: skip
def test_each_floor_holds_with_its_own_reason_and_lets_go(yard: Yard, short: dict[str, Any], code: str) -> None:
    figures = measured(yard)
    figures.left = replace(PLENTY, **short)
    number = yard.issue()
    yard.until(lambda: yard.state(number) == "QUEUED")
    for _ in range(2):
        assert yard.tick().waits[f"gh-{number}"].code == code
    figures.left = PLENTY
    yard.until_state(number, "IN_REVIEW")


# --- elsewhere --------------------------------------------------------------------------------------------


@dataclass
class Told:
    """What far ends say they have left."""

    left: Room = PLENTY


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    made, ask = Told(), Link.ask

    def asked(link: Link, do: str, *args: Any, **more: Any) -> Any:
        answer, blobs = ask(link, do, *args, **more)
        if do == "look":
            assert set(answer["room"]) == set(asdict(PLENTY)), "the far end tells it with every look"
        return ({**answer, "room": asdict(made.left)} if do == "look" else answer), blobs

    monkeypatch.setattr(Link, "ask", asked)
    return made


HOST = """
[hosts.epyc12]
address = "epyc12"
ssh = ["{ssh}"]
python = "{python}"
slots = 3
"""


@contextmanager
def on_host(folder: Path) -> Iterator[tuple[Yard, FakeSsh]]:
    net = FakeSsh(folder / "net")
    net.host("epyc12")
    more = HOST.format(ssh=net.bin / "ssh", python=sys.executable)
    with a_yard(folder / "yard", more=more, settings={"tidy": "1d"}) as made:
        made.environ.update(COORDINATOR_WORKERS_EXECUTOR="ssh")
        restart(made)
        measured(made)
        yield made, net


def looked(yard: Yard, later: Later) -> None:
    """A tick after every host was asked anew."""
    later(31)
    yard.tick()


def both_end_well(yard: Yard, waited: int, working: Task) -> None:
    """What waited is begun now, what ran was never begun anew."""
    go(yard)
    yard.until_state(waited, "IN_REVIEW")
    assert yard.until_state(working.issue or 0, "IN_REVIEW").attempts == 1


@pytest.mark.req("N13")
def test_a_host_short_of_disk_takes_nothing_new_and_forgets_merged_work_alone(
    tmp_path: Path, told: Told, later: Later
) -> None:
    with on_host(tmp_path) as (yard, net):
        done = merged(yard, "Merged")
        review = yard.until_state(yard.issue("In review"), "IN_REVIEW")
        working = at_work(yard)
        [folder] = net.folder.glob("epyc12/home/coordinator/*/trees/*")
        assert {one.name for one in folder.iterdir()} == {done.id, review.id, working.id}

        told.left = FULL
        looked(yard, later)
        number = yard.issue("Waits for room")
        yard.until(lambda: yard.state(number) == "QUEUED")
        yard.until(lambda: not (folder / done.id).exists())

        wait = yard.plan.waits[f"gh-{number}"]
        assert (wait.code, wait.moves) == ("disk", "coordinator hosts check epyc12")
        assert wait.words.startswith("epyc12: disk: 1.0 GB free")
        assert {one.name for one in folder.iterdir()} == {review.id, working.id}
        assert yard.worktree(done.issue or 0).exists(), "here is room enough"
        assert yard.state(working.issue or 0) == "RUNNING"

        told.left = PLENTY
        looked(yard, later)
        both_end_well(yard, number, working)
        assert len(said(yard, "new work is held: epyc12: disk")) == 1
        assert len(said(yard, "there is room again on epyc12: disk")) == 1


@pytest.mark.req("N13")
def test_a_host_short_of_memory_or_past_its_load_takes_nothing_new_and_what_runs_there_goes_on(
    tmp_path: Path, told: Told, later: Later
) -> None:
    with on_host(tmp_path) as (yard, _):
        working = at_work(yard)
        told.left = replace(PLENTY, memory=GB // 2)
        looked(yard, later)
        number = yard.issue("Waits for room")
        yard.until(lambda: yard.state(number) == "QUEUED")
        for left, words in ((told.left, "epyc12: memory: 0.5 GB free, the floor is 1.0 GB"),
                            (replace(PLENTY, load=9.5), "epyc12: load: 9.5 a core, the limit is 4")):
            told.left = left
            looked(yard, later)
            wait = yard.tick().waits[f"gh-{number}"]
            assert wait.words.startswith(words)
            assert (wait.moves, yard.state(number)) == ("coordinator hosts check epyc12", "QUEUED")
        assert yard.state(working.issue or 0) == "RUNNING"

        told.left = PLENTY
        looked(yard, later)
        both_end_well(yard, number, working)


@pytest.mark.req("N13")
def test_slurm_gets_nothing_new_while_its_folder_is_full_and_its_login_s_memory_and_load_are_no_matter(
    tmp_path: Path, told: Told, later: Later
) -> None:
    slurm = FakeSlurm(tmp_path / "slurm")
    slurm.born(state="RUNNING")
    with a_yard(tmp_path / "yard", more='\n[slurm]\npoll = "1s"\n') as yard:
        yard.environ.update(PATH=f"{slurm.bin}:{yard.environ['PATH']}", COORDINATOR_WORKERS_EXECUTOR="slurm")
        restart(yard)
        measured(yard)
        told.left = replace(PLENTY, memory=0, load=99.0)
        first = yard.issue("First")
        yard.until(lambda: yard.state(first) == "RUNNING")

        told.left = replace(FULL, memory=0, load=99.0)
        looked(yard, later)
        second = yard.issue("Second")
        yard.until(lambda: yard.state(second) == "QUEUED")
        looked(yard, later)

        assert yard.plan.waits[f"gh-{second}"].code == "disk"
        assert "slurm.workdir" in yard.plan.waits[f"gh-{second}"].moves
        assert (yard.state(first), len(slurm.calls("sbatch")), slurm.calls("scancel")) == ("RUNNING", 1, [])

        told.left = PLENTY
        looked(yard, later)
        yard.until(lambda: yard.state(second) == "RUNNING")
        assert len(slurm.calls("sbatch")) == 2
