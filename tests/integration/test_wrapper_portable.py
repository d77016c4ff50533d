"""The wrapper on a host without /proc: the same contract by ps and process groups. Twice: with /proc hidden from it,
and with /proc really gone, in a mount namespace of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from coordinator.adapters.executors import bundle
from coordinator.runfiles import identity, portable, ps
from coordinator.worker.hearing import Ears
from tests.support.workers import alive, pids_in, until
from tests.support.wrappers import Node, node

DRIVER = Path(__file__).parent.parent / "support/without_proc.py"
SYSCTL = """#!/bin/sh
case $2 in kern.boottime) echo '{ sec = 1795300000, usec = 123456 } Sat Nov 21 09:06:40 2026';; *) exit 1;; esac
"""
STRICT = """#!/bin/sh
for word; do case $word in *=*,*) echo "$word"; exit 0;; esac; done   # BSD: one header with a comma in it
"""
PS = STRICT + 'exec /usr/bin/ps "$@"'
PS_UNCOVERED = STRICT + """
exec unshare -m --propagation private sh -c 'mount -t proc proc /proc && exec /usr/bin/ps "$@"' ps "$@"
"""
COVERED = ("unshare", "-m", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")
FAMILY = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, signal.SIG_IGN)

def linger():
    print(os.getpid(), flush=True)
    while True:
        time.sleep(1)

def spawn(act):
    if os.fork() == 0:
        act()

def orphan():
    spawn(linger)
    os._exit(0)

def away():
    os.setsid()
    spawn(linger)
    linger()

def left():
    os.setsid()
    spawn(linger)
    print(os.getpid(), flush=True)
    time.sleep(1.5)
    os._exit(0)

for act in (linger, orphan, away, left):
    spawn(act)
time.sleep(0.3)
print("ready", flush=True)
linger()
"""
"""Its group, one orphan in it, a session with a child, and one whose leader is gone when the stop comes."""
IDLE = "echo ready; while :; do sleep 0.05; done"


def may_mount() -> bool:
    told = subprocess.run([*COVERED, "test", "!", "-e", "/proc/self"], capture_output=True, check=False)
    return os.geteuid() == 0 and told.returncode == 0


@pytest.fixture(params=["proc-hidden", "proc-gone"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    gone = request.param == "proc-gone"
    if gone and not may_mount():
        pytest.skip("only root may cover /proc")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"sysctl": SYSCTL, "ps": PS_UNCOVERED if gone else PS}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=os.pathsep)
    (tmp_path / "tree").mkdir()
    with node(tmp_path, tmp_path / "tree") as made:
        made.folder.mkdir(parents=True)
        made.argv = (*(COVERED if gone else ()), sys.executable, "-I", "-S", str(DRIVER),
                     str(bundle.place(tmp_path / "jobs")))
        yield made


def start(place: Node, script: str, **spec: str) -> subprocess.Popen[bytes]:
    child = place.start("sh", "-c", script, **spec)
    place.ready()
    return child


@pytest.mark.req("X17")
def test_a_run_has_its_exit_code_its_output_and_its_times(place: Node) -> None:
    place.start("sh", "-c", "cat; echo out; echo err >&2; exit 3")
    outcome = place.outcome()
    assert (outcome["exit_code"], outcome["state"], outcome["reason_code"]) == ("3", "failed", "process_exit")
    assert place.out() == "out\nerr\n"
    assert outcome["survivors"] == ""
    assert float(outcome["ended_at"]) == pytest.approx(time.time(), abs=60)
    assert place.pairs("heartbeat")["boot_id"] == "1795300000"
    assert not place.file("pid").exists()


@pytest.mark.req("X17")
def test_heartbeats_tell_cpu_time_memory_and_output(place: Node) -> None:
    burn = "import time\nprint('ready', flush=True)\nwhile True: pass"
    place.start(sys.executable, "-c", burn)
    place.ready()
    until(lambda: float(place.pairs("heartbeat")["cpu_sec"]) >= 2.0, "CPU time that ps shows in whole seconds")
    beat = place.pairs("heartbeat")
    assert int(beat["rss_kb"]) > 1000
    assert (beat["processes"], beat["log_bytes"]) == ("1", "6")
    assert float(beat["cpu_moved_at"]) > float(beat["since"])


def test_an_idle_agent_is_idle_whatever_looking_at_it_costs(place: Node) -> None:
    place.start("sleep", "60", beat_sec="0.1")
    place.agent()
    first = place.pairs("heartbeat")["at"]
    until(lambda: float(place.pairs("heartbeat")["at"]) > float(first) + 1.5, "some beats")
    assert float(place.pairs("heartbeat")["cpu_sec"]) < 0.1


@pytest.mark.req("X17")
def test_stop_asks_politely_and_the_agent_ends_by_itself(place: Node) -> None:
    start(place, f"trap 'echo leaving; exit 7' INT; {IDLE}", stop_signal="INT")
    (place.cwd / "STOP").touch()
    outcome = place.outcome()
    assert (outcome["reason_code"], outcome["exit_code"]) == ("manual_stop", "7")
    assert place.out() == "ready\nleaving\n"


@pytest.mark.req("X17")
def test_a_signal_to_the_wrapper_is_heard_at_once(place: Node) -> None:
    wrapper = start(place, f"trap 'exit 7' INT; {IDLE}", stop_signal="INT")
    began = time.monotonic()
    wrapper.send_signal(signal.SIGTERM)
    assert place.outcome()["reason_code"] == "manual_stop"
    assert time.monotonic() - began < 15


def test_an_agent_hears_signals_though_its_wrapper_collects_them(place: Node) -> None:
    script = f"trap 'echo one' USR1; trap 'echo hup' HUP; {IDLE}"
    start(place, script, warn="USR1:slurm_timeout")
    for number in (signal.SIGUSR1, signal.SIGHUP):
        os.kill(place.agent(), number)
    until(lambda: {"one", "hup"} <= set(place.out().split()), "both")


@pytest.mark.req("X17")
def test_a_hard_stop_ends_the_group_its_orphans_and_the_descendants_of_other_sessions(place: Node) -> None:
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        place.start(sys.executable, "-c", FAMILY, grace_sec="30")
        place.ready()
        until(lambda: place.pairs("heartbeat").get("processes") == "7", "a look at all of them")
        until(lambda: place.pairs("heartbeat").get("processes") == "6", "the end of the one that leaves an orphan")
        place.order("stalled", hard="1")
        outcome = place.outcome()
        assert (outcome["reason_code"], outcome["survivors"]) == ("stalled", "")
        pids = pids_in(place.out())
        assert len(pids) == 7
        assert not [pid for pid in pids if alive(pid)]
        assert not identity.with_token(place.token), "not one that the test itself did not count either"
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_what_a_finished_agent_left_in_its_group_is_ended_before_the_outcome(place: Node) -> None:
    place.start("sh", "-c", "sleep 60 & echo $!; (trap '' TERM; sleep 61) & exit 0")
    outcome = place.outcome()
    assert (outcome["exit_code"], outcome["survivors"]) == ("0", "")
    assert not identity.with_token(place.token)


def test_one_that_makes_a_child_and_ends_all_the_time_does_not_get_away_from_its_group(place: Node) -> None:
    runner = "import os, time\nwhile True:\n    if os.fork(): os._exit(0)\n    time.sleep(0.01)"
    place.start("sh", "-c", f'trap "" TERM; {sys.executable} -c "{runner}"; {IDLE}', grace_sec="0.2")
    place.ready()
    place.order("stalled")
    assert place.outcome()["survivors"] == ""
    assert not identity.with_token(place.token)


@pytest.mark.req("X17")
def test_one_start_a_token_and_none_below_the_fence(place: Node) -> None:
    start(place, IDLE)
    again = place.start("touch", str(place.root / "ran"))
    assert again.wait(10) == 0
    place.file("fence").write_text("2\n")
    assert place.started[0].wait(15) == 75, "a newer attempt has taken over"
    assert not (place.root / "ran").exists()


def test_a_scheduler_s_warning_is_heard_here_too(place: Node) -> None:
    wrapper = start(place, f"trap 'exit 0' INT; {IDLE}", stop_signal="INT", warn="USR1:slurm_timeout")
    wrapper.send_signal(signal.SIGUSR1)
    assert place.outcome()["reason_code"] == "slurm_timeout"


def test_an_agent_on_a_terminal_is_recorded_here_too(place: Node) -> None:
    place.start("sh", "-c", "test -t 1 && echo terminal", pty="1")
    assert place.outcome()["exit_code"] == "0"
    assert place.out() == "terminal\n"


# --- who is who, by ps -----------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


@pytest.mark.req("X17")
def test_a_recycled_pid_is_not_signalled(sleeper: subprocess.Popen[bytes]) -> None:
    proc = portable.look(sleeper.pid)
    assert proc is not None
    assert not portable.send(sleeper.pid, proc.start - 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert portable.send(sleeper.pid, proc.start, signal.SIGKILL)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_a_kernel_without_pidfds_signals_by_pid_and_no_recycled_one(
    sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    proc = identity.look(sleeper.pid)
    assert proc is not None
    assert not identity.send(sleeper.pid, proc.start - 1, signal.SIGKILL)
    assert sleeper.poll() is None
    assert identity.send(sleeper.pid, proc.start, signal.SIGKILL)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_a_group_whose_number_was_given_away_is_nobody_s(sleeper: subprocess.Popen[bytes]) -> None:
    """The agent's group is remembered by its leader; another's process leads a group of that number now."""
    memory = portable.Memory()
    seen = portable.ask(sleeper.pid)
    assert seen is not None
    memory.keep([seen])
    assert memory.groups == {sleeper.pid: seen.start}
    other = ps.Proc(["1", "1", "1", "S", "1", "0:00", "Sat", "Nov", "21", "09:12:01", "2026"])
    other.pid = other.group = sleeper.pid
    memory.forget({sleeper.pid: other})
    assert (memory.known, memory.groups) == ({}, {})


def test_a_sweep_of_one_run_does_not_find_what_this_process_knows_of_itself(
    sleeper: subprocess.Popen[bytes]
) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        try:
            assert portable.look(sleeper.pid)
            assert [proc.pid for proc in portable.members([other.pid], "")] == [other.pid]
        finally:
            other.kill()


def test_what_cannot_be_asked_is_no_end(sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    assert portable.ask(sleeper.pid)
    assert portable.ask(2 ** 22 + 1) is None
    known = portable.look(sleeper.pid)
    monkeypatch.setattr(ps, "_PLACES", ())
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(OSError, match="ps cannot be started"):
        portable.ask(sleeper.pid)
    assert known is not None
    assert known.pid in [proc.pid for proc in portable.members([os.getpid()], "")], "as last seen"


@pytest.mark.parametrize(("line", "cpu", "start", "state"), [
    ("  501     1   501 Ss    16384   0:12.34 Sat Nov 21 09:12:01 2026    ", 12.34, 20261121091201, "S"),
    ("  501     1   501 R+    16384 123:45.67 Sun Nov  1 00:00:00 2026", 7425.67, 20261101000000, "R"),
    ("  501     1   501 Z         0   0:00.00 -", 0.0, 0, "Z"),
    ("  501     1   501 S     16384 00:00:01 Sat Feb  7 23:59:59 2026", 1.0, 20260207235959, "S"),
    ("  501     1   501 T     16384 1-02:03:04 Sat Nov 21 09:12:01 2026", 93784.0, 20261121091201, "T"),
], ids=["bsd", "bsd-minutes", "bsd-zombie", "procps", "procps-days"])
def test_the_rows_of_both_kinds_of_ps_are_understood(line: str, cpu: float, start: int, state: str) -> None:
    proc = ps.Proc(line.split())
    assert (proc.pid, proc.ppid, proc.group, proc.state) == (501, 1, 501, state)
    assert (proc.cpu, proc.start) == (pytest.approx(cpu), start)


@pytest.mark.parametrize(("answers", "told"), [
    ({"kern.bootsessionuuid": "6E1C2F0A-0000-4000-8000-1234567890AB\n"}, "6E1C2F0A-0000-4000-8000-1234567890AB"),
    ({"kern.boottime": "{ sec = 1795300000, usec = 123456 } Sat Nov 21 09:06:40 2026\n"}, "1795300000"),
])
def test_the_boot_is_known_by_the_session_or_by_its_second(
    answers: Mapping[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = ps.Ps()
    monkeypatch.setattr(asking, "_run", lambda *argv: (int(argv[-1] not in answers), answers.get(argv[-1], ""), 0))
    assert asking.boot_id() == told


def test_without_a_boot_id_nothing_is_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = ps.Ps()
    monkeypatch.setattr(asking, "_run", lambda *_: (1, "", 0))
    with pytest.raises(OSError, match="sysctl knows neither"):
        asking.boot_id()


def test_signals_are_collected_lowest_first_and_none_is_lost() -> None:
    script = (
        "import os, signal, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from coordinator.worker.hearing import Ears\n"
        "both = (signal.SIGUSR1, signal.SIGTERM)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, both)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "ears = Ears(both)\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "print(*(int(ears.wait(which, 0.05)) for which in (both, [signal.SIGUSR1], both, both)))\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(Path(Ears.__init__.__code__.co_filename).parents[2])],
                          capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.split() == [str(int(signal.SIGUSR1)), "0", str(int(signal.SIGTERM)), "0"]


def test_this_host_asks_the_kernel_and_never_loads_the_other_way() -> None:
    script = "import sys, coordinator.worker.main; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    loaded = told.stdout.split()
    assert "coordinator.runfiles.identity" in loaded
    assert not {"coordinator.runfiles.portable", "coordinator.runfiles.ps", "coordinator.worker.hearing",
                "coordinator.worker.keeping", "coordinator.runfiles.gitsafe"}.intersection(loaded)
