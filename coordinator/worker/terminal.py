"""A terminal for an agent that prints to nothing else. What it prints goes on into its log, whoever else holds the
terminal open; nothing can be typed on it."""

from __future__ import annotations

import _thread
import fcntl
import os
import sys
import termios

_ROWS, _COLUMNS = 40, 120
_CHUNK = 65536


class Terminal:
    """Opened before the fork: `take` is for the agent's side, `serve` and `finish` for ours. `log` is an open file."""

    def __init__(self, log: int) -> None:
        self._log = log
        self._master, self.slave = os.openpty()
        self._done = _thread.allocate_lock()
        mode = termios.tcgetattr(self.slave)
        mode[1] &= ~termios.ONLCR
        mode[3] &= ~termios.ECHO
        termios.tcsetattr(self.slave, termios.TCSANOW, mode)
        size = b"".join(number.to_bytes(2, sys.byteorder) for number in (_ROWS, _COLUMNS, 0, 0))
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)

    def take(self) -> None:
        """In the leader of a session without a terminal: it becomes the controlling one."""
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def serve(self) -> None:
        """After the fork: from now on the agent's side is the agent's alone."""
        os.close(self.slave)
        self._done.acquire()
        _thread.start_new_thread(self._copy, ())

    def finish(self, patience: float) -> None:
        """Waits until all that was printed stands in the log; a survivor may hold the terminal for ever."""
        self._done.acquire(True, patience)

    def _copy(self) -> None:
        try:
            while True:
                chunk = os.read(self._master, _CHUNK)
                if not chunk:
                    return
                self._keep(chunk)
        except OSError:
            return   # EIO: nobody holds the other side any more
        finally:
            self._done.release()

    def _keep(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self._log, rest):]
        except OSError:
            return   # the disk is full: the agent must not hang for it, as it would not hang for a file
