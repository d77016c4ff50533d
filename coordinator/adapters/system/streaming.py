"""One program whose output goes straight to ours while it runs; only what it says on stderr passes through here."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Self

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
    own, so that Ctrl-C reaches us alone and we decide what it means. To be used as a context, in the main thread: a
    signal that would end us is an Interrupted of the next `wait`, from before the start on, and never in the middle of
    what was heard; a second one is raised where it comes."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str], heard: Callable[[bytes], None]) -> None:
        self._argv, self._env, self._heard = list(argv), dict(env), heard
        self._child: subprocess.Popen[bytes] | None = None
        self._came: list[int] = []

    def __enter__(self) -> Self:
        self._stirred, self._stir = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]   # nohup
        self._before = {number: signal.signal(number, self._note) for number in wanted}
        try:
            self._child = subprocess.Popen(self._argv, env=self._env, stderr=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            self._heard(f"{self._argv[0]}: {error.strerror}".encode())
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._stirred)
        os.close(self._stir)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
        if len(self._came) > 1:
            raise Interrupted(number)
        os.write(self._stir, b"!")

    def wait(self, timeout: float | None = None) -> int | None:
        """Its exit code, 127 where it could not be started; None when `timeout` seconds passed. Raises Interrupted."""
        if self._child is None:
            return NOT_FOUND
        if self._child.returncode is not None:
            return self._child.returncode
        return self._child.wait() if self._watch(self._child, timeout) else None

    def _watch(self, child: subprocess.Popen[bytes], timeout: float | None) -> bool:
        """Not to the end of its stderr: what it leaves running may hold that open."""
        assert child.stderr is not None
        said, over = child.stderr.fileno(), os.pidfd_open(child.pid)
        fcntl.fcntl(said, fcntl.F_SETFL, os.O_NONBLOCK)
        waiting = select.poll()
        for fd in (said, over, self._stirred):
            waiting.register(fd, select.POLLIN)
        try:
            while ready := dict(waiting.poll(None if timeout is None else timeout * 1000)):
                if said in ready and not self._pass_on(said):
                    waiting.unregister(said)
                if self._stirred in ready:
                    os.read(self._stirred, 1)
                    raise Interrupted(self._came[0])
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
