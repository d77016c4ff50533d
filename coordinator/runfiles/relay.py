"""Carries connections from behind walls to one proxy and nowhere else. Behind them it listens on the loopback and goes
on to a socket in the file system; outside it goes from that socket to the proxy.

It is one text that runs by itself too (`python3 -c`), as nothing of ours is shown behind the walls.
"""

from __future__ import annotations

import _thread
import os
import signal
import socket
import sys

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Callable, List

    Way = Callable[[], socket.socket]

SOCKET = "socket"
"""Its name in the folder that both sides see."""
_CHUNK = 65536
_WAITING = 64
_PATIENCE = 30.0
_PDEATHSIG = 1   # PR_SET_PDEATHSIG of linux/prctl.h


def serve(listener: socket.socket, way: Way) -> None:
    """Carries whatever comes, each connection by itself. Never returns."""
    while True:
        caller, _ = listener.accept()
        _thread.start_new_thread(_carry, (caller, way))


def _carry(caller: socket.socket, way: Way) -> None:
    with caller:
        try:
            other = way()
        except OSError:
            return   # the caller sees the end of its connection
        with other:
            other.settimeout(None)
            back = _thread.allocate_lock()
            back.acquire()
            _thread.start_new_thread(_pump, (other, caller, back.release))
            _pump(caller, other, lambda: None)
            back.acquire()


def _pump(source: socket.socket, target: socket.socket, done: Callable[[], None]) -> None:
    try:
        while True:
            chunk = source.recv(_CHUNK)
            if not chunk:
                break
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for each in (source, target):   # neither side waits for what cannot come any more
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass   # it had ended by itself
    finally:
        done()


def outside(folder: str, host: str, port: int) -> int:
    """A child of ours that takes connections at the socket in this folder to the proxy; it goes when we go. Its pid.
    Raises OSError."""
    listener = socket.socket(socket.AF_UNIX)
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir(folder)   # the path of a socket may be 107 bytes long at most
        if os.path.lexists(SOCKET):
            os.unlink(SOCKET)
        listener.bind(SOCKET)
        listener.listen(_WAITING)
    finally:
        os.fchdir(here)
        os.close(here)
    pid = os.fork()
    if pid == 0:
        try:
            _go_with_parent()
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            serve(listener, lambda: socket.create_connection((host, port), _PATIENCE))
        finally:
            os._exit(1)
    listener.close()
    return pid


def _go_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PDEATHSIG, *[ctypes.c_ulong(value) for value in (signal.SIGKILL, 0, 0, 0)])


def within(argv: List[str]) -> None:
    """`FOLDER PORT PROGRAM ...`: the relay behind the walls in a process of its own, and in our place the program,
    which stays the process that it would be without. Never returns."""
    path, port = argv[0] + "/" + SOCKET, int(argv[1])
    listener = socket.socket()
    listener.bind(("127.0.0.1", port))
    listener.listen(_WAITING)

    def way() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    child = os.fork()
    if child == 0:
        if os.fork():
            os._exit(0)   # nobody's child: a program that waits for its own must not meet it
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.setsid()
        serve(listener, way)
    os.waitpid(child, 0)
    listener.close()
    try:
        os.execvp(argv[2], argv[2:])   # noqa: S606 - an agent's argv, no shell
    except OSError as error:
        os.write(2, ("%s: %s\n" % (argv[2], error.strerror)).encode("utf-8", "replace"))
        os._exit(127)


if __name__ == "__main__":
    within(sys.argv[1:])
