"""Starts the agent in a session of its own and collects every process that ends below it, each by its pid."""

from __future__ import annotations

import os
import signal
import sys

from coordinator.runfiles import identity
from coordinator.worker import notice

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, List, Optional

    from coordinator.runfiles.cgroup import Group
    from coordinator.runfiles.identity import Proc
    from coordinator.worker.spec import Spec
    from coordinator.worker.terminal import Terminal

_RSS_UNIT = 1024 if sys.platform == "darwin" else 1
_AGENT, _RELAY = 2, 4
"""Their numbers in a pid space of bubblewrap's: it is the first itself, and the relay's parent ended as the third."""
_SUBREAPER = 36   # PR_SET_CHILD_SUBREAPER of linux/prctl.h
WATCHED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, notice.SIGNAL)


_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219}   # arch/*/entry/syscalls, asm-generic/unistd.h
_JOIN_SESSION_KEYRING = 1   # of linux/keyctl.h


def leave_keyring() -> None:
    """The keys of the session we were started in are no longer this process's, nor its children's: a pid space and a
    user space of its own do not hide them. Nothing where the kernel has none, or its number is not known."""
    number = _KEYCTL.get(os.uname().machine)
    if number is not None:
        import ctypes

        ctypes.CDLL(None).syscall(number, _JOIN_SESSION_KEYRING, None)


def become_subreaper() -> bool:
    """Orphans of the agent's tree become our children. False where the kernel or ctypes cannot: then their
    inherited token alone finds them. ctypes costs 0.7 MB; nothing else of the library reaches prctl."""
    try:
        import ctypes

        libc = ctypes.CDLL(None)
        return bool(libc.prctl(_SUBREAPER, *[ctypes.c_ulong(value) for value in (1, 0, 0, 0)]) == 0)
    except (ImportError, OSError, AttributeError):
        return False


class Agent:
    """The agent. `status` is a wait status once it has ended; `failure` says why it never started. `all_known`: the
    kernel lists our children."""

    def __init__(self) -> None:
        self.pid = 0
        self.start = 0
        self.walls = False
        self.relay = 0
        self.status: Optional[int] = None
        self.failure = ""
        self.max_rss_kb = 0
        self.terminal: Optional[Terminal] = None
        self.all_known = False

    def launch(self, spec: Spec, group: Optional[Group]) -> None:
        """Forks and executes. stdout goes to `log`, stderr to `err`, both appended to and 0600; one after the other to
        `log` where the agent's words are plain text or go through a terminal."""
        files: List[int] = []
        self.walls = spec.walls
        told = tell = -1
        try:
            if spec.proxy:
                from coordinator.runfiles import relay  # few agents need one

                host, _, port = spec.proxy.rpartition(":")
                self.relay = relay.outside(spec.door, host, int(port))
            told, tell = os.pipe()   # after the relay, which would hold it open
            files.append(os.open(spec.path("prompt") if spec.stdin == "prompt" else os.devnull, os.O_RDONLY))
            files += self._outputs(spec)
            self.pid = os.fork()
            if self.pid == 0:
                _become(spec, group, self.terminal, files, tell)
            if self.terminal is not None:
                self.terminal.serve()
                files = files[:1]
            self.all_known = identity.PROC and self.pid in identity.children(os.getpid())
            os.close(tell)
            tell = -1
            self.failure = os.read(told, 4096).decode("utf-8", "replace")
        except OSError as error:
            self.failure = "%s: %s" % (error.strerror, error.filename or spec.argv[0])
        finally:
            for fd in {*files, told, tell}:
                if fd >= 0:
                    os.close(fd)
        proc = identity.look(self.pid) if self.pid else None
        self.start = proc.start if proc else 0

    def _outputs(self, spec: Spec) -> List[int]:
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        log = os.open(spec.path("log"), append, 0o600)
        if spec.pty:
            from coordinator.worker.terminal import Terminal  # few agents need one

            self.terminal = Terminal(log)
            return [self.terminal.slave, self.terminal.slave]
        return [log, log if spec.speaks == "text" else os.open(spec.path("err"), append, 0o600)]

    def running(self) -> bool:
        return self.pid > 0 and self.status is None

    def reap(self) -> bool:
        """Collects every child that has ended; whether any child is left. The agent is asked for in any case: some
        kernels list no children."""
        left = False
        children = identity.children(os.getpid()) if self.all_known else []
        for child in {*children, *([self.pid] if self.running() else [])}:
            left = not self._collect(child) or left
        return left

    def _collect(self, child: int) -> bool:
        try:
            pid, status, usage = os.wait4(child, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            return False
        self.max_rss_kb = max(self.max_rss_kb, usage.ru_maxrss // _RSS_UNIT)
        if pid == self.pid:
            self.status = status
            if self.relay:
                os.kill(self.relay, signal.SIGKILL)   # our own child: its number is nobody else's before it is reaped
        elif pid == self.relay:
            self.relay = 0
        return True

    def signal(self, number: int) -> bool:
        proc = self._itself()
        return self.running() and proc is not None and identity.send(proc.pid, proc.start, number)

    def frame(self) -> List[int]:
        """Processes that are no part of the agent: bubblewrap, its own first process within, which reaps there, and the
        relay on both sides. To end one of them is to end all at once, or to cut the agent off."""
        if not self.walls or not self.running():
            return []
        relays = [self.relay, *self._numbered(_RELAY)] if self.relay else []
        return [self.pid, *identity.children(self.pid)[:1], *relays]

    def _itself(self) -> Optional[Proc]:
        """Behind walls the agent is the second process of its own pid space; before it is there, nobody is."""
        if not self.walls:
            return identity.look(self.pid)
        return next(map(identity.look, self._numbered(_AGENT)), None)

    def _numbered(self, number: int) -> List[int]:
        return [pid for init in identity.children(self.pid)[:1] for pid in identity.children(init)
                if identity.number_within(pid) == number]


RESTORED = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
            signal.SIGCHLD)
"""What Python ignores, and what a coordinator started by nohup or in the background of a shell passes on as ignored:
an agent that is deaf to SIGINT from birth cannot be asked politely."""


def _become(spec: Spec, group: Optional[Group], terminal: Optional[Terminal], files: List[int], tell: int) -> None:
    """In the child: never returns."""
    doing = "session"
    try:
        os.setsid()
        for number, fd in enumerate(files):
            os.dup2(fd, number)
        if terminal is not None:
            doing = "terminal"
            terminal.take()
        if group is not None:
            group.join()
        if spec.walls:
            doing = "keyring"
            leave_keyring()
        for number in RESTORED:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*WATCHED, *spec.warn))
        doing = "working directory %s" % spec.cwd
        os.chdir(spec.cwd)
        doing = spec.argv[0]
        os.execvpe(spec.argv[0], spec.argv, os.environ if spec.env else inherited())
    except OSError as error:
        os.write(tell, ("%s: %s" % (doing, error.strerror)).encode("utf-8", "replace"))
    finally:
        os._exit(127)


def inherited() -> Dict[str, str]:
    """What we were given, without what the interpreter added to it at its start (PEP 538)."""
    env = dict(os.environ)
    try:
        with open("/proc/self/environ", "rb") as stream:
            given = stream.read()
    except OSError:
        return env   # a host without /proc does not tell
    if not given.startswith(b"LC_CTYPE=") and b"\0LC_CTYPE=" not in given:
        env.pop("LC_CTYPE", None)
    return env
