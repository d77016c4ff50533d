"""The one subprocess funnel: captured, time-limited runs of foreign programs, the whole group ended on timeout."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NOT_FOUND = 127
TIMED_OUT = 124


@dataclass(frozen=True)
class Ran:
    """A finished run; output decoded as UTF-8 with surrogateescape, so file names survive unchanged."""

    code: int
    out: str
    err: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str = "",
    timeout: float = 60.0,
    pass_fds: Sequence[int] = (),
) -> Ran:
    """Runs argv (never a shell string) to its end. 127 when it is not found, 124 when `timeout` (s) passed:
    then its whole process group is killed. Raises nothing for a failing program."""
    with _box(stdin.encode("utf-8", "surrogateescape")) as given, _box() as said, _box() as complained:
        try:
            child = subprocess.Popen(
                list(argv), env=dict(env), cwd=cwd, stdin=given, stdout=said, stderr=complained,
                start_new_session=True, pass_fds=tuple(pass_fds),
            )
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            return Ran(NOT_FOUND, "", f"{argv[0]}: {error.strerror}: {error.filename}")
        if _ended(child, timeout):
            return Ran(child.returncode, _text(said), _text(complained))
        return Ran(TIMED_OUT, _text(said), _text(complained) + f"\n{argv[0]}: no answer within {timeout:g} s")


@contextmanager
def _box(content: bytes = b"") -> Iterator[int]:
    """A nameless file in memory. Not a pipe: whatever a program leaves running in a session of its own (a build
    server, ssh's ControlPersist) holds a pipe open, and whoever reads it to its end waits for that."""
    fd = os.memfd_create("coordinator")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)   # a second writer, by way of /dev/stderr, leaves no hole
        yield fd
    finally:
        os.close(fd)


def _text(box: int) -> str:
    with open(box, "rb", closefd=False) as file:
        file.seek(0)
        return file.read().decode("utf-8", "surrogateescape")


def _ended(child: subprocess.Popen[bytes], timeout: float) -> bool:
    """Whether it ended by itself in time; else its group is killed. It is reaped either way."""
    over = os.pidfd_open(child.pid)
    try:
        waiting = select.poll()
        waiting.register(over, select.POLLIN)
        in_time = bool(waiting.poll(timeout * 1000))
    finally:
        os.close(over)
    if not in_time:
        _kill_group(child.pid)
    child.wait()
    return in_time


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
