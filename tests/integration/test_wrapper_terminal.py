"""An agent with a terminal: its words reach the log whole, and its end is its own, whoever holds the terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.ports import StopOrder
from coordinator.runfiles import identity
from tests.support.workers import Bench, alive, bench, ended, pids_in, until


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


@pytest.mark.req("A7")
def test_the_agent_sees_a_terminal_for_its_words_and_the_prompt_on_stdin(place: Bench) -> None:
    executor = place.executor()
    code = ("import os, sys\n"
            "print(os.isatty(0), os.isatty(1), os.isatty(2), *os.get_terminal_size(1))\n"
            "print(sys.stdin.read(), file=sys.stderr)\n"
            "print(os.path.exists('/dev/tty') and bool(open('/dev/tty', 'w').fileno()))\n")
    spec = place.python(code, pty=True, stdin="prompt", prompt="do it\nwell")
    executor.submit(spec)
    assert ended(executor, spec).code == 0
    assert place.file(spec, "log").read_bytes() == b"False True True 120 40\ndo it\nwell\nTrue\n"
    assert place.file(spec, "err").read_bytes() == b""


def test_an_agent_that_is_silent_into_a_file_is_heard_on_a_terminal_as_it_speaks(place: Bench) -> None:
    executor = place.executor()
    code = "import time; print('working'); time.sleep(60)"   # a file would get it with the buffer, at the end
    spec = place.python(code, pty=True)
    executor.submit(spec)
    until(lambda: place.out(spec) == "working\n", "its first line")


@pytest.mark.req("P17")
@pytest.mark.alone
def test_a_helper_that_holds_the_terminal_does_not_hold_up_the_end(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "trap '' HUP; sh -c 'trap \"\" HUP; echo $$; sleep 12; true' & sleep 0.3; exit 5",
                      pty=True)
    executor.submit(spec)
    until(lambda: pids_in(place.out(spec)), "the helper")
    began = time.monotonic()
    assert ended(executor, spec).code == 5
    assert time.monotonic() - began < 2.5
    assert not [pid for pid in pids_in(place.out(spec)) if alive(pid)]


@pytest.mark.req("P17")
def test_all_that_was_printed_before_the_end_is_in_the_log_and_the_old_log_is_kept(place: Bench) -> None:
    executor = place.executor()
    lines = 50_000
    first = place.python(f"import sys\nfor i in range({lines}): print('line', i)", pty=True)
    executor.submit(first)
    ended(executor, first)
    assert place.out(first) == "".join(f"line {i}\n" for i in range(lines))
    second = place.spec("printf", "%s|", "one\ntwo", "a b", "", pty=True)
    executor.submit(second)
    ended(executor, second)
    assert place.out(second) == "one\ntwo|a b||", "arguments stay whole"
    assert place.file(second, "log.1").stat().st_size == sum(len(f"line {i}\n") for i in range(lines))


@pytest.mark.req("P4")
def test_stopping_an_agent_on_a_terminal_ends_its_whole_tree(place: Bench) -> None:
    executor = place.executor()
    script = "trap '' HUP; setsid sleep 60 & echo $!; sleep 60 & echo $!; echo $$; wait"
    spec = place.spec("sh", "-c", script, pty=True)
    executor.submit(spec)
    pids = until(lambda: pids_in(place.out(spec)) if len(pids_in(place.out(spec))) == 3 else [], "the tree")
    executor.stop(spec.handle, StopOrder("manual_stop", ""))
    end = ended(executor, spec)
    assert (end.reason, end.survivors) == ("manual_stop", ())
    assert not [pid for pid in pids if alive(pid)]
    assert place.pairs(spec, "meta")["execution_mode"] == "pty"


def test_a_program_that_is_not_there_is_said_on_a_terminal_too(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("/no/such/agent", pty=True)
    executor.submit(spec)
    end = ended(executor, spec)
    assert (end.code, end.words) == (127, "/no/such/agent: No such file or directory")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tiny disk")
def test_an_agent_on_a_terminal_does_not_hang_for_a_full_disk(place: Bench) -> None:
    place.jobs.mkdir()
    if os.system(f"mount -t tmpfs -o size=1m none {place.jobs}") != 0:
        pytest.skip("no right to mount here")
    try:
        executor = place.executor()
        spec = place.spec(sys.executable, "-c", "print('x' * 1_000_000)", pty=True)
        executor.submit(spec)
        assert ended(executor, spec).code == 0
        assert "no room left" in place.pairs(spec, "outcome")["words"]
    finally:
        os.system(f"umount -l {place.jobs}")


def test_a_wrapper_with_a_terminal_reaps_what_falls_to_it(place: Bench) -> None:
    executor = place.executor()
    spec = place.spec("sh", "-c", "trap '' HUP; for i in 1 2 3; do (setsid sh -c true &); done; sleep 60", pty=True)
    wrapper = executor.submit(spec)
    until(lambda: [identity.look(pid) for pid in identity.children(wrapper)], "the agent")

    def zombies() -> list[int]:
        seen = [identity.look(pid) for pid in identity.children(wrapper)]
        return [proc.pid for proc in seen if proc is not None and proc.state == "Z"]

    until(lambda: len(identity.children(wrapper)) == 1 and not zombies(), "every orphan reaped")
