"""A real `coordinator run` that is killed at any moment, and one whose disk fills up and is freed again."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.crash import ROOT, Lives, Plot, a_field, a_plot, faults, torn
from tests.support.figures import count
from tests.support.points import SOAK
from tests.support.yard import Yard

PATIENCE = 90.0
KILLED = 44 if SOAK else 8
"""How often a real daemon is: once for twenty deaths of the crash points."""
FIRST_TRY = 'if attempt == "1":'
WAIT_FOR_GO = "while not os.path.exists(sys.argv[2]): time.sleep(0.02)\n"


@contextmanager
def a_run(plot: Plot, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`coordinator run` on the plot, killed by SIGKILL at the end."""
    with log.open("ab") as out:
        child = subprocess.Popen([sys.executable, "-m", "coordinator", "run"], cwd=plot.clone, stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=out, env={**plot.environ, "PYTHONPATH": str(ROOT)})
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def until(plot: Plot, done: Callable[[], object], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        plot.act()
        assert time.monotonic() < end, log.read_text()[-4000:]
        time.sleep(0.05)


@pytest.mark.timeout(300)
@pytest.mark.req("W11", "W12", "W23", "N11")
@pytest.mark.parametrize("seed", range(KILLED // 2))
def test_sigkill_at_any_moment_and_again_after_the_restart_loses_nothing(tmp_path: Path, seed: int):
    moments = [random.Random(seed * 10 + turn).uniform(0.4, 4.5) for turn in range(2)]
    count("a real daemon killed at any moment", len(moments))
    log = tmp_path / "log"
    with a_field(tmp_path) as github:
        plot, lives = a_plot(github, tmp_path / "p1"), Lives()
        try:
            for moment in moments:
                with a_run(plot, log):
                    end = time.monotonic() + moment
                    until(plot, lambda end=end: time.monotonic() > end, log)
                assert torn(plot) == []
            assert lives.live(plot) == 0, f"{moments}\n{(plot.folder / 'log').read_text()}"
        finally:
            lives.close()
        assert faults(plot) == [], f"killed after {moments} s\n{log.read_text()}\n{(plot.folder / 'log').read_text()}"


@contextmanager
def a_small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
                             capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a disk of a test's own takes the right to mount: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as filler:
        for size in (1 << 20, 4096, 1):
            try:
                while filler.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.mark.timeout(300)
@pytest.mark.req("N11")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_is_said_stops_nothing_for_good_and_the_work_goes_on_when_there_is_room(tmp_path: Path):
    go, log = tmp_path / "go", tmp_path / "log"
    with a_small_disk(tmp_path / "small", 48) as small, a_field(tmp_path) as github:
        plot, lives = a_plot(github, small / "p1"), Lives()
        agent, config = plot.folder / "agent.py", plot.clone / "coordinator.toml"
        agent.write_text(agent.read_text().replace(FIRST_TRY, WAIT_FOR_GO + FIRST_TRY))
        config.write_text(config.read_text().replace('"{attempt}"]', f'"{{attempt}}", "{go}"]')
                          .replace('disk = "0"', 'disk = "4MB"'))
        try:
            with a_run(plot, log) as child:
                until(plot, lambda: "Work of attempt 1" in plot.git("for-each-ref", "--format=%(subject)"), log)
                fill(small / "filler")
                go.touch()
                until(plot, lambda: "nothing moves until the memory can be used again" in log.read_text(), log)
                assert "the disk is full" in log.read_text()
                assert torn(plot) == []
                assert child.poll() is None
                (small / "filler").unlink()
                until(plot, lambda: f"gh-{plot.issue}: worktree" in log.read_text(), log)
                assert "the memory is in use again" in log.read_text()
                assert child.poll() is None
            assert lives.live(plot) == 0, (plot.folder / "log").read_text()
        finally:
            lives.close()
        assert faults(plot) == [], log.read_text()


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nothing new can be written there; root is held by a mount, everybody else by the mode."""
    if os.geteuid():
        folder.chmod(0o500)
        yield
        folder.chmod(0o700)
        return
    done = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a read-only folder takes, for root, the right to mount: {done.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.req("N11")
def test_a_state_folder_that_became_read_only_is_said_and_written_again_afterwards(yard: Yard):
    number = yard.issue()
    yard.until_state(number, "IN_REVIEW")
    state = yard.clone / ".coordinator"
    before, names = (state / "board.json").read_bytes(), sorted(path.name for path in state.iterdir())
    [pull] = yard.repository.pulls()
    with read_only(state):
        yard.ann.comment(number, "Looks good")
        yard.tick()
        assert any(line.startswith("board.json cannot be written: ") for line in yard.lines)
        assert (state / "board.json").read_bytes() == before
        assert sorted(path.name for path in state.iterdir()) == names
    yard.ann.merge(pull.number)

    yard.until_state(number, "DONE")

    [row] = json.loads((state / "board.json").read_bytes())["tasks"]
    assert row["state"] == "DONE"
