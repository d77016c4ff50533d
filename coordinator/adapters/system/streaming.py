"""One program whose output goes straight to ours while it runs; only what it says on stderr passes through here."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from coordinator.adapters.system.run import NOT_FOUND

_PIECE = 65536
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came that ends us."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Stream:
    """A running program: stdin and stdout are ours, its stderr is given to `heard` as it comes. It has a session of its
    own, so that Ctrl-C reaches us alone and we decide what it means."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], heard: Callable[[bytes], None]) -> None:
        self._heard = heard
        self._child: subprocess.Popen[bytes] | None = None
        try:
            self._child = subprocess.Popen(list(argv), env=dict(env), stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            heard(f"{argv[0]}: {error.strerror}".encode())

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, 127 where it could not be started; None when `timeout` seconds passed. Raises Interrupted in
        the main thread."""
        if self._child is None:
            return NOT_FOUND
        if self._child.returncode is not None:
            return self._child.returncode
        with _ending_signals():
            over = self._watch(self._child, timeout)
        return self._child.wait() if over else None

    def kill(self) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()

    def _watch(self, child: subprocess.Popen[bytes], timeout: float | None) -> bool:
        """Not to the end of its stderr: what it leaves running may hold that open."""
        assert child.stderr is not None
        said, over = child.stderr.fileno(), os.pidfd_open(child.pid)
        fcntl.fcntl(said, fcntl.F_SETFL, os.O_NONBLOCK)
        waiting = select.poll()
        waiting.register(said, select.POLLIN)
        waiting.register(over, select.POLLIN)
        try:
            while ready := dict(waiting.poll(None if timeout is None else timeout * 1000)):
                if said in ready and not self._pass_on(said):
                    waiting.unregister(said)
                if over in ready:
                    while self._pass_on(said):
                        pass
                    return True
            return False
        finally:
            os.close(over)

    def _pass_on(self, said: int) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(said, _PIECE)
        except BlockingIOError:
            return False
        if data:
            self._heard(data)
        return bool(data)


def nobody_reads() -> bool:
    """Whether our stdout is a pipe whose reader went away (`| head`)."""
    waiting = select.poll()
    waiting.register(1, 0)
    return any(event & select.POLLERR for _, event in waiting.poll(0))


@contextmanager
def _ending_signals() -> Iterator[None]:
    def raised(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(number)

    wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]   # nohup
    before = {number: signal.signal(number, raised) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
