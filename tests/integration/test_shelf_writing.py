"""What is written among run files is written under locks, keeps what others wrote, and not into others' folders."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.planning.health import Settings
from coordinator.planning.health.jobs import judge_job
from coordinator.ports import JobBusy, WatchdogRuns
from coordinator.runfiles.names import ForeignFolder
from tests.factories import NOW
from tests.support.shelf_bench import TOKEN, Bench, bench, sleeper

__all__ = ["bench", "sleeper"]


# --- writing --------------------------------------------------------------------------------------------


@pytest.mark.req("P13", "A102")
def test_marks_of_many_writers_are_all_kept_and_what_people_wrote_stays(bench: Bench) -> None:
    bench.put("bd-1.meta", "# by hand\nmine=1\nretries=3\n")
    one = bench.one("bd-1")

    def write(number: int) -> None:
        for turn in range(10):
            bench.shelf.note(one, {f"key{number}.{turn}": "x"})

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    pairs = bench.pairs("bd-1.meta")
    assert len([key for key in pairs if key.startswith("key")]) == 40
    assert (pairs["mine"], pairs["retries"]) == ("1", "3")
    assert (bench.folder / "bd-1.meta").read_text().startswith("# by hand\n")


@pytest.mark.req("A61", "C51", "C55")
def test_the_end_of_a_run_that_left_none_is_recorded_once(bench: Bench) -> None:
    bench.ours("bd-1")
    one = bench.one("bd-1")
    assert bench.shelf.record_end(one, {"beads": "bd-1", "state": "failed", "reason_code": "lost"})
    assert not bench.shelf.record_end(one, {"state": "success"})
    assert bench.one("bd-1").outcome["reason_code"] == "lost"
    assert "bd-1.pid" not in bench.names()


def test_no_end_is_recorded_for_a_run_that_another_has_followed(bench: Bench) -> None:
    bench.ours("bd-1")
    one = bench.one("bd-1")
    bench.ours("bd-1", token="c" * 32)
    assert not bench.shelf.record_end(one, {"state": "failed"})
    assert "bd-1.outcome" not in bench.names()


@pytest.mark.req("A62")
def test_an_outcome_that_is_another_run_s_steps_aside(bench: Bench) -> None:
    bench.ours("bd-1")
    bench.put("bd-1.outcome", {"token": "b" * 32, "state": "success"})
    bench.put("bd-1.log.1", "first")
    assert bench.shelf.record_end(bench.one("bd-1"), {"state": "failed", "reason_code": "lost"})
    assert bench.pairs("bd-1.outcome.2")["state"] == "success"
    assert bench.one("bd-1").outcome["state"] == "failed"


@pytest.mark.req("P28", "A59", "P14")
def test_a_refused_start_is_the_job_s_last_word_and_takes_nothing_of_the_earlier_run_away(bench: Bench) -> None:
    bench.ours("bd-1", no_auto_restart="true")
    bench.put("bd-1.log", "first run\n")
    bench.put("bd-1.outcome", {"token": TOKEN, "state": "success", "exit_code": "0"})
    bench.shelf.refuse("claude", "bd-1", {"beads": "bd-1", "provider": "claude", "state": "failed", "exit_code": "25",
                                          "reason_code": "start_refused", "run_id": "20260304150000"})
    one = bench.one("bd-1")
    assert judge_job(one, NOW, Settings()).health == "exited_err"
    assert (one.outcome["exit_code"], one.sequence[0]) == ("25", "20260304150000")
    assert one.meta["no_auto_restart"] == "true"
    assert bench.pairs("bd-1.outcome.1")["state"] == "success"
    assert (bench.folder / "bd-1.log.1").read_text() == "first run\n"


@pytest.mark.req("P28", "P26")
def test_a_refused_first_start_leaves_a_failed_outcome_in_a_folder_of_its_own(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "new" / "jobs", flat=False)
    shelf.refuse("gemini", "bd-1", {"beads": "bd-1", "provider": "gemini", "state": "failed", "exit_code": "21"})
    [one] = shelf.all()
    assert (one.provider, one.outcome["state"], one.meta["launch_state"]) == ("gemini", "failed", "failed")
    assert stat.S_IMODE((tmp_path / "new" / "jobs").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / "jobs" / "gemini" / "bd-1.outcome").stat().st_mode) == 0o600


@pytest.mark.parametrize("foreign", [False, True])
def test_a_living_job_s_files_are_neither_refused_over_nor_removed(
    bench: Bench, sleeper: int, *, foreign: bool
) -> None:
    if foreign:
        bench.put("bd-1.pid", f"{sleeper}\n")
    else:
        bench.ours("bd-1", sleeper)
    before = bench.names()
    bench.shelf.refuse("claude", "bd-1", {"state": "failed"})
    with pytest.raises(JobBusy, match="bd-1 lives"):
        bench.shelf.remove(bench.one("bd-1"), ("pid", "meta"))
    assert bench.names() == before | {"bd-1.lock"}
    assert bench.one("bd-1").pid == sleeper


@pytest.mark.req("C74", "C76")
def test_marks_of_a_dead_job_are_removed_and_absent_ones_are_no_error(bench: Bench) -> None:
    bench.put("bd-1.pid", "not a number\n")
    bench.put("bd-1.log", "kept")
    bench.shelf.remove(bench.one("bd-1"), ("pid", "heartbeat", "stop"))
    assert bench.names() == {"bd-1.log", "bd-1.lock"}


# --- locks and folders ----------------------------------------------------------------------------------


@pytest.mark.req("P12")
def test_one_start_at_a_time_holds_a_folder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coordinator.adapters.executors.shelf_writing.PATIENCE", 0.05)
    with bench.shelf.one_start(), pytest.raises(JobBusy, match="another start"), bench.shelf.one_start():
        pytest.fail("two starts hold one folder")
    with bench.shelf.one_start():
        pass


@pytest.mark.req("P24")
def test_a_folder_has_one_watchdog_and_the_next_is_told_which(bench: Bench) -> None:
    with bench.shelf.one_watchdog():
        with pytest.raises(WatchdogRuns) as told, bench.shelf.one_watchdog():
            pytest.fail("two watchdogs look after one folder")
        assert told.value.pid == os.getpid()
        assert bench.shelf.all() == ()   # its lock is no job
    with bench.shelf.one_watchdog():
        pass


@pytest.mark.req("P24")
def test_a_watchdog_that_was_killed_holds_nothing(bench: Bench) -> None:
    code = ("import sys, time\nfrom pathlib import Path\nfrom coordinator.adapters.executors.shelf import Shelf\n"
            "with Shelf(Path(sys.argv[1]), flat=True).one_watchdog():\n  print('held', flush=True)\n  time.sleep(60)\n")
    child = subprocess.Popen([sys.executable, "-c", code, str(bench.folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(WatchdogRuns) as told, bench.shelf.one_watchdog():
        pytest.fail("held twice")
    assert told.value.pid == child.pid
    child.kill()
    child.wait()
    child.stdout.close()
    with bench.shelf.one_watchdog():
        pass


@pytest.mark.req("P26")
def test_a_linked_folder_is_refused_by_all_that_writes_and_can_be_read(bench: Bench, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(bench.folder)
    bench.put("bd-1.meta", "a=b\n")
    shelf = Shelf(link, flat=True)
    [one] = shelf.all()
    before = bench.names()
    writes = [lambda: shelf.note(one, {"x": "y"}), lambda: shelf.record_end(one, {}),
              lambda: shelf.remove(one, ("meta",)), lambda: shelf.refuse("claude", "bd-2", {}),
              shelf.one_start().__enter__, shelf.one_watchdog().__enter__]
    for write in writes:
        with pytest.raises(ForeignFolder, match="is a link to"):
            write()
    assert bench.names() == before


@pytest.mark.req("P26")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_user_s_folder_is_refused(bench: Bench) -> None:
    os.chown(bench.folder, 12345, 12345)
    with pytest.raises(ForeignFolder, match="belongs to user id 12345"), bench.shelf.one_start():
        pytest.fail("a start held another user's folder")
    assert bench.names() == set()


@pytest.mark.req("P26")
def test_a_folder_that_was_open_to_others_is_closed_by_the_first_write(bench: Bench) -> None:
    bench.folder.chmod(0o777)
    with bench.shelf.one_start():
        assert stat.S_IMODE(bench.folder.stat().st_mode) == 0o700
