"""What the host does to a coordinator: a clock that jumps, a disk without inodes, a file system that turns read-only, a
memory that somebody else holds locked. It holds, says where, and goes on by itself."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from coordinator.adapters.store import opening
from coordinator.domain.request import RequestKind
from coordinator.engine.daemon import STORE_REST, Daemon
from coordinator.ports import StoreError
from tests.support.stories import Later, bury, completions, go, waiting
from tests.support.yard import BOT, BOT_TOKEN, Yard, a_yard

DAY = 86_400.0
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a disk of a test's own")


def at_work(yard: Yard) -> int:
    number = yard.issue(script=waiting(yard))
    yard.until(lambda: yard.state(number) == "RUNNING" and len(yard.comments(number)) == 1)
    return number


# --- the clock ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("jumps", [(3 * DAY,), (-7200.0,), (3 * DAY, -3 * DAY - 7200), (-DAY, 2 * DAY)])
def test_a_clock_that_jumps_ends_no_worker_and_holds_back_nothing(yard: Yard, later: Later, jumps: tuple[float, ...]):
    """With a worker that runs, a lane that rests after a failure, and a host that asked us to wait."""
    number = at_work(yard)
    yard.github.revoke(BOT_TOKEN)
    yard.tick()
    for jump in jumps:
        later(jump)
        for _ in range(2):
            yard.tick()
    assert yard.state(number) == "RUNNING"
    yard.github.add_user(BOT, BOT_TOKEN)
    later(301)   # the longest rest of a lane that failed
    go(yard)

    task = yard.until_state(number, "IN_REVIEW")

    assert (task.attempts, task.retries_used, completions(yard, number)) == (1, 0, 1)
    assert not [line for line in yard.lines if "stall" in line or "stopping" in line]
    follower = yard.issue()
    yard.until_state(follower, "IN_REVIEW")


def test_a_task_that_backs_off_does_not_wait_for_the_days_by_which_the_clock_was_ahead(tmp_path: Path, later: Later):
    with a_yard(tmp_path, settings={"backoff": "60s"}) as yard:
        later(3 * DAY)
        number = yard.issue(script="if attempt == 1: sys.exit(3)\ncommit(); result()")
        yard.until_state(number, "BACKOFF")
        later(-3 * DAY)
        yard.until_state(number, "IN_REVIEW")


# --- the disk -----------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True,
                          check=False)  # fmt: skip
    if done.returncode:
        pytest.skip(f"a disk of a test's own takes the right to mount: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """What is opened there from now on cannot be written; the worker's own files are open already."""
    done = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a read-only disk takes the right to mount: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def use_up_inodes(folder: Path) -> list[Path]:
    """Empty files until there is room for no more."""
    made = []
    try:
        for at in range(100_000):
            (folder / f"filler{at}").touch()
            made.append(folder / f"filler{at}")
    except OSError:
        return made
    raise AssertionError("the disk has inodes without end")


@as_root
def test_without_inodes_a_start_is_held_or_fails_with_the_path_and_goes_on_when_there_are_some(tmp_path: Path):
    with mounted(tmp_path / "small", "size=64m,nr_inodes=1500") as small, a_yard(small / "yard") as yard:
        first = yard.issue()
        yard.until_state(first, "IN_REVIEW")
        later_one = yard.issue()
        filler = use_up_inodes(small)
        for _ in range(3):
            yard.tick()

        assert any("No space left on device" in line for line in yard.lines)
        assert yard.state(later_one) in ("QUEUED", "PREPARING", "BACKOFF")
        assert [one for one in yard.repository.pulls() if f"gh-{later_one}" in one.pull.head_ref] == []
        torn = [path for path in yard.clone.glob(".coordinator/*.json") if not path.read_text().endswith("\n")]
        assert torn == []

        for path in filler:
            path.unlink()
        yard.until_state(later_one, "IN_REVIEW", seconds=60)
        assert len(yard.repository.pulls()) == 2


@as_root
def test_on_a_file_system_that_turned_read_only_nothing_is_lost_and_the_place_is_named(tmp_path: Path):
    """As the kernel leaves a disk with errors. What a person reads stays whole, and the daemon stays."""
    with a_yard(tmp_path) as yard:
        number = at_work(yard)
        before = yard.read("tasks.md"), yard.read(".coordinator/board.json")
        daemon = Daemon(yard.engine, yard.wakes, reload=lambda: None, stop_workers=False)
        yard.engine.world.store.close()
        with read_only(yard.clone):
            rests = [daemon._tick(yard.engine.world.clock) for _ in range(2)]
            yard.engine.world.store.close()
        assert rests == [STORE_REST, STORE_REST]
        [said] = [line for line in yard.lines if line.startswith("nothing moves until the memory can be used again")]
        assert str(yard.clone / ".coordinator" / "state.db") in said
        assert (yard.read("tasks.md"), yard.read(".coordinator/board.json")) == before
        daemon._tick(yard.engine.world.clock)
        assert "the memory is in use again" in yard.lines
        go(yard)

        task = yard.until_state(number, "IN_REVIEW")

        assert (task.attempts, len(yard.repository.pulls()), completions(yard, number)) == (1, 1, 1)


# --- a memory that is held ----------------------------------------------------------------------------


def test_while_another_process_holds_the_memory_locked_nothing_moves_and_it_is_said_with_the_cure(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
):
    number = at_work(yard)
    yard.close()
    monkeypatch.setattr(opening, "BUSY_MS", 100)
    monkeypatch.setattr(opening, "_PRAGMAS", ("busy_timeout = 100", *opening._PRAGMAS[1:]))
    yard.start()
    store = yard.clone / ".coordinator" / "state.db"
    daemon = Daemon(yard.engine, yard.wakes, reload=lambda: None, stop_workers=False)
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        go(yard)
        yard.engine.memory.poll_due = True
        said = "nothing moves until the memory can be used again"
        for _ in range(100):
            daemon._tick(yard.engine.world.clock)
            if any(said in line for line in yard.lines):
                break
            yard.wakes.wait(0.1)
        assert any(said in line and "another process has held it locked for too long" in line
                   and f"fuser {store}" in line.replace("\n", " ") for line in yard.lines)  # fmt: skip
        with pytest.raises(StoreError, match="held it locked"):
            a_request(yard)
        other.execute("ROLLBACK")

    task = yard.until_state(number, "IN_REVIEW")
    assert (task.attempts, completions(yard, number)) == (1, 1)
    bury(yard)


def a_request(yard: Yard) -> None:
    """A person's request at the same time."""
    yard.engine.world.store.ask(RequestKind.PAUSE, "", {}, "cli", yard.engine.world.clock.now())
