"""Hooks and validations of a coordinator that was killed: ended when the repository is used next, and no others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.git.hooks import NOTES, end_left
from coordinator.adapters.system.processes import wait_until
from coordinator.runfiles import atomic, codec, identity
from tests.support.gitworld import World, make_world

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
LONG = "echo $$ > ../../began; sleep 600 & echo $! > ../../beside; wait"
COORDINATOR = """
import os, sys
from datetime import timedelta
from pathlib import Path
from coordinator.adapters.git.repository import GitRepository
repo = GitRepository(Path(sys.argv[1]), default_branch="main")
repo.run_hook("gh-1", sys.argv[2], "before_run", timedelta(minutes=10), {"PATH": os.environ["PATH"]})
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    repo = world.repository()
    repo.fetch()
    repo.ensure_worktree("gh-1", "rpi/gh-1", "main", fresh=False, attempt=1)
    return world


@pytest.fixture
def coordinator(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """Another coordinator of the repository, in the middle of a long hook."""
    other = subprocess.Popen([sys.executable, "-c", COORDINATOR, str(world.checkout), LONG], cwd=ROOT)
    assert wait_until(lambda: number(world, "began") > 0 and number(world, "beside") > 0, PATIENCE)
    yield other
    other.kill()
    other.wait()
    world.repository()


def number(world: World, name: str) -> int:
    told = world.checkout / name
    return codec.whole(told.read_text()) if told.exists() else 0


def runs(pid: int) -> bool:
    proc = identity.look(pid)
    return proc is not None and identity.lives(proc)


def notes(world: World) -> list[str]:
    return sorted(note.name for note in (world.checkout / ".git" / NOTES).iterdir())


def test_a_hook_of_a_coordinator_that_lives_is_left_alone_and_of_one_that_was_killed_is_ended_whole(
    world: World, coordinator: subprocess.Popen[bytes]
) -> None:
    hook, beside = number(world, "began"), number(world, "beside")
    world.repository()
    assert (runs(hook), runs(beside), notes(world)) == (True, True, [str(hook)])

    coordinator.kill()
    coordinator.wait()
    assert runs(hook), "a session of its own"
    world.repository()

    assert wait_until(lambda: not runs(hook) and not runs(beside), PATIENCE)
    assert notes(world) == []


def test_a_process_that_has_the_number_of_a_hook_by_now_is_left_alone(world: World) -> None:
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        proc = identity.look(bystander.pid)
        assert proc is not None
        repo, common = world.repository(), world.checkout / ".git"
        repo.run_hook("gh-1", "true", "before_run", timedelta(seconds=20), {"PATH": os.environ["PATH"]})
        pairs = {"name": "gate", "boot": identity.boot_id(), "pid": str(bystander.pid), "start": str(proc.start - 1),
                 "owner_pid": "0", "owner_start": "0"}
        atomic.write(str(common / NOTES / str(bystander.pid)), codec.encode(pairs))
        assert (end_left(common), runs(bystander.pid), notes(world)) == ((), True, [])

        atomic.write(str(common / NOTES / "1"), codec.encode({**pairs, "start": str(proc.start)}))
        assert end_left(common) == ("gate",)
        assert bystander.wait(PATIENCE) == -signal.SIGKILL
    finally:
        bystander.kill()
        bystander.wait()


def test_what_is_no_note_of_ours_is_left_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is being written, something else, a link, and what another user put there."""
    folder = world.checkout / ".git" / NOTES
    folder.mkdir()
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        proc = identity.look(bystander.pid)
        assert proc is not None
        pairs = {"name": "gate", "boot": identity.boot_id(), "pid": str(bystander.pid), "start": str(proc.start),
                 "owner_pid": "0", "owner_start": "0"}
        (folder / ".7.1-1.tmp").write_bytes(codec.encode(pairs))
        (folder / "8").write_text("no pairs")
        (folder / "9").symlink_to(folder / ".7.1-1.tmp")
        assert end_left(world.checkout / ".git") == ()
        atomic.write(str(folder / "10"), codec.encode(pairs))
        with monkeypatch.context() as patched:
            patched.setattr(os, "geteuid", lambda: 4711)
            assert end_left(world.checkout / ".git") == ()
        assert (notes(world), runs(bystander.pid)) == ([".7.1-1.tmp", "10", "8", "9"], True)
    finally:
        bystander.kill()
        bystander.wait()


def test_what_cannot_be_noted_does_not_run(world: World) -> None:
    (world.checkout / ".git" / NOTES).write_text("no folder")
    repo = world.repository()
    with pytest.raises(FileExistsError):
        repo.run_hook("gh-1", "touch ran", "before_run", timedelta(seconds=20), {"PATH": os.environ["PATH"]})
    assert not (world.tree() / "ran").exists()
