"""The wrapper around a walled agent: signals reach the agent itself, nothing survives, its work is seen."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator.adapters.system import bubblewrap
from coordinator.adapters.system.walls import argv
from coordinator.domain.walls import Walls
from coordinator.domain.worker import Running
from coordinator.ports import LaunchSpec, StopOrder
from coordinator.runfiles import identity
from tests.integration.test_wrapper_trees import HOSTILE
from tests.support.walled import needs_walls
from tests.support.workers import Bench, alive, bench, ended, until, view


@pytest.fixture(scope="module", autouse=True)
def walls() -> None:
    needs_walls()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def walled(place: Bench, *words: str, proxy: str = "", **more: Any) -> LaunchSpec:
    """A worker that sees the system and its own folder alone."""
    door = place.root / "door"
    door.mkdir(exist_ok=True)
    cwd = place.root / "trees" / "gh-450"
    folders, links = bubblewrap._system()
    python = Path(sys.base_prefix)
    read = (*folders, *([] if python.is_relative_to("/usr") else [python]))
    made = Walls(bubblewrap.program(), cwd, write=(cwd,), read=read, links=tuple(links), empty=(Path("/tmp"),),
                 proxy=proxy, door=door, python=PYTHON)
    return place.spec(*words, walls=made, **more)


PYTHON = str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")


def test_the_polite_signal_reaches_the_agent_and_its_answer_comes_back(place: Bench) -> None:
    executor = place.executor()
    spec = walled(place, "sh", "-c", "trap 'echo polite > heard; exit 7' INT; echo ready; while :; do sleep 0.05; done",
                  stop_signal="INT", grace=timedelta(seconds=20))
    executor.submit(spec)
    until(lambda: "ready" in place.out(spec), "the agent")
    executor.stop(spec.handle, StopOrder("manual_stop", "test"))
    end = ended(executor, spec)
    assert (spec.cwd / "heard").read_text() == "polite\n"
    assert (end.code, end.reason, end.survivors) == (7, "manual_stop", ())


def test_term_to_all_reaches_whom_the_agent_started_and_gives_them_their_time(place: Bench) -> None:
    """Were bubblewrap hit, all would be dead at once."""
    executor = place.executor()
    child = "trap 'sleep 0.3; echo done > child; exit' TERM; echo ready; while :; do sleep 0.05; done"
    agent = f'trap : INT TERM; (setsid sh -c "{child}") & while :; do sleep 0.05; done'
    spec = walled(place, "sh", "-c", agent, stop_signal="INT", grace=timedelta(seconds=2))
    executor.submit(spec)
    until(lambda: "ready" in place.out(spec), "the agent's child")
    executor.stop(spec.handle, StopOrder("manual_stop", "test"))
    end = ended(executor, spec, 30)
    assert (spec.cwd / "child").read_text() == "done\n"
    assert end.survivors == ()


@pytest.mark.parametrize("hand", ["stop", "kill the agent", "kill bubblewrap", "kill the wrapper"])
def test_no_process_of_a_hostile_tree_survives(hand: str, place: Bench) -> None:
    executor = place.executor()
    spec = walled(place, PYTHON, "-c", HOSTILE, "pids", grace=timedelta(milliseconds=500))
    wrapper = executor.submit(spec)
    until(lambda: (spec.cwd / "pids").exists() and len((spec.cwd / "pids").read_text().split()) >= 6, "the whole tree")
    tree = [proc.pid for proc in identity.tree(wrapper)]
    outer = int(place.pairs(spec, "heartbeat")["agent_pid"])
    assert len(tree) >= 7, "bubblewrap twice, five of its own, and one that is hard to see"
    within = {identity.number_within(pid): pid for pid in tree}
    if hand == "stop":
        executor.stop(spec.handle, StopOrder("stalled", "test"))
    else:
        whom = {"kill the agent": within[2], "kill bubblewrap": outer, "kill the wrapper": wrapper}
        os.kill(whom[hand], signal.SIGKILL)
    if hand == "kill the wrapper":
        until(lambda: not [pid for pid in tree if alive(pid)], "the end of all")
        assert executor.sweep(spec.handle) == ()
        return
    end = ended(executor, spec)
    assert end.survivors == ()
    assert end.reason == ("stalled" if hand == "stop" else "killed")
    assert not [pid for pid in tree if alive(pid)]


def test_cpu_time_git_and_a_stopped_tree_are_seen_through_the_walls(place: Bench) -> None:
    executor = place.executor()
    spec = walled(place, PYTHON, "-c", "print('ready', flush=True)\nwhile True: pass")
    wrapper = executor.submit(spec)
    until(lambda: float(place.pairs(spec, "heartbeat").get("cpu_sec") or 0) > 0.3, "its CPU time", 30)
    assert isinstance(view(executor, spec), Running)
    agent = next(proc for proc in identity.tree(wrapper) if identity.number_within(proc.pid) == 2)
    os.kill(agent.pid, signal.SIGSTOP)
    until(lambda: place.pairs(spec, "heartbeat").get("stopped_since"), "that it stands still")
    os.kill(agent.pid, signal.SIGCONT)
    until(lambda: not place.pairs(spec, "heartbeat").get("stopped_since"), "that it goes on")
    executor.stop(spec.handle, StopOrder("manual_stop", "test", hard=True))
    assert ended(executor, spec).survivors == ()


def test_no_descriptor_of_the_wrapper_s_is_open_behind_the_walls(place: Bench) -> None:
    """One of a folder outside would lead there."""
    executor = place.executor()
    code = "import os; print([fd for fd in range(3, 256) if os.path.exists(f'/proc/self/fd/{fd}')])"
    spec = walled(place, PYTHON, "-c", code)
    executor.submit(spec)
    assert ended(executor, spec).code == 0
    assert place.out(spec) == "[]\n"


def test_an_agent_that_is_missing_or_fails_is_no_success(place: Bench) -> None:
    executor = place.executor()
    spec = walled(place, "there-is-no-such-program")
    executor.submit(spec)
    end = ended(executor, spec)
    assert end.code not in (0, None)
    assert "there-is-no-such-program" in executor.log_tail(spec.handle).decode()


def test_a_terminal_is_had_behind_walls_too(place: Bench) -> None:
    executor = place.executor()
    spec = walled(place, "sh", "-c", "test -t 1 && echo terminal", pty=True)
    assert "--new-session" not in argv(spec.walls or pytest.fail("no walls"), ("true",), pty=True)
    executor.submit(spec)
    assert ended(executor, spec).code == 0
    assert "terminal" in place.out(spec)


KEYS = """
import ctypes, sys
libc = ctypes.CDLL(None)
add, keyctl = ((248, 250) if sys.argv[1] == "x86_64" else (217, 219))
if sys.argv[2:] == ["plant"]:
    libc.syscall(keyctl, 1, None)
    print(libc.syscall(add, b"user", b"coordinator-canary", b"secret", 6, -3) > 0)
else:
    print([ring for ring in (-3, -4, -5) if libc.syscall(keyctl, 10, ring, b"user", b"coordinator-canary", 0) > 0])
"""


@pytest.mark.skipif(os.uname().machine not in ("x86_64", "aarch64"), reason="the calls' numbers are another machine's")
def test_the_keys_of_our_session_are_out_of_reach(place: Bench, monkeypatch: pytest.MonkeyPatch,
                                                  capfd: pytest.CaptureFixture[str]) -> None:
    """Planted in this process, which every wrapper is started by."""
    machine = os.uname().machine
    monkeypatch.setattr(sys, "argv", ["-", machine, "plant"])
    exec(compile(KEYS, "plant", "exec"), {})
    if capfd.readouterr().out != "True\n":
        pytest.skip("this kernel has no keyrings, or this container may not use them")
    executor = place.executor()
    within = walled(place, PYTHON, "-c", KEYS, machine)
    open_to_all = place.spec(PYTHON, "-c", KEYS, machine, job="gh-451")
    for spec in (within, open_to_all):
        executor.submit(spec)
        assert ended(executor, spec).code == 0
    assert (place.out(within), place.out(open_to_all)) == ("[]\n", "[-3]\n")


# --- one way out ----------------------------------------------------------------------------------------


class Echo:
    """A proxy that says back what it hears, and who asks for it; `met` counts the callers."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.met = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self._answer, args=(caller,), daemon=True).start()

    def _answer(self, caller: socket.socket) -> None:
        with caller:
            heard = b""
            while chunk := caller.recv(65536):
                heard += chunk
            caller.sendall(b"heard " + heard)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)   # who waits for a caller would wait on
        self._socket.close()


@pytest.fixture
def proxy() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


CALLS = """
import os, socket, sys
def call(where, data):
    try:
        with socket.create_connection(where, 20) as line:
            line.sendall(data); line.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: line.recv(65536), b""))
    except OSError as error:
        return type(error).__name__.encode()
big = b"x" * 3_000_000
print([call(("127.0.0.1", 3128), b"%d" % n) for n in range(3)], call(("127.0.0.1", 3128), big) == b"heard " + big,
      call(("127.0.0.1", int(sys.argv[1])), b"direct"), call(("192.0.2.1", 80), b"away"), flush=True)
"""


def test_with_a_proxy_there_is_one_way_out_and_it_ends_with_the_agent(place: Bench, proxy: Echo) -> None:
    executor = place.executor()
    spec = walled(place, PYTHON, "-c", CALLS, proxy.address.rpartition(":")[2], proxy=proxy.address)
    executor.submit(spec)
    end = ended(executor, spec, 40)
    assert (end.code, end.survivors) == (0, ()), executor.log_tail(spec.handle).decode()
    assert place.out(spec).split(" ", 3)[:3] == ["[b'heard", "0',", "b'heard"]
    assert place.out(spec).endswith("True b'ConnectionRefusedError' b'OSError'\n")
    assert proxy.met == 4


def test_a_proxy_that_is_down_ends_the_connection_and_nothing_else(place: Bench) -> None:
    executor = place.executor()
    call = "import socket; print(socket.create_connection(('127.0.0.1', 3128)).recv(9))"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))   # nobody listens there, and nobody else can
        spec = walled(place, PYTHON, "-c", call, proxy=f"127.0.0.1:{taken.getsockname()[1]}")
        executor.submit(spec)
        assert ended(executor, spec, 40).code == 0
    assert place.out(spec) == "b''\n"


def test_the_relay_is_no_part_of_the_agent_and_nobody_survives_with_it(place: Bench, proxy: Echo) -> None:
    """A polite stop leaves the way open to whoever ends politely; a stopped agent stands still though its relay does
    not; what is left goes."""
    executor = place.executor()
    wait = "trap 'echo polite > heard; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    spec = walled(place, "sh", "-c", wait, stop_signal="INT", grace=timedelta(seconds=20), proxy=proxy.address)
    wrapper = executor.submit(spec)
    until(lambda: "ready" in place.out(spec), "the agent")
    tree = [proc.pid for proc in identity.tree(wrapper)]
    agent = next(pid for pid in tree if identity.number_within(pid) == 2)
    os.kill(agent, signal.SIGSTOP)
    until(lambda: place.pairs(spec, "heartbeat").get("stopped_since"), "that it stands still")
    executor.stop(spec.handle, StopOrder("manual_stop", "test"))
    end = ended(executor, spec)
    assert (end.code, end.survivors) == (7, ())
    assert (spec.cwd / "heard").read_text() == "polite\n"
    until(lambda: not [pid for pid in tree if alive(pid)], "the end of all")
