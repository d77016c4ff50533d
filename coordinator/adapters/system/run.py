"""The one subprocess funnel: captured runs of foreign programs, limited in time and in what they may print, the
whole group ended when they pass a limit."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

NOT_FOUND = 127
TIMED_OUT = 124
TOO_MUCH = 125
_NO_PROGRAM = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC)
"""The last is a file of no bytes, or of another machine."""
WHOLE = 256 << 20
"""Bytes of a stream that is needed whole: many times what git lists of the largest repositories."""
_LOOK_EVERY = 0.05
"""Seconds between two looks at what was printed; a program fills some 100 MB of memory in that time at most."""


@dataclass(frozen=True)
class Ran:
    """A finished run; output decoded as UTF-8 with surrogateescape, so file names survive unchanged."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class RanBytes:
    """A finished run whose output is no text."""

    code: int
    out: bytes
    err: str


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str | int = "",
    timeout: float = 60.0,
    pass_fds: Sequence[int] = (),
    last: int = 0,
    sweep: bool = False,
    begins: Callable[[int], None] = lambda _: None,
) -> Ran:
    """Runs argv (never a shell string) to its end. A number for `stdin` is an open file, read from where it stands.
    127 when it is not found, 124 when `timeout` (s) passed: then its whole process group is killed. `last`: only so
    many bytes of each stream's end are kept; without it all, and a program that prints more than WHOLE is killed too,
    125. `sweep`: what it leaves running in its group ends with it. `begins` is told its pid, and ends it by raising.
    Raises nothing for a failing program."""
    ended = run_bytes(
        argv, env=env, cwd=cwd, stdin=stdin if isinstance(stdin, int) else stdin.encode("utf-8", "surrogateescape"),
        timeout=timeout, pass_fds=pass_fds, last=last, sweep=sweep, begins=begins,
    )  # fmt: skip
    return Ran(ended.code, ended.out.decode("utf-8", "surrogateescape"), ended.err)


def run_bytes(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes | int = b"",
    timeout: float = 60.0,
    pass_fds: Sequence[int] = (),
    last: int = 0,
    sweep: bool = False,
    begins: Callable[[int], None] = lambda _: None,
) -> RanBytes:
    """The same for a program that is given, and prints, what is no text."""
    with _given(stdin) as given, _box() as said, _box() as complained:
        held = _Held()
        try:
            child = subprocess.Popen(
                list(argv), env=dict(env), cwd=cwd, stdin=given, stdout=said, stderr=complained,
                start_new_session=True, pass_fds=tuple(pass_fds),
            )
        except BaseException as error:
            held.let_go()
            if not isinstance(error, OSError) or error.errno not in _NO_PROGRAM:
                raise
            return RanBytes(NOT_FOUND, b"", f"{argv[0]}: {error.strerror}: {error.filename}")
        boxes = (said, complained)
        stopped = _watched(child, timeout, lambda: any(_crowded(box, last) for box in boxes), held, sweep=sweep,
                           begins=begins)
        if not stopped and any(_crowded(box, last) for box in boxes):
            stopped = TOO_MUCH
        out, err = (_held_in(box, last or WHOLE) for box in boxes)
        words = {
            0: "",
            TIMED_OUT: f"\n{argv[0]}: no answer within {timeout:g} s",
            TOO_MUCH: f"\n{argv[0]}: printed more than {WHOLE >> 20} MB; ended, since a part of it is of no use\n",
        }
        return RanBytes(stopped or child.returncode, out, err.decode("utf-8", "surrogateescape") + words[stopped])


class _Held:
    """Ctrl-C, held back while a program is started: in the middle of it nobody would know yet what to kill."""

    def __init__(self) -> None:
        self._came = False
        self._ours = threading.current_thread() is threading.main_thread() \
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True

    def let_go(self) -> None:
        """It is heard again. Raises KeyboardInterrupt when it came meanwhile."""
        ours, came, self._ours, self._came = self._ours, self._came, False, False
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt


@contextmanager
def _given(stdin: bytes | int) -> Iterator[int]:
    if isinstance(stdin, int):
        yield stdin
        return
    with _box(stdin) as box:
        yield box


@contextmanager
def _box(content: bytes = b"") -> Iterator[int]:
    """A nameless file in memory. Not a pipe: whatever a program leaves running in a session of its own (a build
    server, ssh's ControlPersist) holds a pipe open, and whoever reads it to its end waits for that."""
    fd = os.memfd_create("coordinator", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)   # a second writer, by way of /dev/stderr, leaves no hole
        yield fd
    finally:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)   # whoever still writes would fill our memory unseen
        os.close(fd)


def _held_in(box: int, most: int) -> bytes:
    with open(box, "rb", closefd=False) as file:
        file.seek(max(0, os.fstat(box).st_size - most))
        return file.read()


def _crowded(box: int, last: int) -> bool:
    """Whether more was printed than may be; where only the end counts, the rest is let go instead."""
    size = os.fstat(box).st_size
    if last and size > 2 * last:
        end = os.pread(box, last, size - last)
        os.ftruncate(box, 0)
        os.write(box, end)
    return not last and size > WHOLE


def _watched(
    child: subprocess.Popen[bytes], timeout: float, crowded: Callable[[], bool], held: _Held, *, sweep: bool,
    begins: Callable[[int], None],
) -> int:
    """0 when it ended by itself; else its group was killed, and why. It is reaped either way."""
    stopped, until = 0, time.monotonic() + timeout
    try:
        over = os.pidfd_open(child.pid)
        try:
            held.let_go()
            begins(child.pid)
            waiting = select.poll()
            waiting.register(over, select.POLLIN)
            while not stopped and not waiting.poll(max(0.0, min(_LOOK_EVERY, until - time.monotonic())) * 1000):
                stopped = TOO_MUCH if crowded() else TIMED_OUT if time.monotonic() >= until else 0
        finally:
            os.close(over)
    except BaseException:   # Ctrl-C: in a session of its own it would not hear it
        _kill_group(child.pid)
        child.wait()
        held.let_go()
        raise
    if stopped or sweep:   # before it is reaped: until then nobody else has its number
        _kill_group(child.pid)
    child.wait()
    return stopped


def start(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    """Starts a program in a session of its own, stdin from the null device; it outlives us.

    The returned child must be reaped by its owner, never by waiting for any child. Raises OSError.
    """
    return subprocess.Popen(
        list(argv), env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
        start_new_session=True,
    )


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
