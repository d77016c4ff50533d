"""A program whose output is given on as it comes, and the signals that end us meanwhile."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from coordinator.adapters.system.streaming import Interrupted, Stream
from tests.support.workers import alive

SAYS = ("sh", "-c", "echo $$ >&2; exec sleep 600")


def ask(number: int) -> None:
    os.kill(os.getpid(), number)


def test_a_signal_that_comes_in_the_middle_of_what_is_heard_loses_nothing_of_it() -> None:
    heard: list[bytes] = []

    def listen(data: bytes) -> None:
        if not heard:
            ask(signal.SIGTERM)
        heard.append(data)

    before = signal.getsignal(signal.SIGTERM)
    with Stream(SAYS, os.environ, listen) as stream:
        with pytest.raises(Interrupted) as came:
            stream.wait()
        assert came.value.number == signal.SIGTERM
        pid = int(b"".join(heard))
        assert alive(pid)
    assert not alive(pid), "left to nobody"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_before_the_first_wait_is_not_lost() -> None:
    with Stream(SAYS, os.environ, lambda _: None) as stream:
        ask(signal.SIGINT)
        with pytest.raises(Interrupted):
            stream.wait()
        assert stream.wait(0) is None, "told once"


def test_a_second_signal_ends_us_wherever_we_are() -> None:
    def listen(_: bytes) -> None:
        ask(signal.SIGTERM)
        ask(signal.SIGINT)
        pytest.fail("went on after the second")

    with Stream(SAYS, os.environ, listen) as stream, pytest.raises(Interrupted) as came:
        stream.wait()
    assert came.value.number == signal.SIGINT


def test_a_signal_that_we_ignore_is_none() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stream([sys.executable, "-c", "pass"], os.environ, lambda _: None) as stream:
            ask(signal.SIGHUP)
            assert stream.wait() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_program_that_is_not_there_is_said_and_ends_with_127() -> None:
    heard: list[bytes] = []
    with Stream(["no-such-program"], os.environ, heard.append) as stream:
        assert stream.wait() == 127
    assert heard == [b"no-such-program: No such file or directory"]
