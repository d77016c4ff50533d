"""One command of a person on another host: its output goes straight to ours, and it ends when we are ended.

No terminal is made for it there: output stays as it is, and the two streams stay apart. So Ctrl-C is a second command,
which ends the far process group.
"""

from __future__ import annotations

import secrets
import shlex
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coordinator.adapters.executors.ssh import Ssh, Unreachable
from coordinator.adapters.executors.ssh_marks import Heard, Marks, Sieve, with_path
from coordinator.adapters.system.streaming import Interrupted, Stream, nobody_reads

GRACE = 5.0
"""Seconds for ssh to end once its command was ended."""
_END_TIMEOUT = 30.0
_LOOKS, _LOOK = 40, 0.05
# Asked to end, and ended after three seconds. What left the group by setsid was meant to stay.
_END = (
    'kill -s TERM -- "-{0}" 2>/dev/null || kill -s TERM {0} 2>/dev/null || exit 0; i=0; '
    'while kill -s 0 -- "-{0}" 2>/dev/null && [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done; '
    'kill -s KILL -- "-{0}" 2>/dev/null; exit 0'
)


@dataclass(frozen=True)
class Ended:
    """`code` is the command's own, None when that is not known; `signal` is what ended us, 0 for nothing; `trouble` why
    the command did not come to its end, as far as is known: it never began, or was lost from sight."""

    code: int | None
    signal: int = 0
    trouble: Unreachable | None = None


def run_one(ssh: Ssh, path: Sequence[str], line: str, show: Callable[[bytes], None]) -> Ended:
    """Runs this line in the far user's shell, `path` put before its PATH; `show` is given what comes on stderr."""
    marks = Marks(secrets.token_hex(8))
    sieve = Sieve(marks)
    argv = ssh.argv(marks.around(with_path(path, line), on_stdout=False))
    with Stream(argv, ssh.env(), lambda data: show(sieve.feed(data))) as stream:
        try:
            code = stream.wait() or 0
        except Interrupted as came:
            return Ended(None, came.number, _stopped(ssh, stream, sieve))
        kept = sieve.rest()
        if sieve.code is not None:
            return Ended(sieve.code)
        if sieve.leader:
            show(kept)
            if nobody_reads():   # ssh ends at once then, without the end of what it ran
                return Ended(None, signal.SIGPIPE, _stopped(ssh, stream, sieve))
    return Ended(None, trouble=ssh.unreachable(code, Heard(kept.decode("utf-8", "replace"), None, sieve.leader)))


def _stopped(ssh: Ssh, stream: Stream, sieve: Sieve) -> Unreachable | None:
    """Ends the far command; why that could not be done, None when it was. Who ends us again waits no longer."""
    try:
        if _leader(stream, sieve):
            ssh.run(f"exec /bin/sh -c {shlex.quote(_END.format(sieve.leader))}", timeout=_END_TIMEOUT)
            stream.wait(GRACE)
        elif stream.wait(0) is None:
            return Unreachable(f"nothing was heard of it from {ssh.address}, which may begin it yet", begun=True)
    except Unreachable as error:
        return error
    except Interrupted:
        return None
    return None


def _leader(stream: Stream, sieve: Sieve) -> int:
    """The far process to end, 0 where none was heard of: its number may be on its way when we are ended."""
    for _ in range(_LOOKS):
        if sieve.leader or stream.wait(_LOOK) is not None:
            break
    return sieve.leader
