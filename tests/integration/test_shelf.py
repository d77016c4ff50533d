"""The shelf of run files on a real disk: every job is read in one pass, whatever lies there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coordinator.adapters.executors.shelf import Shelf
from coordinator.adapters.system.processes import wait_until
from coordinator.domain.job import latest
from coordinator.domain.worker import Exited, Missing, Running, Unknown, Waiting
from coordinator.planning.health import Settings
from coordinator.planning.health.jobs import judge_job
from coordinator.runfiles import atomic, identity
from tests.factories import NOW
from tests.support.shelf_bench import TOKEN, Bench, a_dead_pid, bench, sleeper

__all__ = ["bench", "sleeper"]


# --- reading --------------------------------------------------------------------------------------------


def test_a_job_is_read_with_its_run_its_log_and_its_contract(bench: Bench, sleeper: int) -> None:
    bench.ours("bd-1", sleeper, worktree="/w", retries="1")
    bench.put("bd-1.log", "hello\n")
    bench.put("bd-1.contract", {"model": "m"})
    one = bench.one("bd-1")
    assert isinstance(one.view, Running)
    assert (one.pid, one.retries, one.log_bytes, one.foreign, one.faults) == (sleeper, 1, 6, False, ())
    assert one.view.beat is not None
    assert one.log_at == pytest.approx(time.time(), abs=5)
    assert (bench.shelf.contract(one), bench.shelf.tail(one)) == ({"model": "m"}, b"hello\n")


@pytest.mark.req("A134")
def test_output_counts_at_once_though_no_heartbeat_has_told_of_it_yet(bench: Bench, sleeper: int) -> None:
    bench.ours("bd-1", sleeper)
    silent = bench.one("bd-1")
    bench.put("bd-1.log", "hello\n")
    talking = bench.one("bd-1")
    assert isinstance(silent.view, Running)
    assert isinstance(talking.view, Running)
    assert silent.view.beat is not None
    assert talking.view.beat is not None
    assert silent.view.beat.log.moved_at < talking.view.beat.log.moved_at == talking.log_at


def test_a_folder_that_is_not_there_holds_no_jobs_and_is_not_made(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "none", flat=False)
    assert (shelf.all(), shelf.of("bd-1"), shelf.of("../x")) == ((), (), ())
    assert not (tmp_path / "none").exists()


@pytest.mark.req("C76", "X12")
def test_names_that_no_job_can_have_and_files_that_make_none_are_passed_over(bench: Bench) -> None:
    for name in (".bd-1.meta.7-1.tmp", "bd 2.meta", "bd-3.log", "bd-4.lock", "wrapper-1.pyz", "x" * 65 + ".meta",
                 "bd-5.log.1", "bd-6.outcome.1", "-bd.meta", "notes.txt"):
        bench.put(name, "a=b\n")
    bench.put("bd-9.meta", "a=b\n")
    assert [one.id for one in bench.shelf.all()] == ["bd-9"]


@pytest.mark.req("C50", "C68", "P40", "X12")
def test_every_provider_s_folder_is_read_unknown_ones_too(tmp_path: Path) -> None:
    for provider, run in (("claude", "20260304130002"), ("gemini", "20260304130001"), ("qwen-code", "20260304130003")):
        (tmp_path / provider).mkdir()
        (tmp_path / provider / "bd-1.meta").write_text(f"run_id={run}\ntoken=t\n")
        (tmp_path / provider / "bd-1.outcome").write_text("token=t\nstate=success\nexit_code=0\n")
    (tmp_path / "a.meta").write_text("run_id=1\n")
    shelf = Shelf(tmp_path, flat=False)
    assert [one.provider for one in shelf.all()] == ["claude", "gemini", "qwen-code"]
    os.utime(tmp_path / "gemini" / "bd-1.meta")   # looking or touching makes nothing later
    last = latest(shelf.of("bd-1"))
    assert last is not None
    assert last.provider == "qwen-code"


def test_a_flat_folder_s_jobs_have_the_provider_they_name_or_the_folder_s(bench: Bench) -> None:
    bench.put("bd-1.meta", "provider=gemini\n")
    bench.put("bd-2.meta", "repo=r\n")
    assert {one.id: one.provider for one in bench.shelf.all()} == {"bd-1": "gemini", "bd-2": "cc-glm"}


@pytest.mark.req("P44")
def test_an_outcome_belongs_to_the_run_whose_token_it_carries(bench: Bench, sleeper: int) -> None:
    bench.ours("bd-1", sleeper)
    bench.put("bd-1.outcome", {"token": "b" * 32, "state": "failed", "exit_code": "1"})
    assert isinstance(bench.one("bd-1").view, Running)
    assert bench.one("bd-1").outcome == {}
    bench.put("bd-1.outcome", {"token": TOKEN, "state": "success", "exit_code": "0"})
    assert isinstance(bench.one("bd-1").view, Exited)
    assert bench.one("bd-1").outcome["state"] == "success"


@pytest.mark.req("P1", "C75", "W13")
def test_a_run_whose_wrapper_is_gone_or_is_another_process_by_now_is_gone(bench: Bench, sleeper: int) -> None:
    bench.ours("gone", a_dead_pid())
    bench.ours("recycled", sleeper)
    beat = bench.pairs("recycled.heartbeat")
    bench.put("recycled.heartbeat", {**beat, "wrapper_start": str(int(beat["wrapper_start"]) - 1)})
    assert [one.view for one in bench.shelf.all()] == [Missing(started=True)] * 2
    assert [one.pid for one in bench.shelf.all()] == [0, 0]


@pytest.mark.req("P7")
def test_a_zombie_is_not_running(bench: Bench) -> None:
    child = subprocess.Popen(["sleep", "0.01"])
    bench.ours("bd-1", child.pid)
    bench.put("bd-2.pid", f"{child.pid}\n")
    assert wait_until(lambda: Path(f"/proc/{child.pid}/stat").read_text().split()[2] == "Z", 20)
    assert [one.view for one in bench.shelf.all()] == [Missing(started=True)] * 2
    child.wait()


def test_a_run_of_before_the_host_s_restart_ended_with_it(bench: Bench) -> None:
    bench.ours("bd-1", os.getpid(), boot="0" * 36)
    view = bench.one("bd-1").view
    assert isinstance(view, Exited)
    assert view.reason == "host_reboot"


@pytest.mark.req("C63")
def test_a_job_of_another_host_is_unknown_here_until_it_has_an_outcome(bench: Bench) -> None:
    bench.ours("bd-1", os.getpid(), boot="0" * 36, host="build-7")
    view = bench.one("bd-1").view
    assert isinstance(view, Unknown)
    assert "build-7" in view.reason
    assert view.since.timestamp() == pytest.approx(time.time(), abs=5)
    bench.put("bd-1.outcome", {"token": TOKEN, "state": "success", "exit_code": "0"})
    assert isinstance(bench.one("bd-1").view, Exited)


def test_a_run_no_wrapper_has_claimed_is_starting_for_a_moment_and_then_never_began(bench: Bench) -> None:
    bench.ours("bd-1", beat=False)
    assert isinstance(bench.one("bd-1").view, Waiting)
    long_ago = time.time() - 60
    os.utime(bench.folder / "bd-1.meta", (long_ago, long_ago))
    assert bench.one("bd-1").view == Missing(started=False)
    os.utime(bench.put("bd-1.fence", "1\n"), (long_ago, long_ago))
    bench.shelf.note(bench.one("bd-1"), {"no_auto_restart": "true"})   # an edit is no start
    assert bench.one("bd-1").view == Missing(started=False)


# --- bad files ------------------------------------------------------------------------------------------


BAD = {
    "meta garbage": ("meta", b"\x00\xff\xfe" * 100, "meta: no key=value text"),
    "meta without pairs": ("meta", b"once upon a time", "meta: no key=value text"),
    "meta empty": ("meta", b"", "meta: empty"),
    "meta huge": ("meta", b"a=b\n" * 400_000, "meta: too large"),
    "meta cut short": ("meta", b"beads=bd-1\nprovi", ""),
    "outcome empty": ("outcome", b"", "outcome: empty"),
    "outcome garbage": ("outcome", b"\x00" * 64, "outcome: no key=value text"),
    "heartbeat garbage": ("heartbeat", b"\xff\x00", "heartbeat: no key=value text"),
    "pid without number": ("pid", b"twelve\n", "pid: no process id"),
    "pid out of range": ("pid", b"99999999999999999999\n", "pid: no process id"),
    "rc without number": ("rc", b"ok\n", "rc: no exit code"),
}


@pytest.mark.req("C74", "P44")
@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_a_fault_of_its_job_and_the_others_are_read(bench: Bench, sleeper: int, case: str) -> None:
    kind, data, fault = BAD[case]
    bench.ours("bd-0", sleeper)
    bench.put("bd-1.meta", "beads=bd-1\nrepo=r\n")
    bench.put(f"bd-1.{kind}", data)
    bench.ours("bd-2", sleeper)
    first, bad, last = bench.shelf.all()
    assert isinstance(first.view, Running)
    assert isinstance(last.view, Running)
    assert bad.faults == ((fault,) if fault else ())
    assert not isinstance(bad.view, Running)
    assert judge_job(bad, NOW, Settings()).health not in {"healthy", "exited_ok"}


@pytest.mark.parametrize("kind", ["meta", "heartbeat", "outcome"])
@pytest.mark.parametrize("put", ["link", "folder"])
def test_a_file_that_cannot_be_read_leaves_open_how_the_job_stands(bench: Bench, kind: str, put: str) -> None:
    bench.ours("bd-1", a_dead_pid())
    target = bench.folder / f"bd-1.{kind}"
    target.unlink(missing_ok=True)
    if put == "link":
        target.symlink_to("/etc/hostname")
    else:
        target.mkdir()
    one = bench.one("bd-1")
    assert isinstance(one.view, Unknown)
    assert one.faults[0].startswith(f"{kind}: ")


def test_a_pipe_in_a_file_s_place_holds_nobody_up(bench: Bench) -> None:
    os.mkfifo(bench.folder / "bd-1.meta")
    os.mkfifo(bench.folder / "bd-1.log")
    one = bench.one("bd-1")
    assert one.faults == ("meta: empty",)
    assert bench.shelf.tail(one) == b""


# --- other hands' files ---------------------------------------------------------------------------------


@pytest.mark.req("X12", "P6", "B49")
def test_a_pid_without_start_time_is_reported_running_as_long_as_it_may_be_the_one_that_was_meant(
    bench: Bench, sleeper: int
) -> None:
    path = bench.put("bd-1.pid", f"{sleeper}\n")
    assert (bench.one("bd-1").pid, bench.one("bd-1").foreign) == (sleeper, True)
    long_ago = time.time() - 3600
    os.utime(path, (long_ago, long_ago))   # the process is younger than the file: the number was used again
    assert bench.one("bd-1").pid == 0


@pytest.mark.req("W13", "P6")
def test_a_noted_start_time_must_be_the_process_s(bench: Bench, sleeper: int) -> None:
    bench.put("bd-1.pid", f"{sleeper}\n")
    proc = identity.look(sleeper)
    assert proc is not None
    for start, runs in ((proc.start, True), (proc.start - 1, False)):
        bench.put("bd-1.meta", {"pid": str(sleeper), "pid_start": str(start)})
        assert isinstance(bench.one("bd-1").view, Running) is runs


def test_a_pid_file_older_than_the_host_s_start_ended_with_it(bench: Bench) -> None:
    path = bench.put("bd-1.pid", "1\n")
    os.utime(path, (1.0, 1.0))
    view = bench.one("bd-1").view
    assert isinstance(view, Exited)
    assert view.reason == "host_reboot"


@pytest.mark.req("X12")
@pytest.mark.parametrize(("code", "word"), [("0", "exited_ok"), ("7", "exited_err")])
def test_an_rc_file_holds_how_a_foreign_job_ended(bench: Bench, sleeper: int, code: str, word: str) -> None:
    bench.put("bd-1.meta", "repo=r\n")
    bench.put("bd-1.pid", f"{sleeper}\n")
    bench.put("bd-1.rc", f"{code}\n")
    assert judge_job(bench.one("bd-1"), NOW, Settings()).health == word


def test_a_foreign_outcome_needs_no_token(bench: Bench) -> None:
    bench.put("bd-1.outcome", "exit_code=0\nstate=success\n")
    assert judge_job(bench.one("bd-1"), NOW, Settings()).health == "exited_ok"


@pytest.mark.req("X12")
def test_a_foreign_heartbeat_is_judged_by_its_age_the_log_and_the_worktree(bench: Bench, sleeper: int) -> None:
    from datetime import UTC, datetime, timedelta

    from tests.support.fake_github import FakeClock

    tree = bench.folder.parent / "tree"
    (tree / "src").mkdir(parents=True)
    bench.put("bd-1.meta", {"worktree": str(tree)})
    for kind in ("pid", "heartbeat"):
        bench.put(f"bd-1.{kind}", f"{sleeper}\n")
    for path in (tree, tree / "src"):
        os.utime(path, (1.0, 1.0))
    later = datetime.now(UTC) + timedelta(seconds=400)
    shelf = Shelf(bench.folder, flat=True, clock=FakeClock(later))

    def health() -> str:
        [one] = shelf.of("bd-1")
        return str(judge_job(one, later, Settings()).health)

    assert health() == "no_op"
    inside = tree / "src" / "new.py"
    inside.write_text("")
    os.utime(inside, (time.time() + 30, time.time() + 30))
    assert health() == "healthy"
    inside.unlink()
    os.utime(tree / "src", (1.0, 1.0))
    bench.put("bd-1.log", "x")
    assert health() == "healthy"


# --- speed ----------------------------------------------------------------------------------------------


@pytest.mark.req("P25", "P46")
def test_two_hundred_running_jobs_are_read_without_a_process_and_in_a_blink(bench: Bench, sleeper: int) -> None:
    for number in range(200):
        bench.ours(f"bd-{number}", sleeper)
        bench.put(f"bd-{number}.log", "x")
    code = f"""
import sys, time
from pathlib import Path
from coordinator.adapters.executors.shelf import Shelf
shelf = Shelf(Path({str(bench.folder)!r}), flat=True)
took = []
for _ in range(5):
    start = time.perf_counter()
    jobs = shelf.all()
    took.append(time.perf_counter() - start)
assert len([one for one in jobs if one.pid]) == 200
loaded = {{"subprocess", "psutil", "git", "threading", "coordinator.ports"}} & set(sys.modules)
assert loaded <= {{"threading"}}, loaded
print(min(took))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 0.2   # 0.02 on a quiet machine


@pytest.mark.req("P46")
def test_one_job_is_read_without_opening_the_others(
    bench: Bench, sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.ours("bd-1", sleeper)
    bench.ours("bd-2", sleeper)
    opened: list[str] = []
    read = atomic.read
    monkeypatch.setattr(atomic, "read", lambda target, limit=0: opened.append(target) or read(target, limit or 1 << 20))
    assert bench.one("bd-1").pid == sleeper
    assert opened
    assert not [one for one in opened if "bd-2" in one]


@pytest.mark.req("P9", "P40")
def test_reading_changes_nothing_in_the_folder(bench: Bench, sleeper: int) -> None:
    bench.ours("bd-1", sleeper)
    bench.put("bd-2.meta", b"\x00")

    def state() -> dict[str, tuple[int, int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino, path.read_bytes())
                for path in bench.folder.iterdir()}  # fmt: skip

    before = state()
    for _ in range(3):
        bench.shelf.all()
    bench.shelf.of("bd-1")
    assert state() == before
