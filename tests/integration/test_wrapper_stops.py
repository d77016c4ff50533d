"""How a run is stopped, by whom, and what the outcome says: real wrappers, real agents, real signals."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.domain.worker import Running
from coordinator.ports import StopOrder
from tests.support.workers import Bench, alive, bench, ended, pids_in, until, view

DEAF = """
import signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda n, f: print("heard", n, flush=True))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
POLITE = """
import signal, sys, time
def leave(number, frame):
    print("leaving", number, flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, leave)
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def ready(place: Bench, spec: object) -> None:
    until(lambda: "ready" in place.out(spec), "the agent")  # type: ignore[arg-type]


@pytest.mark.req("E12", "E14")
@pytest.mark.alone
def test_touching_stop_asks_the_agent_politely_within_two_seconds(place: Bench) -> None:
    executor = place.executor(soft=1.0)
    spec = place.python(POLITE, stop_signal="INT")
    executor.submit(spec)
    ready(place, spec)
    began = time.monotonic()
    (spec.cwd / "STOP").touch()
    until(lambda: "leaving 2" in place.out(spec), "the polite signal")
    assert time.monotonic() - began < 2.0
    end = ended(executor, spec)
    assert (end.code, end.reason) == (0, "manual_stop")
    assert place.pairs(spec, "outcome")["state"] == "killed"


@pytest.mark.req("E12")
@pytest.mark.alone
def test_stop_ends_an_agent_that_is_deaf_to_signals_within_five_seconds(place: Bench) -> None:
    executor = place.executor(soft=1.0)
    spec = place.python(DEAF, stop_signal="INT", grace=timedelta(seconds=2))
    executor.submit(spec)
    ready(place, spec)
    began = time.monotonic()
    (spec.cwd / "STOP").write_text("it works on the wrong file")
    end = ended(executor, spec)
    assert time.monotonic() - began < 5.0
    assert (end.reason, end.signal, end.survivors) == ("manual_stop", signal.SIGKILL, ())
    assert place.out(spec).split("\n")[:3] == ["ready", "heard 2", "heard 15"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("/nowhere"), os.mkfifo],
                         ids=["folder", "dangling-link", "pipe"])
def test_anything_called_stop_stops(place: Bench, make: object) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    make(spec.cwd / "STOP")  # type: ignore[operator]
    assert ended(executor, spec, 5).reason == "manual_stop"


def test_an_agent_with_its_own_way_to_stop_is_given_time_for_it(place: Bench) -> None:
    executor = place.executor(soft=5.0)
    spec = place.spec("sh", "-c", "while [ ! -e STOP ]; do sleep 0.05; done; echo committed; exit 0")
    executor.submit(spec)
    (spec.cwd / "STOP").touch()
    end = ended(executor, spec, 4)
    assert (end.code, end.reason) == (0, "manual_stop")
    assert place.out(spec) == "committed\n"


@pytest.mark.req("E15")
def test_killing_the_pid_by_hand_is_a_person_s_stop(place: Bench) -> None:
    executor = place.executor()
    spec = place.python(POLITE, stop_signal="INT")
    pid = executor.submit(spec)
    ready(place, spec)
    os.kill(pid, signal.SIGTERM)
    end = ended(executor, spec)
    assert (end.reason, end.code) == ("manual_stop", 0)
    assert "SIGTERM" in end.words


def test_an_agent_hears_the_polite_signal_though_we_were_started_deaf_to_it(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60", stop_signal="INT")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)   # as nohup and a shell's & do
    try:
        executor.submit(spec)
    finally:
        signal.signal(signal.SIGINT, before)
    (spec.cwd / "STOP").touch()
    assert ended(executor, spec).signal == signal.SIGINT


@pytest.mark.req("E34")
@pytest.mark.parametrize(("number", "reason"), [
    (signal.SIGKILL, "killed"), (signal.SIGTERM, "manual_stop"), (signal.SIGINT, "manual_stop"),
    (signal.SIGSEGV, "process_exit"),
])
def test_a_signal_from_outside_is_told_apart(place: Bench, number: signal.Signals, reason: str) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    agent = int(place.pairs(spec, "heartbeat")["agent_pid"])
    os.kill(agent, number)
    end = ended(executor, spec)
    assert (end.code, end.signal, end.reason) == (None, number, reason)
    outcome = place.pairs(spec, "outcome")
    assert (outcome["agent_pid"], outcome["exit_code"], outcome["signal"]) == (
        str(agent), str(128 + number), str(int(number)))


def test_an_agent_that_reports_a_caught_term_by_its_exit_code_was_stopped_by_hand(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "exit 143")
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.reason) == (143, "manual_stop")


def test_the_time_limit_ends_a_run_with_124(place: Bench) -> None:
    executor = place.executor()
    spec = place.python(DEAF, timeout=timedelta(seconds=1), grace=timedelta(milliseconds=300))
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.signal, end.reason) == (124, None, "max_runtime")
    assert (place.pairs(spec, "outcome")["exit_code"], place.pairs(spec, "outcome")["state"]) == ("124", "failed")
    assert 1.0 <= end.duration_sec < 5.0


@pytest.mark.parametrize("stream", [1, 2])
def test_a_run_that_prints_without_end_is_stopped_before_it_fills_the_disk(place: Bench, stream: int) -> None:
    """The file is sparse: it has the size and no blocks."""
    executor = place.executor()
    spec = place.python(f"import os\nprint('ready', flush=True)\nos.ftruncate({stream}, (2 << 30) - 100)\n"
                        f"time = __import__('time'); time.sleep(1); os.write({stream}, b'x' * 200); time.sleep(600)\n",
                        grace=timedelta(milliseconds=300), speaks="claude")
    executor.submit(spec)
    end = ended(executor, spec, seconds=60)
    assert (end.reason, end.words) == ("output_limit", "it printed more than 2 GiB")
    assert place.pairs(spec, "outcome")["state"] == "failed"


def test_a_program_that_is_not_there_fails_to_launch_and_says_its_name(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("/no/such/agent")
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.reason) == (127, "launch_failed")
    assert end.words == "/no/such/agent: No such file or directory"


def test_a_worktree_that_is_not_there_fails_to_launch_and_says_its_path(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("true", cwd=place.root / "gone")
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.reason) == (127, "launch_failed")
    assert str(place.root / "gone") in end.words


@pytest.mark.parametrize("trap", [
    "mkfifo .git", r"printf 'gitdir: a\000b\n' > .git", "ln -s /dev/zero .git", 'rm "$LOG"; mkfifo "$LOG"',
])
def test_no_file_that_an_agent_puts_in_its_wrapper_s_way_keeps_it_from_stopping(place: Bench, trap: str) -> None:
    executor = place.executor(beat=0.1)
    log = place.jobs / "claude" / "gh-450.log"
    env = {"PATH": os.environ["PATH"], "LOG": str(log)}
    spec = place.spec("sh", "-c", f"{trap}; touch set; exec sleep 60", env=env)
    executor.submit(spec)
    until((spec.cwd / "set").exists, "the trap")
    beat = place.pairs(spec, "heartbeat")["up"]
    until(lambda: float(place.pairs(spec, "heartbeat")["up"]) > float(beat) + 0.2, "later beats")
    (spec.cwd / "STOP").touch()
    assert ended(executor, spec, 8).reason == "manual_stop"


def test_an_order_without_the_token_of_this_run_is_not_obeyed(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sleep", "60")
    executor.submit(spec)
    place.file(spec, "stop").write_text("token=another\nreason=paused\n")
    time.sleep(1.2)   # three looks of the wrapper
    assert isinstance(view(executor, spec), Running)


def test_a_stopped_process_is_stopped_all_the_same(place: Bench) -> None:
    executor = place.executor()
    spec = place.python(POLITE, stop_signal="INT")
    executor.submit(spec)
    ready(place, spec)
    os.kill(int(place.pairs(spec, "heartbeat")["agent_pid"]), signal.SIGSTOP)
    until(lambda: place.pairs(spec, "heartbeat")["stopped_since"], "a heartbeat that tells of it")
    executor.stop(spec.handle, StopOrder("stalled", ""))
    assert ended(executor, spec, 5).code == 0, "it was let go on and heard the polite signal"


def test_what_a_finished_agent_left_running_is_ended_before_the_outcome(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "setsid sleep 60 & echo $!; (setsid sh -c 'sleep 60' &) ; exit 0")
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.reason, end.survivors) == (0, "process_exit", ())
    assert not [pid for pid in pids_in(place.out(spec)) if alive(pid)]
    assert executor.live() == ()


def test_an_outcome_waits_for_room_and_is_not_lost(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", f"while [ ! -e {place.root}/go ]; do sleep 0.05; done; exit 3")
    wrapper = executor.submit(spec)
    before = resource.prlimit(wrapper, resource.RLIMIT_FSIZE, (16, resource.RLIM_INFINITY))
    (place.root / "go").touch()
    time.sleep(1.5)   # at least one attempt to write fails
    assert isinstance(view(executor, spec), Running), "no outcome and no guess"
    assert not place.file(spec, "outcome").exists()
    resource.prlimit(wrapper, resource.RLIMIT_FSIZE, before)
    assert ended(executor, spec).code == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tiny disk")
def test_an_outcome_finds_its_place_on_a_disk_that_filled_up(place: Bench) -> None:
    place.jobs.mkdir()
    if os.system(f"mount -t tmpfs -o size=1200k none {place.jobs}") != 0:
        pytest.skip("no right to mount here")
    try:
        executor = place.executor()
        spec = place.spec("sh", "-c", "head -c 1000000 /dev/zero; exit 4")
        executor.submit(spec)
        end = ended(executor, spec)
        assert end.code == 4
        assert place.file(spec, "log").stat().st_size > 100_000
    finally:
        os.system(f"umount -l {place.jobs}")
