"""Nothing of a worker survives it, however it tries; nobody else is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors import bundle
from coordinator.domain.worker import Exited
from coordinator.ports import StopOrder
from coordinator.runfiles import atomic, codec, identity
from coordinator.worker.agent import Agent
from tests.support.workers import Bench, alive, bench, ended, until, view

HOSTILE = r"""
import ctypes, os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)

def note():
    with open(sys.argv[1], "a") as stream:
        stream.write("%d\n" % os.getpid())

def spawn(act):
    if os.fork() == 0:
        try:
            act()
        finally:
            os._exit(0)

def linger():
    note()
    while True:
        time.sleep(1)

def away():
    os.setsid()
    if os.fork():
        os._exit(0)
    linger()

def renamed():
    ctypes.CDLL(None).prctl(15, b"sshd", 0, 0, 0)
    linger()

def nameless():
    os.setsid()
    if os.fork():
        os._exit(0)
    code = "import os,sys,signal,time\nsignal.signal(15, signal.SIG_IGN)\n" \
           "open(sys.argv[1], 'a').write('%d\\n' % os.getpid())\ntime.sleep(600)"
    os.execve(sys.executable, ["sshd", "-c", code, sys.argv[1]], {})

def runner():
    note()
    while True:                                   # each lives a moment and leaves a child behind
        if os.fork():
            os._exit(0)
        time.sleep(0.005)

for act in (linger, away, renamed, nameless, runner):
    spawn(act)
note()
print("ready", flush=True)
while True:
    time.sleep(1)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def _of_token(token: str) -> list[int]:
    return [proc.pid for proc in identity.with_token(token)]


@pytest.mark.req("N3", "W1")
@pytest.mark.parametrize("grouped", [False, True], ids=["walk-alone", "with-cgroup"])
def test_no_process_of_a_hostile_tree_survives_a_stop(place: Bench, grouped: bool) -> None:
    executor = place.executor(cgroup=grouped)
    noted = place.root / "pids"
    spec = place.spec(sys.executable, "-c", HOSTILE, str(noted), grace=timedelta(milliseconds=500))
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "claude", "gh-450"])
    try:
        executor.submit(spec)
        until(lambda: noted.exists() and len(noted.read_text().split()) >= 6, "the whole tree")
        began = time.monotonic()
        executor.stop(spec.handle, StopOrder("stalled", "test"))
        end = ended(executor, spec)
        assert time.monotonic() - began < 10
        assert end.survivors == ()
        pids = [int(line) for line in noted.read_text().split()]
        assert not [pid for pid in pids if alive(pid)]
        assert _of_token(spec.handle.token) in ([], [int(place.pairs(spec, "outcome")["wrapper_pid"])])
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.req("W1")
def test_the_tree_of_an_agent_that_was_killed_goes_with_it(place: Bench) -> None:
    executor = place.executor()
    noted = place.root / "pids"
    spec = place.spec(sys.executable, "-c", HOSTILE, str(noted))
    executor.submit(spec)
    until(lambda: noted.exists() and len(noted.read_text().split()) >= 6, "the whole tree")
    os.kill(int(place.pairs(spec, "heartbeat")["agent_pid"]), signal.SIGKILL)
    end = ended(executor, spec)
    assert (end.reason, end.survivors) == ("killed", ())
    assert not [pid for pid in map(int, noted.read_text().split()) if alive(pid)]


def test_the_wrapper_leaves_no_zombie_while_it_runs(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "for i in 1 2 3 4 5; do (setsid sh -c true &); done; echo ready; sleep 60")
    wrapper = executor.submit(spec)
    until(lambda: "ready" in place.out(spec), "the orphans")

    def zombies() -> list[int]:
        seen = [identity.look(pid) for pid in identity.children(wrapper)]
        return [proc.pid for proc in seen if proc is not None and proc.state == "Z"]

    until(lambda: not zombies(), "every orphan reaped")


def test_the_agent_s_end_is_seen_where_the_kernel_lists_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity, "children", lambda pid: [])
    agent = Agent()
    agent.pid = os.posix_spawnp("sh", ["sh", "-c", "read line; exit 7"], dict(os.environ),
                                file_actions=[(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)])
    until(lambda: not agent.reap(), "its end")
    assert not agent.running()
    assert os.waitstatus_to_exitcode(agent.status or 0) == 7


def _bare(place: Bench, token: str, fence: int, written: str) -> subprocess.Popen[bytes]:
    """A wrapper started as a coordinator would that has just been killed between two of its writes."""
    folder = place.jobs / "claude"
    folder.mkdir(parents=True, exist_ok=True)
    pairs = {"token": token, "fence": str(fence), "run_id": "1", "cwd": str(place.root), "beat_sec": "1",
             "argv.0": "sh", "argv.1": "-c", "argv.2": f"echo {written} >> {place.root}/started; sleep 60"}
    atomic.write(str(folder / "gh-1.spec"), codec.encode(pairs))
    argv = [sys.executable, "-I", "-S", str(bundle.place(place.jobs)), "claude", "gh-1",
            "--dir", str(folder), "--token", token]
    return subprocess.Popen(argv, env={"PATH": os.environ["PATH"], "COORDINATOR_TOKEN": token},
                            stderr=subprocess.DEVNULL)


def test_of_two_wrappers_with_one_token_one_starts_the_agent(place: Bench) -> None:
    token = f"twice-{place.mark}"
    wrappers = [_bare(place, token, 1, "once") for _ in range(4)]
    try:
        until(lambda: [each.poll() for each in wrappers].count(None) == 1, "three to give way")
        until((place.root / "started").exists, "the agent")
        assert (place.root / "started").read_text() == "once\n"
        assert sorted(each.poll() for each in wrappers if each.poll() is not None) == [0, 0, 0]
    finally:
        for each in wrappers:
            each.terminate()
            each.wait(20)


def test_a_wrapper_with_a_lower_fence_starts_nothing(place: Bench) -> None:
    (place.jobs / "claude").mkdir(parents=True)
    (place.jobs / "claude" / "gh-1.fence").write_text("5\n")
    late = _bare(place, f"late-{place.mark}", 4, "late")
    assert late.wait(20) == 75
    assert not (place.root / "started").exists()


def test_heartbeats_show_what_moves(place: Bench) -> None:
    executor = place.executor(beat=0.1)
    code = ("import time; open('made', 'w').close(); print('one'); print('two', flush=True)\n"
            "while time.process_time() < 0.6: pass\n"
            "print('three', flush=True); time.sleep(60)")
    spec = place.python(code)
    executor.submit(spec)
    until(lambda: int(place.pairs(spec, "heartbeat")["events"]) == 3, "the third line")
    until(lambda: int(place.pairs(spec, "heartbeat")["tree"]) >= 1, "the new file")
    seen = view(executor, spec)
    assert not isinstance(seen, Exited)
    beat = getattr(seen, "beat", None)
    assert beat is not None
    assert beat.cpu.value >= 0.4
    assert beat.log.value == len("one\ntwo\nthree\n")
    assert beat.event.value == 3
    assert beat.since <= beat.tree.moved_at <= beat.at
    assert beat.since <= beat.event.moved_at <= beat.at
    assert beat.rss_kb > 1000
    quiet = until(lambda: getattr(view(executor, spec), "beat", None), "a beat")
    until(lambda: view(executor, spec).beat.at > quiet.at + 0.3, "later beats")  # type: ignore[union-attr]
    later = view(executor, spec).beat  # type: ignore[union-attr]
    assert (later.event.value, later.event.moved_at) == (3, pytest.approx(beat.event.moved_at, abs=0.1))


def test_a_gap_in_the_observation_begins_a_new_window(place: Bench) -> None:
    executor = place.executor(beat=0.1)
    spec = place.spec("sleep", "60")
    wrapper = executor.submit(spec)
    first = until(lambda: getattr(view(executor, spec), "beat", None), "a beat")
    os.kill(wrapper, signal.SIGSTOP)
    time.sleep(0.6)   # six beats: the host slept
    os.kill(wrapper, signal.SIGCONT)
    until(lambda: view(executor, spec).beat.since > first.since + 0.5, "the new window")  # type: ignore[union-attr]
    beat = view(executor, spec).beat  # type: ignore[union-attr]
    assert beat.log.moved_at >= beat.since - 0.01
