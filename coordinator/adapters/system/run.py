"""The one subprocess funnel: captured, time-limited runs of foreign programs, the whole group ended on timeout."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
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
    try:
        child = subprocess.Popen(
            list(argv), env=dict(env), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True, pass_fds=tuple(pass_fds),
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        return Ran(NOT_FOUND, "", f"{argv[0]}: {error.strerror}: {error.filename}")
    with child:
        try:
            out, err = child.communicate(stdin.encode("utf-8", "surrogateescape"), timeout=timeout)
            code = child.returncode
        except subprocess.TimeoutExpired:
            _kill_group(child.pid)
            out, err = child.communicate()
            code, err = TIMED_OUT, err + f"\n{argv[0]}: no answer within {timeout:g} s".encode()
    return Ran(code, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape"))


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
