"""A real OpenSSH server for a test: on 127.0.0.1, with keys, settings and a home folder of its own, as root or as an
ordinary user. It stands for a host of the user's own ssh configuration, and lies behind a cable that can be cut."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.cut import Cut, Reserved
from tests.support.netns import Networks
from tests.support.patience import end_of

MARK = "COORDINATOR_TEST_HOST"
"""Set for all that is started through a server, so that what it left behind is found again."""

_SERVER = """\
ListenAddress {listen}
Port {port}
HostKey "{folder}/host_key"
AuthorizedKeysFile "{folder}/user_key.pub"
StrictModes no
PidFile none
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
MaxSessions 200
MaxStartups 200
ClientAliveInterval {alive}
ClientAliveCountMax 3
SetEnv {environ}
LogLevel VERBOSE
"""

_CLIENT = """\
Host {alias}
    HostName {address}
    Port {port}
    User {user}
    HostKeyAlias {alias}
    IdentityFile "{folder}/user_key"
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile "{folder}/known_hosts"
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


def missing() -> str:
    """Why there can be no server here; "" when there can."""
    lacks = [name for name in ("sshd", "ssh", "ssh-keygen", "setpriv") if not _where(name)]
    return f"{', '.join(lacks)} not found: apt install openssh-server openssh-client" if lacks else ""


class Sshd:
    """A host named `alias`. Its commands see the environment `environ` and `home`, none of the user's own files.

    `command` are the words before a host's name; `cut` is the cable; `log` tells of each connection.
    """

    def __init__(
        self,
        folder: Path,
        alias: str = "epyc12",
        *,
        environ: Mapping[str, str] | None = None,
        alive: int = 5,
        networks: Networks | None = None,
    ) -> None:
        """With `networks` it is in the far one and its clients are in the near one: their link is its cable."""
        self.folder, self.alias, self._networks = folder, alias, networks
        self.home = folder / "home"
        self.log, self.config = folder / "sshd.log", folder / "ssh_config"
        self.command: tuple[str, ...] = (*(networks.near if networks else ()), "ssh", "-F", str(self.config))
        self.mark = sha256(os.fsencode(folder)).hexdigest()[:16]
        self._reserved = Reserved()
        self.port = self._reserved.port
        self._address = networks.address if networks else "127.0.0.1"
        self._cut = None if networks else Cut(self.port)
        self._running: subprocess.Popen[bytes] | None = None
        self.home.mkdir(parents=True)
        self._write({"HOME": str(self.home), MARK: self.mark, **(environ or {})}, alive)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it answers; on the same port as before, if it ran before."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)   # the server of root asks for it
        self.log.unlink(missing_ok=True)
        words = [*(self._networks.far if self._networks else ()), _where("setpriv"), "--pdeathsig", "KILL"]
        words += [_where("sshd"), "-D", "-f", str(self.folder / "sshd_config"), "-E", str(self.log)]
        self._running = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
        end = end_of(time.monotonic(), 10)
        while not self._answers():
            assert self._running.poll() is None, f"sshd ended: {self.log.read_text('utf-8')}"
            assert time.monotonic() < end, f"sshd does not answer: {self.log.read_text('utf-8')}"
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the server and every connection. What its connections started runs on, as on a true host."""
        if self._running is None:
            return
        server = psutil.Process(self._running.pid)
        server.suspend()   # it takes nobody in while those that are in are counted
        ours = [process for process in server.children(recursive=True) if process.name().startswith("sshd")]
        for process in (server, *ours):
            _kill(process)
        self._running.wait()
        self._running = None
        while any(_runs(process) for process in ours):
            time.sleep(0.01)

    def living(self) -> list[psutil.Process]:
        """What was started through it and still runs."""
        return [process for process in psutil.process_iter() if _environ(process).get(MARK) == self.mark]

    def close(self) -> None:
        """Ends it with all that was started through it."""
        self.stop()
        while left := self.living():
            for process in left:
                _kill(process)
            time.sleep(0.01)
        if self._cut is not None:
            self._cut.close()
        self._reserved.close()

    @property
    def cut(self) -> Cut:
        assert self._cut is not None, "its cable is the link between two networks"
        return self._cut

    def run(self, command: str, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`ssh OPTIONS alias COMMAND`."""
        return subprocess.run([*self.command, *options, self.alias, command], input=stdin, capture_output=True,
                              text=True, timeout=120, check=False)  # fmt: skip

    def _write(self, environ: Mapping[str, str], alive: int) -> None:
        for name in ("host_key", "user_key"):
            subprocess.run([_where("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name,
                            "-f", str(self.folder / name)], check=True)  # fmt: skip
        host = (self.folder / "host_key.pub").read_text("utf-8")
        (self.folder / "known_hosts").write_text(f"{self.alias} {host}", "utf-8")
        (self.folder / "sshd_config").write_text(_SERVER.format(
            listen=self._address, port=self.port, folder=self.folder, alive=alive,
            environ=" ".join(f'"{name}={value}"' for name, value in environ.items()),
        ), "utf-8")  # fmt: skip
        self.config.write_text(_CLIENT.format(
            alias=self.alias, address=self._address, port=self._cut.port if self._cut else self.port,
            user=getpass.getuser(), folder=self.folder,
        ), "utf-8")  # fmt: skip

    def _answers(self) -> bool:
        if self._networks:
            return self.log.exists() and "Server listening on" in self.log.read_text("utf-8")
        try:
            with socket.create_connection((self._address, self.port), timeout=1) as to:
                return to.recv(4) == b"SSH-"
        except OSError:
            return False


def _where(name: str) -> str:
    """sshd wants to be called by its whole path, and lies where ordinary users have no PATH."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or ""


def _environ(process: psutil.Process) -> Mapping[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):   # another user's, or gone meanwhile
        return {}


def _runs(process: psutil.Process) -> bool:
    """What has ended stays in the table until whoever inherited it looks, which can take seconds."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
